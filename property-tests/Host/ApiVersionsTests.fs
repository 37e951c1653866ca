/// The dispatch of requests, and ApiVersions.
module Tansu.PropertyTests.Host.ApiVersionsTests

open System
open System.Threading
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Host.Handlers
open Tansu.Host.Network
open Tansu.Host.Requests
open Tansu.PropertyTests

let private dispatcher =
    let handler = ApiVersionsHandler()
    let table = ApiTable [ handler ]
    handler.Describe table
    RequestDispatcher(table, Serilog.Core.Logger.None)

let private connection =
    ConnectionInfo(1L, "client", "listener", CancellationToken.None)

/// A request on its way in, without its length.
let private request (apiKey: int16) (version: int16) (headerVersion: int16) (body: KafkaWriter -> unit) =
    use writer = new KafkaWriter()
    RequestHeader(RequestApiKey = apiKey, RequestApiVersion = version, CorrelationId = 77).Write(writer, headerVersion)
    body writer
    writer.ToArray()

let private dispatch (bytes: byte array) =
    use frame =
        FrameBuffer.RentAsync(RequestBudget(NetworkOptions()), bytes.Length, CancellationToken.None).AsTask().Result

    bytes.AsSpan().CopyTo frame.Free.Span
    frame.Advance bytes.Length
    let processor: IRequestProcessor = dispatcher

    use reply =
        processor.ProcessAsync(connection, frame, CancellationToken.None).AsTask().Result

    Array.concat (reply.Frame |> Seq.map _.ToArray())

let private read (bytes: byte array) version =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    Expect.equal (reader.ReadInt32()) (bytes.Length - 4) "length"
    Expect.equal (reader.ReadInt32()) 77 "correlation id"
    // No tagged fields here: the header of this response is never flexible.
    let response = ApiVersionsResponse.Read(&reader, version)
    Expect.equal reader.Remaining 0 "all read"
    response

let private ask version name softwareVersion =
    let header = if version >= 3s then 2s else 1s

    let body =
        ApiVersionsRequest(ClientSoftwareName = name, ClientSoftwareVersion = softwareVersion)

    read (dispatch (request 18s version header (fun writer -> body.Write(writer, version)))) version

let tests =
    testList "api versions" [
        for version in 0s .. 4s do
            testCase $"version {version} lists what is served"
            <| fun () ->
                let response = ask version "kcat" "1.7.1"
                Expect.equal response.ErrorCode ErrorCode.None "error"
                let served = [ for api in response.ApiKeys -> api.ApiKey, api.MinVersion, api.MaxVersion ]
                Expect.equal served [ 18s, 0s, 4s ] "served"

        for version in [ 5s; 99s; Int16.MaxValue; -1s ] do
            testCase $"version {version} is answered in version 0 with the range to ask for"
            <| fun () ->
                // What follows the correlation id is in a header nobody knows yet.
                let bytes = request 18s version 1s (fun writer -> writer.WriteInt64 -1L)
                let response = read (dispatch bytes) 0s
                Expect.equal response.ErrorCode ErrorCode.UnsupportedVersion "error"

                Expect.equal
                    [ for api in response.ApiKeys -> api.ApiKey, api.MinVersion, api.MaxVersion ]
                    [ 18s, 0s, 4s ]
                    "range"

        for name, softwareVersion in [ "", "1"; "a", ""; "-a", "1"; "a-", "1"; "a b", "1"; "a", "1\n"; "a", "é" ] do
            testCase $"software '{name}' '{softwareVersion.Trim()}' is INVALID_REQUEST"
            <| fun () ->
                let response = ask 3s name softwareVersion
                Expect.equal response.ErrorCode ErrorCode.InvalidRequest "error"

        testCase "software names as clients send them are fine"
        <| fun () ->
            for name, softwareVersion in
                [
                    "apache-kafka-java", "4.1.0"
                    "a", "1"
                    "confluent-kafka-dotnet", "v2.16.0-rdkafka-2.16"
                ] do
                Expect.equal (ask 3s name softwareVersion).ErrorCode ErrorCode.None name

        testCase "an API that is not served ends the connection, with a reason"
        <| fun () ->
            for key in [ -1s; 0s; 17s; 19s; Int16.MaxValue; Int16.MinValue ] do
                try
                    dispatch (request key 0s 1s ignore) |> ignore
                    failtest "answered"
                with :? KafkaFormatException as refusal ->
                    Expect.stringContains refusal.Message $"API {key} is not served" "reason"

        Check.property "any bytes are answered or refused, never a crash" (fun (body: byte array) (version: int16) ->
            for bytes in
                [
                    body
                    request 18s (abs (version % 8s)) 1s (fun writer ->
                        for b in body do
                            writer.WriteInt8(sbyte b))
                ] do
                if bytes.Length >= NetworkOptions.MinRequestBytes then
                    try
                        dispatch bytes |> ignore
                    with :? KafkaFormatException ->
                        ())
    ]
