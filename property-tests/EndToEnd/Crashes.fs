/// SIGKILL at random moments: whatever was acknowledged is there, once, in order, at the offset acknowledged.
module Tansu.PropertyTests.EndToEnd.Crashes

open System
open System.Collections.Generic
open System.Text
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

let private rounds = 20

/// Produces numbered records, a bounded number at a time, until told to stop; gives the offset each was acknowledged at.
let private produceUntil
    (stop: CancellationToken)
    (producer: IProducer<byte array, byte array>)
    (acknowledged: ref<int>)
    =
    task {
        let offsets = List<Task<DeliveryResult<byte array, byte array>>>()
        use window = new SemaphoreSlim 200
        let mutable number = 0

        while not stop.IsCancellationRequested do
            do! window.WaitAsync()

            let delivery =
                producer.ProduceAsync(
                    "crashes",
                    Message<byte array, byte array>(Value = Encoding.ASCII.GetBytes(string number))
                )

            delivery.ContinueWith(fun (_: Task) ->
                Interlocked.Increment(&acknowledged.contents) |> ignore
                window.Release() |> ignore)
            |> ignore

            offsets.Add delivery
            number <- number + 1

        let! results = (Task.WhenAll offsets).WaitAsync patience
        return results |> Array.map (fun result -> result.Offset.Value)
    }

/// Waits until the producer has got `more` acknowledgements: time passes only as work is done.
let private untilAcknowledged (acknowledged: ref<int>) (more: int) =
    let target = Volatile.Read(&acknowledged.contents) + more
    SpinWait.SpinUntil((fun () -> Volatile.Read(&acknowledged.contents) >= target), patience)

let private sigkill =
    testCaseTask $"an idempotent producer loses, repeats and moves nothing over {rounds} SIGKILLs" (fun () ->
        task {
            use scratch = new Scratch()
            let random = Random(int Check.seed)
            let port = Machine.freePort ()

            let startAgain () =
                RealBroker.Start(
                    scratch.Path,
                    [
                        "--listener-url"
                        $"tcp://127.0.0.1:{port}"
                        "--storage-engine"
                        scratch.Store
                    ]
                )

            let mutable broker = startAgain ()

            let config =
                Clients.configure
                    (ProducerConfig(
                        EnableIdempotence = true,
                        LingerMs = 1.0,
                        MessageTimeoutMs = 60_000,
                        BatchNumMessages = 20
                    ))
                    $"127.0.0.1:{port}"

            use producer = Clients.producer config
            use stop = new CancellationTokenSource()
            let acknowledged = ref 0
            let producing = produceUntil stop.Token producer acknowledged

            try
                for _ in 1..rounds do
                    let isAlive = untilAcknowledged acknowledged (random.Next(1, 2000))
                    Expect.isTrue isAlive $"the producer goes on; the broker said:\n{broker.Log}"
                    broker.Kill()
                    (broker :> IDisposable).Dispose()
                    broker <- startAgain ()

                let isAlive = untilAcknowledged acknowledged 500
                Expect.isTrue isAlive "the producer goes on after the last SIGKILL"
                stop.Cancel()
                let! offsets = producing
                let records = Clients.readAll $"127.0.0.1:{port}" "crashes" 0
                Expect.equal records.Length offsets.Length "every acknowledged record, and no other"

                for number, record in List.indexed records do
                    Expect.equal
                        (Encoding.ASCII.GetString record.Message.Value)
                        (string number)
                        "in the order they were sent"

                    Expect.equal record.Offset.Value offsets[number] "at the offset acknowledged"
            finally
                stop.Cancel()
                (broker :> IDisposable).Dispose()
        })

let tests = testList "crashes" [ sigkill ]
