/// Back-pressure, idle connections, stopping.
module Tansu.PropertyTests.Host.LimitTests

open System
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks
open Expecto
open Serilog.Events
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Host
open Tansu.Host.Network
open Tansu.PropertyTests
open Tansu.PropertyTests.Host.Fixture

let private options = NetworkOptions()
let private never = CancellationToken.None

/// Sends many requests at once to a toy that answers only when as many as are allowed have started.
let private mostAtOnce (limits: NetworkOptions) (length: int) (expected: int) =
    task {
        let mutable outstanding = 0
        let mutable most = 0

        let toy =
            Toy(fun _ ->
                let now = Interlocked.Increment &outstanding
                most <- max most now)

        use server = new Server(toy, limits)
        use client = new Client(server)
        let total = expected * 10
        let sending = client.Send(Array.concat [ for id in 1..total -> frame id length ])

        for _ in 1..10 do
            let batch = ResizeArray<ToyRequest>()

            for _ in 1..expected do
                let! (request: ToyRequest) = toy.Next()
                batch.Add request

            for request in batch do
                Interlocked.Decrement &outstanding |> ignore
                request.Echo()

            for request in batch do
                let! id = client.ReceiveId()
                Expect.equal id request.Id "order"

        do! sending
        Expect.equal most expected "the most that were started and not answered"
        do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
    }

let private memoryOfSmallRequests =
    testList "memory of small requests" [
        testCase "is used again, and never has two users"
        <| fun () ->
            let arrays = SmallArrays 1_000_000L
            let one = arrays.Rent 16_500
            let two = arrays.Rent 16_500
            Expect.isFalse (Object.ReferenceEquals(one, two)) "both in use"
            Expect.isTrue (one.Length >= 16_500 && one.Length <= 16_500 * 5 / 4) "little longer than it has to be"
            arrays.Return one
            Expect.equal arrays.Bytes (int64 one.Length) "waits"
            Expect.isTrue (Object.ReferenceEquals(arrays.Rent 17_000, one)) "fits another length"
            Expect.equal arrays.Bytes 0L "in use"

        testCase "waits for use up to a bound: what there is most of goes first"
        <| fun () ->
            let arrays = SmallArrays 100_000L
            let rented = List.init 10 (fun _ -> arrays.Rent 16_384)
            let rare = arrays.Rent 8_192
            arrays.Return rare
            rented |> List.iter arrays.Return
            Expect.isLessThanOrEqual arrays.Bytes 100_000L "waits"
            Expect.isGreaterThan arrays.Bytes 80_000L "and is nearly all of it"
            Expect.isTrue (Object.ReferenceEquals(arrays.Rent 8_192, rare)) "is still there"

        testCase "is not kept if there is no room for it"
        <| fun () ->
            let arrays = SmallArrays 500L
            arrays.Return(arrays.Rent 16_384)
            Expect.equal arrays.Bytes 0L "left to the garbage collector"
    ]

let private backPressure =
    testList "back-pressure" [
        testCaseTask "a connection has a limit on unanswered requests"
        <| fun () -> task { do! mostAtOnce (NetworkOptions(MaxInFlightRequests = 4)) 50 4 }

        testCaseTask "a connection has a limit on unanswered bytes"
        <| fun () -> task { do! mostAtOnce (NetworkOptions(MaxInFlightBytes = 1000L)) 400 2 }

        testCaseTask "a request larger than the limit is served by itself"
        <| fun () -> task { do! mostAtOnce (NetworkOptions(MaxInFlightBytes = 1000L)) 5000 1 }

        testCaseTask "all connections together have a limit on small requests"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, NetworkOptions(MaxSmallRequestBytes = 1000L))
                use one = new Client(server)
                use two = new Client(server)
                do! one.Send(frame 1 600)
                let! (first: ToyRequest) = toy.Next()
                do! two.Send(frame 2 600)
                do! one.Send(frame 3 600)
                Expect.equal server.HeldBytes 600L "held"
                first.Echo()
                let! (second: ToyRequest) = toy.Next()
                second.Echo()
                let! (third: ToyRequest) = toy.Next()
                third.Echo()
                Expect.equal (List.sort [ second.Id; third.Id ]) [ 2; 3 ] "both are served in the end"
            }

        testCaseTask "all connections together have a limit on large requests"
        <| fun () ->
            task {
                let length = FrameBuffer.FirstBytes * 3
                let toy = manualToy ()

                use server =
                    new Server(toy, NetworkOptions(MaxLargeRequestBytes = int64 length + 1L))

                use one = new Client(server)
                use two = new Client(server)
                let sending = Task.WhenAll(one.Send(frame 1 length), two.Send(frame 2 length))
                let! (first: ToyRequest) = toy.Next()
                Expect.equal server.Listener.Budget.Large.HeldBytes (int64 length) "held"
                Expect.equal toy.StartedCount 0 "the other waits"
                first.Echo()
                let! (second: ToyRequest) = toy.Next()
                second.Echo()
                do! sending
                Expect.equal (List.sort [ first.Id; second.Id ]) [ 1; 2 ] "both are served in the end"
            }

        testCaseTask "a small request does not wait for large ones"
        <| fun () ->
            task {
                let length = FrameBuffer.FirstBytes * 3
                let toy = manualToy ()

                use server =
                    new Server(
                        toy,
                        NetworkOptions(
                            MaxLargeRequestBytes = int64 length,
                            MaxBeginningBytes = int64 FrameBuffer.FirstBytes,
                            MaxSmallRequestBytes = int64 FrameBuffer.FirstBytes
                        )
                    )

                let large = [ for _ in 1..4 -> new Client(server) ]
                let sending = Task.WhenAll [ for client in large -> client.Send(frame 1 length) ]
                let! (first: ToyRequest) = toy.Next()
                use small = new Client(server)
                do! small.Send(frame 2 100)
                let! (second: ToyRequest) = toy.Next()
                Expect.equal second.Id 2 "the small one"
                second.Echo()
                first.Echo()

                for _ in 2 .. large.Length do
                    let! (next: ToyRequest) = toy.Next()
                    next.Echo()

                do! sending

                for client in large do
                    (client :> IDisposable).Dispose()

                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }

        testCaseTask "connections beyond the limit are closed"
        <| fun () ->
            task {
                use server = new Server(echoToy (), NetworkOptions(MaxConnections = 1))
                use first = new Client(server)
                do! first.Send(frame 1 10)
                let! (_: int) = first.ReceiveId()
                use second = new Client(server)
                do! second.ExpectClosed()
                do! first.Send(frame 2 10)
                let! id = first.ReceiveId()
                Expect.equal id 2 "the first goes on"
            }
    ]

let private budget =
    testList "budget" [
        testCaseTask "first come, first served; a cancelled wait holds nothing and lets the next pass"
        <| fun () ->
            task {
                let budget = ByteBudget 100L
                do! budget.HoldAsync(80L, never)
                use cancellation = new CancellationTokenSource()
                let large = budget.HoldAsync(90L, cancellation.Token).AsTask()
                let small = budget.HoldAsync(10L, never).AsTask()
                Expect.isFalse small.IsCompleted "it fits, and still waits its turn"
                cancellation.Cancel()
                do! small.WaitAsync patience
                do! eventually "cancelled" (fun () -> large.IsCanceled)
                Expect.equal budget.HeldBytes 90L "held"
            }

        testCaseTask "what is larger than the budget passes when nothing is held"
        <| fun () ->
            task {
                let budget = ByteBudget 100L
                do! budget.HoldAsync(1000L, never)
                let next = budget.HoldAsync(1L, never).AsTask()
                Expect.isFalse next.IsCompleted "waits"
                budget.Release 1000L
                do! next.WaitAsync patience
            }

        Check.property
            "however it is used, the budget is kept, nobody is forgotten, and nothing is left over"
            (fun (wants: uint16 list) ->
                let budget = ByteBudget 1000L
                let sizes = wants |> List.map (fun want -> int64 want % 1000L + 1L)
                let mutable held = 0L

                let tasks = [
                    for size in sizes do
                        task {
                            do! budget.HoldAsync(size, never)
                            Expect.isLessThanOrEqual (Interlocked.Add(&held, size)) 1000L "the budget"
                            do! Task.Yield()
                            Interlocked.Add(&held, -size) |> ignore
                            budget.Release size
                        }
                        :> Task
                ]

                Task.WhenAll(tasks).WaitAsync(patience).GetAwaiter().GetResult()
                Expect.equal budget.HeldBytes 0L "left over")
    ]

/// A read that fails when told, and one that waits for it; whether the second is tried.
let private triedAfterFailure (waited: TimeSpan) =
    task {
        let time = ManualTime()
        let gate = ReadGate(1, TimeSpan.FromSeconds 10.0, time)
        let first = TaskCompletionSource<int>()
        let mutable isTried = false

        let read (run: unit -> Task<int>) = gate.RunAsync("reading", 1, run, never)

        let failing = read (fun () -> first.Task)

        let waiting =
            read (fun () ->
                isTried <- true
                Task.FromResult 1)

        Expect.isFalse isTried "waits"
        time.Advance waited
        first.SetException(StoreUnavailableException "scripted")
        do! (failing :> Task).ContinueWith(ignore<Task>)
        do! (waiting :> Task).ContinueWith(ignore<Task>).WaitAsync patience

        return
            isTried,
            (if waiting.IsFaulted then
                 waiting.Exception.InnerException.Message
             else
                 "")
    }

let private reads =
    testList "reads" [
        testCaseTask "one that has waited for others, none of which succeeded, does not try as well"
        <| fun () ->
            task {
                let! isTried, message = triedAfterFailure (TimeSpan.FromSeconds 10.1)
                Expect.isFalse isTried "the store does not answer"
                Expect.stringContains message "reading failed: no read has succeeded" "why"
            }

        testCaseTask "one failure is nothing to go by"
        <| fun () ->
            task {
                let! tried = triedAfterFailure (TimeSpan.FromSeconds 9.9)
                Expect.equal tried (true, "") "read"
            }
    ]

/// Lets time pass in steps until the connection is closed, and says how much it took.
let private untilClosed (time: ManualTime) (step: TimeSpan) (client: Client) =
    task {
        let closed = client.Receive 1
        let mutable passed = TimeSpan.Zero

        while not closed.IsCompleted && passed < step * 100.0 do
            time.Advance step
            passed <- passed + step
            let! (_: Task) = Task.WhenAny(closed, Task.Delay 20)
            ()

        let! rest = closed
        Expect.isEmpty rest "closed"
        return passed
    }

let private idle =
    testList "idle connections" [
        testCaseTask "a connection on which nothing happens is closed after the idle time"
        <| fun () ->
            task {
                let time = ManualTime()
                use server = new Server(echoToy (), NetworkOptions(TimeProvider = time))
                use client = new Client(server)
                do! client.Send(frame 1 10)
                let! (_: int) = client.ReceiveId()
                time.Advance(TimeSpan.FromMinutes 9.0)
                do! client.Send(frame 2 10)
                let! id = client.ReceiveId()
                Expect.equal id 2 "nine minutes are not idle"
                let! passed = untilClosed time (TimeSpan.FromMinutes 1.0) client
                Expect.isGreaterThanOrEqual passed (TimeSpan.FromMinutes 9.0) "not before its time"
                Expect.isLessThanOrEqual passed (TimeSpan.FromMinutes 12.0) "nor long after"
                Expect.isEmpty (server.Lines.AtLeast LogEventLevel.Information) "no line"
            }

        testCaseTask "a request that waits for memory for too long goes with its connection"
        <| fun () ->
            task {
                let time = ManualTime()
                let length = FrameBuffer.FirstBytes * 2
                let toy = manualToy ()

                use server =
                    new Server(toy, NetworkOptions(MaxLargeRequestBytes = int64 length, TimeProvider = time))

                use one = new Client(server)
                do! one.Send(frame 1 length)
                let! (first: ToyRequest) = toy.Next()
                use two = new Client(server)
                let sending = two.Send(frame 2 length)
                do! eventually "it waits" (fun () -> server.Listener.Budget.Large.HasWaiters)
                let! passed = untilClosed time (TimeSpan.FromSeconds 5.0) two
                Expect.isGreaterThanOrEqual passed (TimeSpan.FromSeconds 30.0) "not before its time"
                do! sending.ContinueWith(ignore<Task>)
                do! eventually "what it held is given back" (fun () -> server.Listener.Budget.Beginnings.HeldBytes = 0L)
                first.Echo()
                let! id = one.ReceiveId()
                Expect.equal id 1 "who has memory is served"
            }

        testCaseTask "a client that waits for a reply is not idle"
        <| fun () ->
            task {
                let time = ManualTime()
                let toy = manualToy ()
                use server = new Server(toy, NetworkOptions(TimeProvider = time))
                use client = new Client(server)
                do! client.Send(frame 1 10)
                let! (request: ToyRequest) = toy.Next()
                time.Advance(TimeSpan.FromHours 5.0)
                request.Echo()
                let! id = client.ReceiveId()
                Expect.equal id 1 "answered"
            }

        testCaseTask "a client that takes nothing of its reply is closed sooner when others wait for the memory"
        <| fun () ->
            task {
                let time = ManualTime()
                let toy = manualToy ()
                let mutable isShort = false

                let processor = {
                    new IRequestProcessor with
                        member _.IsShortOfMemory = isShort

                        member _.ProcessAsync(connection, frame, cancellationToken) =
                            (toy :> IRequestProcessor).ProcessAsync(connection, frame, cancellationToken)
                }

                use server =
                    new Server(
                        processor,
                        NetworkOptions(TimeProvider = time, SlowClientTimeout = TimeSpan.FromMinutes 5.0)
                    )

                use client = new Client(server)
                // More than the buffers of a socket take.
                let sending = client.Send(frame 1 20_000_000)
                let! (request: ToyRequest) = toy.Next()
                do! sending
                request.Echo()
                time.Advance(TimeSpan.FromSeconds 60.0)
                Expect.equal server.Listener.ConnectionCount 1 "there is enough memory"
                isShort <- true
                let watch = Diagnostics.Stopwatch.StartNew()
                let mutable passed = TimeSpan.Zero

                while server.Listener.ConnectionCount > 0 && watch.Elapsed < patience do
                    time.Advance(TimeSpan.FromSeconds 5.0)
                    passed <- passed + TimeSpan.FromSeconds 5.0
                    do! Task.Delay 20

                Expect.equal server.Listener.ConnectionCount 0 "closed"
                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }

        testCaseTask "a client that stops within a request is closed sooner, and its memory ends"
        <| fun () ->
            task {
                let time = ManualTime()
                use server = new Server(echoToy (), NetworkOptions(TimeProvider = time))
                use client = new Client(server)
                do! client.Send((frame 1 1000)[..100])
                do! eventually "the request has begun" (fun () -> server.HeldBytes > 0L)
                let! passed = untilClosed time (TimeSpan.FromSeconds 10.0) client
                Expect.isLessThanOrEqual passed (TimeSpan.FromMinutes 2.0) "soon"
                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }
    ]

let private stopping =
    testList "stopping" [
        testCaseTask "what is in flight is answered, long polls are told, new clients are refused"
        <| fun () ->
            task {
                let toy = manualToy ()
                use server = new Server(toy, options)
                use client = new Client(server)
                use quiet = new Client(server)
                do! client.Send(frame 1 10)
                let! (request: ToyRequest) = toy.Next()
                use registration = request.Connection.Stopping.Register(fun () -> request.Echo())
                do! server.Listener.StopAsync patience
                let! id = client.ReceiveId()
                Expect.equal id 1 "answered"
                do! client.ExpectClosed()
                do! quiet.ExpectClosed()
                Expect.equal server.Listener.ConnectionCount 0 "none left"
                Expect.throwsT<SocketException> (fun () -> (new Client(server) :> IDisposable).Dispose()) "refused"
            }

        testCaseTask "what takes longer than the grace is cut off"
        <| fun () ->
            task {
                let time = ManualTime()
                let toy = manualToy ()

                use server =
                    new Server(toy, NetworkOptions(TimeProvider = time, DrainTimeout = TimeSpan.FromHours 1.0))

                use client = new Client(server)
                do! client.Send(frame 1 10)
                let! (request: ToyRequest) = toy.Next()
                let stopping = server.Listener.StopAsync(TimeSpan.FromSeconds 3.0)
                Expect.isFalse stopping.IsCompleted "waits"
                do! eventually "told to stop" (fun () -> request.Connection.Stopping.IsCancellationRequested)

                while not stopping.IsCompleted do
                    time.Advance(TimeSpan.FromSeconds 1.0)
                    let! (_: Task) = Task.WhenAny(stopping, Task.Delay 20)
                    ()

                do! stopping
                do! client.ExpectClosed()
                Expect.isTrue request.Cancellation.IsCancellationRequested "cancelled"
                request.NoReply()
            }

        testCaseTask "a port in use is said so, and is free again after stopping"
        <| fun () ->
            task {
                let first = new Server(echoToy (), options)
                let endpoint = { loopback with Port = first.Listener.Endpoint.Port }

                let bind () =
                    KafkaListener.Bind(endpoint, options, Serilog.Core.Logger.None)

                try
                    bind () |> ignore
                    failtest "bound twice"
                with :? ListenException as refusal ->
                    Expect.stringContains refusal.Message $"tcp://127.0.0.1:{endpoint.Port}" "where"
                    Expect.stringContains refusal.Message "in use" "why"

                use client = new Client(first)
                do! client.Send(frame 1 10)
                let! (_: int) = client.ReceiveId()
                do! (first :> IAsyncDisposable).DisposeAsync()
                use again = bind ()
                Expect.equal again.Endpoint endpoint "the same again"
            }

        testCase "[::] takes IPv4 too, and an unknown host is said so"
        <| fun () ->
            let listener =
                KafkaListener.Bind({ Host = "::"; Port = 0 }, options, Serilog.Core.Logger.None)

            use client =
                new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)

            client.Connect("127.0.0.1", listener.Endpoint.Port)
            listener.DisposeAsync().AsTask().Wait()

            Expect.throwsT<ListenException>
                (fun () ->
                    KafkaListener.Bind({ Host = "203.0.113.9"; Port = 0 }, options, Serilog.Core.Logger.None)
                    |> ignore)
                "not this machine's"
    ]

let private memory =
    testList "memory" [
        for limit, compaction, heap in
            [
                256L, -1L, 128L
                1024L, -1L, 896L
                1024L, 32L, 896L
                1024L, 132L, 796L
                1024L, 8192L, 512L
            ] do
            testCase $"of {limit} MiB with {compaction} MiB for compaction, {heap} MiB are the heap's"
            <| fun () ->
                let mebi = 1024L * 1024L
                let bytes = if compaction < 0L then compaction else compaction * mebi
                Expect.equal (MemoryLimit.HeapBytes(limit * mebi, bytes)) (heap * mebi) "the heap's"
    ]

let tests =
    testList "limits" [ memoryOfSmallRequests; backPressure; budget; reads; idle; stopping; memory ]
