/// Requests as real clients made them (`./test capture-frames FILE` makes the file again).
module Tansu.PropertyTests.Codec.Golden

open System
open System.IO
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages

let private file = Path.Combine(__SOURCE_DIRECTORY__, "golden-frames.tsv")

/// Reads a request's header and gives where the body begins, checking what the header says.
let private bodyOf (description: ApiDescription) (apiKey: int16) (version: int16) (frame: byte array) =
    let mutable reader = KafkaReader(ReadOnlyMemory frame)
    let header = RequestHeader.Read(&reader, description.RequestHeaderVersion version)
    Expect.equal header.RequestApiKey apiKey "the API key"
    Expect.equal header.RequestApiVersion version "the version"
    ReadOnlyMemory(frame, reader.Position, frame.Length - reader.Position)

let private golden (line: string) =
    match line.Split '\t' with
    | [| client; apiKey; version; hex |] ->
        let apiKey = Int16.Parse apiKey
        let version = Int16.Parse version
        let found, description = ApiKeys.TryGet apiKey

        testCase $"{client} {(if found then description.Name else string apiKey)} {version}, {hex.Length / 2} bytes"
        <| fun () ->
            Expect.isTrue found "the API is known"
            let body = bodyOf description apiKey version (Convert.FromHexString hex)
            let message = MessagesModel.named $"{description.Name}Request"
            let written = MessagesModel.write message (message.read body version) (int version)
            Expect.equal (Convert.ToHexString written) (Convert.ToHexString(body.ToArray())) "read and written again"
    | _ -> failwith $"not a golden frame: {line}"

let tests =
    testList "golden frames decode and encode to the same bytes" [ for line in File.ReadAllLines file -> golden line ]
