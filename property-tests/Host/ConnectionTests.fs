/// Connections over real loopback sockets: order, back-pressure, limits, endings.
module Tansu.PropertyTests.Host.ConnectionTests

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open Expecto
open FsCheck
open FsCheck.FSharp
open Serilog.Events
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Host.Network
open Tansu.PropertyTests
open Tansu.PropertyTests.Host.Fixture

let private options = NetworkOptions()
let private never = CancellationToken.None

/// Three requests that have come together and have been started.
let private three (toy: Toy) (client: Client) (lengths: int * int * int) =
    task {
        let one, two, three = lengths
        do! client.Send(Array.concat [ frame 1 one; frame 2 two; frame 3 three ])
        let! (first: ToyRequest) = toy.Next()
        let! (second: ToyRequest) = toy.Next()
        let! (third: ToyRequest) = toy.Next()
        return first, second, third
    }

let private order =
    testList "order" [
        testCaseTask "requests are started without waiting; replies leave in the order of the requests"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use client = new Client(server)
                let! first, second, third = three toy client (20, 5000, 10)
                third.Echo()
                second.Echo()
                first.Echo()
                let! one = client.ReceiveId()
                let! two = client.ReceiveId()
                let! three = client.ReceiveId()
                Expect.equal [ one; two; three ] [ 1; 2; 3 ] "order"
            }

        testCaseTask "requests that have come together are started before what they wake"
        <| fun () ->
            task {
                let bells = ConcurrentDictionary<int, Bell * Task>()
                let seen = ConcurrentDictionary<int, bool>()

                // Three ids, one bell.
                let bellOf id =
                    bells.GetOrAdd(
                        id / 3,
                        fun _ ->
                            let bell = Bell TimeProvider.System
                            bell, bell.WaitAsync(Timeout.InfiniteTimeSpan).AsTask()
                    )

                let toy =
                    Toy(fun request ->
                        let bell, woken = bellOf request.Id
                        seen[request.Id] <- Gathering.RingsLater bell && not woken.IsCompleted
                        request.Echo())

                use server = new Server(toy, options)
                use client = new Client(server)
                let mutable round = 0
                let mutable isTogether = false
                let watch = Stopwatch.StartNew()

                // A connection is served elsewhere at first, and when something comes just as it begins to wait.
                while not isTogether && watch.Elapsed < patience do
                    let ids = [ round * 3 .. round * 3 + 2 ]
                    do! client.Send(Array.concat [ for id in ids -> frame id 10 ])

                    for _ in ids do
                        let! _ = client.ReceiveId()
                        ()

                    isTogether <- ids |> List.forall (fun id -> seen[id])

                    if isTogether then
                        do! (snd bells[round]).WaitAsync patience

                    round <- round + 1

                Expect.isTrue isTogether "all three before it rings"
            }

        testCaseTask "a request without a reply (acks=0) sends nothing and holds nothing up"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use client = new Client(server)
                do! client.Send(Array.concat [ frame 1 10; frame 2 10 ])
                let! (first: ToyRequest) = toy.Next()
                let! (second: ToyRequest) = toy.Next()
                second.Echo()
                first.NoReply()
                let! id = client.ReceiveId()
                Expect.equal id 2 "the reply to the second request comes first"
            }

        testCaseTask "a connection does not wait for another"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use slow = new Client(server)
                use quick = new Client(server)
                do! slow.Send(frame 1 10)
                let! (_: ToyRequest) = toy.Next()
                do! quick.Send(frame 2 10)
                let! (request: ToyRequest) = toy.Next()
                request.Echo()
                let! id = quick.ReceiveId()
                Expect.equal id 2 "answered"
            }

        testCaseTask "a handler that asks for it is not overtaken by the next request"
        <| fun () ->
            task {
                let gate = TaskCompletionSource()

                let toy =
                    Toy(fun request ->
                        if request.Id = 1 then
                            request.Connection.HoldFollowing gate.Task)

                use server = new Server(toy, options)
                use client = new Client(server)
                do! client.Send(Array.concat [ frame 1 10; frame 2 10 ])
                let! (first: ToyRequest) = toy.Next()
                first.Echo()
                let! one = client.ReceiveId()
                Expect.equal one 1 "answered"
                Expect.equal toy.StartedCount 0 "the second has not started"
                gate.SetResult()
                let! (second: ToyRequest) = toy.Next()
                Expect.equal second.Id 2 "now it has"
            }

        testCaseTask "a request is in turn when those before it have their reply"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use client = new Client(server)
                let! first, second, third = three toy client (10, 10, 10)
                let answers = first.Connection.Answers

                let turn number =
                    answers.UntilInTurnAsync(number, never).AsTask()

                let one, two, three = turn 1L, turn 2L, turn 3L
                Expect.isTrue one.IsCompleted "nothing is before the first"
                second.Echo()
                Expect.isFalse two.IsCompleted "the first has no reply yet"
                first.Echo()
                do! three.WaitAsync patience
                Expect.isTrue two.IsCompleted "two and three"
                third.Echo()
                do! (turn (answers.Newest + 1L)).WaitAsync patience
            }

        testCaseTask "a reply in thousands of pieces arrives whole"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use client = new Client(server)
                do! client.Send(frame 1 10)
                let! (request: ToyRequest) = toy.Next()

                let pieces =
                    Array.init 3000 (fun index -> ReadOnlyMemory(Array.create 1500 (byte index)))

                let writer = new KafkaWriter()
                writer.WriteRecords(RecordBytes(pieces, pieces.Length), false)
                request.ReplyWith(new Reply(writer))
                let! received = client.ReceiveEcho()

                Expect.isTrue
                    (received.AsSpan().SequenceEqual(ReadOnlySpan(Array.concat (pieces |> Array.map _.ToArray()))))
                    "equal"
            }
    ]

type private Cutting = { lengths: int list; cuts: int list }

let private cuttings =
    let length =
        Gen.frequency [
            8, Gen.choose (NetworkOptions.MinRequestBytes, 200)
            3, Gen.choose (4000, 4200)
            1, Gen.choose (FrameBuffer.FirstBytes - 2, FrameBuffer.FirstBytes * 5)
        ]

    let cut =
        Gen.frequency [
            3, Gen.choose (1, 30)
            2, Gen.choose (1000, 9000)
            1, Gen.choose (100000, 500000)
        ]

    gen {
        let! lengths = Gen.listOf length |> Gen.resize 12
        let! cuts = Gen.nonEmptyListOf cut |> Gen.resize 20
        return { lengths = lengths; cuts = cuts }
    }

let private sendCut (client: Client) (stream: byte array) (cuts: int list) =
    task {
        let mutable position = 0

        for cut in
            Seq.initInfinite (fun index -> cuts[index % cuts.Length])
            |> Seq.takeWhile (fun _ -> position < stream.Length) do
            let next = min stream.Length (position + max cut (stream.Length / 200))
            do! client.Send stream[position .. next - 1]
            position <- next
    }

let private frames =
    testList "frames" [
        Check.propertyTimes
            40
            "requests arrive whole however the stream is cut"
            (Prop.forAll (Arb.fromGen cuttings) (fun cutting ->
                (task {
                    use server = new Server(echoToy (), options)
                    use client = new Client(server)
                    let requests = cutting.lengths |> List.mapi frame
                    let sending = sendCut client (Array.concat requests) cutting.cuts

                    for request in requests do
                        let! echo = client.ReceiveEcho()
                        Expect.isTrue (echo.AsSpan().SequenceEqual(request.AsSpan 4)) "the request comes back"

                    do! sending
                    do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
                })
                    .GetAwaiter()
                    .GetResult()))

        testCaseTask "when many connections have requests that wait, others get by with a small buffer"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, NetworkOptions(MaxInFlightRequests = 1))
                let clients = List.init 80 (fun _ -> new Client(server))
                let requests = [ for id in 1..3 -> frame id 6000 ]

                for client in clients do
                    do! client.Send(Array.concat requests)

                let! first = Task.WhenAll [| for _ in clients -> toy.Next() |]
                do! eventually "many have a buffer" (fun () -> FrameReader.Buffers > 64)

                for request in first do
                    request.Echo()

                for _ in 1 .. 2 * clients.Length do
                    let! (request: ToyRequest) = toy.Next()
                    request.Echo()

                for client in clients do
                    for request in requests do
                        let! echo = client.ReceiveEcho()
                        Expect.isTrue (echo.AsSpan().SequenceEqual(request.AsSpan 4)) "the request comes back"

                for client in clients do
                    (client :> IDisposable).Dispose()

                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }

        for length in
            [
                Int32.MinValue
                -1
                0
                3
                NetworkOptions.MinRequestBytes - 1
                2001
                Int32.MaxValue
                0x47455420
            ] do
            testCaseTask $"a length of {length} ends that connection, says why, and harms no other"
            <| fun () ->
                task {
                    use server = new Server(echoToy (), NetworkOptions(MaxRequestBytes = 2000))
                    use other = new Client(server)
                    use client = new Client(server)
                    do! client.Send(Array.concat [ frame 7 2000; claim length ])
                    let! id = client.ReceiveId()
                    Expect.equal id 7 "the request before it is answered"
                    // What is left of the reply.
                    do! client.ExpectClosed()
                    do! other.Send(frame 8 10)
                    let! id = other.ReceiveId()
                    Expect.equal id 8 "the other goes on"
                    let lines = server.Lines.AtLeast LogEventLevel.Warning
                    Expect.equal lines.Length 1 "one line"
                    Expect.stringContains lines[0] $"{client.Socket.LocalEndPoint}" "address"
                    Expect.stringContains lines[0] $"a request of {length} bytes" "reason"
                }

        testCaseTask "a length without bytes behind it reserves little"
        <| fun () ->
            task {
                use server = new Server(echoToy (), options)
                use client = new Client(server)
                do! client.Send(Array.append (claim options.MaxRequestBytes) (Array.zeroCreate 1000))
                do! eventually "the request has begun" (fun () -> server.HeldBytes > 0L)
                Expect.isLessThanOrEqual server.HeldBytes (int64 FrameBuffer.FirstBytes) "held"
            }

        testCaseTask "a frame gets memory for all of its bytes once the first have come"
        <| fun () ->
            task {
                use buffer =
                    FrameBuffer.RentAsync(RequestBudget options, 100_000_000, never).AsTask().Result

                Expect.isLessThanOrEqual buffer.Free.Length FrameBuffer.FirstBytes "the first step"
                buffer.Free.Span.Fill 7uy
                buffer.Advance buffer.Free.Length
                Expect.isTrue buffer.NeedsGrowth "full"
                do! buffer.GrowAsync never
                Expect.equal buffer.Free.Length (100_000_000 - FrameBuffer.FirstBytes) "the second step"
                Expect.equal buffer.Memory.Span[FrameBuffer.FirstBytes - 1] 7uy "kept"
            }

        testCaseTask "a frame that finds no memory for all of its bytes gives back all that it holds"
        <| fun () ->
            task {
                let budget = RequestBudget(NetworkOptions(MaxLargeRequestBytes = Int64.MaxValue))
                let! buffer = FrameBuffer.RentAsync(budget, Int32.MaxValue, never)
                buffer.Advance buffer.Free.Length

                let! failure =
                    task {
                        try
                            do! buffer.GrowAsync never
                            return null
                        with failure ->
                            return failure
                    }

                Expect.isNotNull failure "no array is that long"
                buffer.Dispose()
                Expect.equal (budget.Beginnings.HeldBytes, budget.Large.HeldBytes) (0L, 0L) "held"
            }

        testCaseTask "a client that goes away within a request leaves nothing and no line"
        <| fun () ->
            task {
                use server = new Server(echoToy (), options)
                let client = new Client(server)
                do! client.Send((frame 1 1000)[..500])
                do! eventually "the request has begun" (fun () -> server.HeldBytes > 0L)
                (client :> IDisposable).Dispose()
                do! eventually "the connection is gone" (fun () -> server.Listener.ConnectionCount = 0)
                Expect.equal server.HeldBytes 0L "held"
                Expect.isEmpty (server.Lines.AtLeast LogEventLevel.Information) "lines"
            }
    ]

let private failures =
    testList "failures" [
        testCaseTask "a client that goes away cancels what waits for it, and its memory ends with the request"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                let client = new Client(server)
                do! client.Send(frame 1 1000)
                let! (request: ToyRequest) = toy.Next()
                (client :> IDisposable).Dispose()
                do! eventually "cancelled" (fun () -> request.Cancellation.IsCancellationRequested)
                Expect.isGreaterThan server.HeldBytes 0L "the handler may still read the request"
                request.Echo()
                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
                do! eventually "the connection is gone" (fun () -> server.Listener.ConnectionCount = 0)
            }

        testCaseTask "a handler that fails ends its connection after the replies before it, with a line"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use client = new Client(server)
                let! first, second, third = three toy client (10, 10, 10)
                second.Fail(InvalidOperationException "a bug")
                third.Echo()
                first.Echo()
                let! id = client.ReceiveId()
                Expect.equal id 1 "the first is answered"
                do! client.ExpectClosed()
                Expect.equal (server.Lines.AtLeast LogEventLevel.Error).Length 1 "one line"
                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }

        testCaseTask "a handler that throws at once is no worse"
        <| fun () ->
            task {
                let toy =
                    Toy(fun request ->
                        if request.Id = 2 then
                            raise (KafkaFormatException "nonsense")
                        else
                            request.Echo())

                use server = new Server(toy, options)
                use client = new Client(server)
                do! client.Send(Array.concat [ frame 1 10; frame 2 10; frame 3 10 ])
                let! id = client.ReceiveId()
                Expect.equal id 1 "the first is answered"
                do! client.ExpectClosed()
                Expect.stringContains (List.exactlyOne (server.Lines.AtLeast LogEventLevel.Warning)) "nonsense" "reason"
            }

        testCaseTask "complaints are limited"
        <| fun () ->
            task {
                use server = new Server(echoToy (), NetworkOptions(TimeProvider = ManualTime()))

                for _ in 1..30 do
                    use client = new Client(server)
                    do! client.Send(claim -1)
                    do! client.ExpectClosed()

                Expect.equal (server.Lines.AtLeast LogEventLevel.Warning).Length RateLimitedLog.LinesPerSecond "lines"
            }
    ]

let tests = testList "connections" [ order; frames; failures ]
