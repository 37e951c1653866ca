/// Every API in every version, with sound and with random requests.
module Tansu.PropertyTests.Handlers.Everything

open System
open Expecto
open Tansu.Codec
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec
open Tansu.PropertyTests.Handlers.Desk

/// A request with random content, written in a version.
let private randomFrame (seed: int) (name: string) (apiKey: int16) (version: int) =
    let message = MessagesModel.named $"{name}Request"
    let _, _, _, firstFlexible = message.statics
    use writer = new KafkaWriter()

    Messages
        .RequestHeader(RequestApiKey = apiKey, RequestApiVersion = int16 version, CorrelationId = 1)
        .Write(writer, (if int16 version >= firstFlexible then 2s else 1s))

    message.write writer (MessagesModel.sample seed message version) (int16 version)
    writer.ToArray()

/// What the network layer takes for a reason to close the connection is as good as an answer; anything else is a bug.
let private isAnswered (desk: Desk) frame =
    task {
        try
            let! _ = desk.Send(frame).WaitAsync patience
            return true
        with :? KafkaFormatException ->
            return false
    }

let tests =
    testList "every API" [
        testCaseTask "in every version answers random requests, or closes the connection, and never fails" (fun () ->
            task {
                let! desk = Desk.Open()
                let! _ = desk.Create("a", 2, [])
                // A random long poll may be a very long one.
                desk.Stop()
                let random = Random(int Check.seed)

                for handler in desk.Handlers.All do
                    for version in int handler.LowestVersion .. int handler.HighestVersion do
                        for _ in 1..10 do
                            let! _ =
                                isAnswered desk (randomFrame (random.Next()) handler.Name handler.ApiKey version)

                            ()

                do! (desk :> IAsyncDisposable).DisposeAsync()
            })

        testCaseTask "closes the connection for a version that is not served" (fun () ->
            task {
                let! desk = Desk.Open()

                for handler in desk.Handlers.All do
                    if handler.ApiKey <> 18s then
                        use writer = new KafkaWriter()
                        writer.WriteInt16 handler.ApiKey
                        writer.WriteInt16(handler.HighestVersion + 1s)
                        writer.WriteInt32 1
                        writer.WriteInt16 -1s
                        let! answered = isAnswered desk (writer.ToArray())
                        Expect.isFalse answered handler.Name
            })
    ]
