/// Receiving from a socket, with the threads that wait in epoll and without.
module Tansu.PropertyTests.Host.ReceiverTests

open System
open System.Net
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters.Replica
open Tansu.Host.Network
open Tansu.PropertyTests.Host.Fixture

/// Two ends of one connection.
let private connect () =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()

    let client =
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)

    client.Connect listener.LocalEndpoint
    client, listener.AcceptSocket()

let private tryReceive (receiver: Receiver) (destination: Memory<byte>) = receiver.TryReceive destination.Span

/// Waits until something has come; 0 at the end.
let private receive (receiver: Receiver) (destination: Memory<byte>) =
    task {
        let mutable result = struct (false, 0)

        while (let struct (isThere, _) = result in not isThere) do
            do! receiver.WaitAsync()
            let isThere, count = tryReceive receiver destination
            result <- struct (isThere, count)

        let struct (_, count) = result
        return count
    }

let private tests (name: string) (start: unit -> ReceiverThreads | null) =
    let withReceiver (act: Socket -> Socket -> Receiver -> Task<unit>) =
        task {
            use threads = start ()
            let client, server = connect ()
            use _ = client
            use _ = server
            let receiver = new Receiver(server, threads)
            do! act client server receiver
            server.Dispose()
            receiver.Dispose()
        }

    testList name [
        testCaseTask "what was sent before and what comes later" (fun () ->
            withReceiver (fun client _ receiver ->
                task {
                    let buffer = Array.zeroCreate 100
                    client.Send [| 1uy; 2uy |] |> ignore
                    let! first = (receive receiver (Memory buffer)).WaitAsync patience
                    Expect.equal buffer[.. first - 1] [| 1uy; 2uy |] "sent before"
                    let receiving = receive receiver (Memory buffer)
                    Expect.isFalse receiving.IsCompleted "nothing is there"
                    client.Send [| 3uy |] |> ignore
                    let! later = receiving.WaitAsync patience
                    Expect.equal buffer[.. later - 1] [| 3uy |] "sent later"
                }))

        testCaseTask "a stream comes in order, however it is cut" (fun () ->
            withReceiver (fun client _ receiver ->
                task {
                    let sent = Array.init 1_000_000 byte
                    let sending = client.SendAsync(ReadOnlyMemory sent)
                    let received = Array.zeroCreate sent.Length
                    let mutable count = 0
                    let mutable size = 1

                    while count < sent.Length do
                        let length = min size (sent.Length - count)
                        size <- size % 70_000 * 3 + 1

                        let! read = (receive receiver (Memory(received, count, length))).WaitAsync patience

                        Expect.isGreaterThan read 0 "not the end"
                        count <- count + read

                    let! all = sending
                    Expect.equal all sent.Length "all was sent"
                    Expect.isTrue (received.AsSpan().SequenceEqual sent) "the same bytes"
                }))

        testCaseTask "the client's end is 0, also while waiting for it" (fun () ->
            withReceiver (fun client _ receiver ->
                task {
                    let receiving = receive receiver (Memory(Array.zeroCreate 10))
                    client.Shutdown SocketShutdown.Send
                    let! received = receiving.WaitAsync patience
                    Expect.equal received 0 "the end"
                }))

        testCaseTask "a connection that is reset is an error" (fun () ->
            withReceiver (fun client _ receiver ->
                task {
                    let receiving = receive receiver (Memory(Array.zeroCreate 10))
                    client.LingerState <- LingerOption(true, 0)
                    client.Close()
                    let! ended = Task.WhenAny(receiving, Task.Delay patience)
                    Expect.isTrue (obj.ReferenceEquals(ended, receiving)) "it ends"

                    Expect.isTrue
                        (receiving.IsFaulted && receiving.Exception.InnerException :? SocketException)
                        "with an error"
                }))

        testCaseTask "closing here ends a wait, and later ones" (fun () ->
            withReceiver (fun _ server receiver ->
                task {
                    let receiving = receive receiver (Memory(Array.zeroCreate 10))
                    server.Dispose()
                    receiver.Dispose()
                    let! _ = Task.WhenAny(receiving, Task.Delay patience)
                    Expect.isTrue receiving.IsFaulted "it ends"
                    let again = receive receiver (Memory(Array.zeroCreate 10))
                    let! _ = Task.WhenAny(again, Task.Delay patience)
                    Expect.isTrue again.IsFaulted "so does the next"
                }))
    ]

let private gathering =
    testCaseTask "what several clients ask for is done before what it wakes, as far as it is there" (fun () ->
        task {
            use threads = ReceiverThreads.TryStart 1
            let clients, servers = List.init 3 (fun _ -> connect ()) |> List.unzip
            let bell = Bell TimeProvider.System
            let woken = bell.WaitAsync(Timeout.InfiniteTimeSpan).AsTask()
            let receivers = servers |> List.map (fun server -> new Receiver(server, threads))
            use isSent = new ManualResetEventSlim()

            let served =
                receivers
                |> List.map (fun receiver ->
                    task {
                        Expect.isFalse (fst (tryReceive receiver (Memory(Array.zeroCreate 1)))) "nothing yet"
                        do! receiver.WaitAsync()
                        isSent.Wait patience |> ignore
                        return Gathering.RingsLater bell && not woken.IsCompleted
                    })

            for client in clients do
                client.Send [| 1uy |] |> ignore

            isSent.Set()
            let! areWaiting = (Task.WhenAll served).WaitAsync patience
            do! woken.WaitAsync patience

            for client, server, receiver in List.zip3 clients servers receivers do
                server.Dispose()
                receiver.Dispose()
                client.Dispose()

            Expect.equal areWaiting [| true; true; true |] "not before all of them"
        })

/// Both ways.
let all =
    testList "receiver" [
        tests "with threads" (fun () -> ReceiverThreads.TryStart 2)
        tests "as .NET does it" (fun () -> null)
        gathering
    ]
