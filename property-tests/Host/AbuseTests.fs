/// Clients that mean no good, or know no better: each loses its connection, is counted and named in the log, and leaves no memory behind.
module Tansu.PropertyTests.Host.AbuseTests

open System
open System.Diagnostics
open System.Net
open System.Net.Sockets
open System.Threading.Tasks
open Expecto
open Serilog.Events
open Tansu.Codec
open Tansu.Host.Network
open Tansu.PropertyTests.Host.Fixture

/// A connection from an address of this machine's that one can choose.
let private connectFrom (address: string) (server: Server) =
    let socket =
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)

    socket.Bind(IPEndPoint(IPAddress.Parse address, 0))
    socket.Connect(IPAddress.Loopback, server.Listener.Endpoint.Port)
    socket

let private expectClosed (socket: Socket) =
    task {
        let! received =
            socket.ReceiveAsync(Array.zeroCreate<byte> 1, SocketFlags.None).WaitAsync patience

        Expect.equal received 0 "the connection is closed"
    }

let private warnings (server: Server) =
    server.Lines.AtLeast LogEventLevel.Warning

let private connections =
    testList "too many connections" [
        testCaseTask "of one address are closed; other addresses, and those that come when others have gone, are served"
        <| fun () ->
            task {
                use server = new Server(echoToy (), NetworkOptions(MaxConnectionsPerAddress = 2))
                use first = new Client(server)
                use second = new Client(server)

                for client in [ first; second ] do
                    do! client.Send(frame 1 10)
                    let! (_: int) = client.ReceiveId()
                    ()

                use third = new Client(server)
                do! third.ExpectClosed()
                Expect.equal server.Listener.RefusedConnectionCount 1L "counted"
                Expect.stringContains (List.exactlyOne (warnings server)) "127.0.0.1" "named"
                use other = connectFrom "127.0.0.2" server
                let! _ = other.SendAsync(frame 1 10, SocketFlags.None)

                let! received =
                    other.ReceiveAsync(Array.zeroCreate<byte> 1, SocketFlags.None).WaitAsync patience

                Expect.equal received 1 "another address is served"
                (first :> IDisposable).Dispose()
                do! eventually "the first has gone" (fun () -> server.Listener.ConnectionCount = 2)
                use fourth = new Client(server)
                do! fourth.Send(frame 4 10)
                let! id = fourth.ReceiveId()
                Expect.equal id 4 "there is room again"
            }

        testCaseTask "are named in the log a few times a second, and all of them counted"
        <| fun () ->
            task {
                let options = NetworkOptions(MaxConnections = 1, TimeProvider = ManualTime())

                use server = new Server(echoToy (), options)
                use first = new Client(server)
                do! first.Send(frame 1 10)
                let! (_: int) = first.ReceiveId()
                let refused = 3 * RateLimitedLog.LinesPerSecond

                for _ in 1..refused do
                    use socket = connectFrom "127.0.0.1" server
                    do! expectClosed socket

                Expect.equal server.Listener.RefusedConnectionCount (int64 refused) "counted"
                Expect.equal (warnings server).Length RateLimitedLog.LinesPerSecond "within one second"
            }
    ]

/// A toy that knows one API in one version.
let private recognizing () =
    let toy = echoToy () :> IRequestProcessor

    {
        new IRequestProcessor with
            member _.Recognize(apiKey, version) =
                if (apiKey, version) <> (18s, 3s) then
                    raise (KafkaFormatException $"API {apiKey} is not served")

            member _.ProcessAsync(connection, frame, cancellationToken) =
                toy.ProcessAsync(connection, frame, cancellationToken)
    }

let private strangers =
    testList "what is no Kafka client" [
        testCaseTask "is turned away by its first four bytes, and nothing is kept of it"
        <| fun () ->
            task {
                use server = new Server(recognizing (), NetworkOptions())
                use client = new Client(server)
                do! client.Send(claim 50_000_000)
                do! client.Send [| 0uy |]
                Expect.equal server.HeldBytes 0L "a length and half an API key hold nothing"
                do! client.Send [| 99uy; 0uy; 0uy |]
                do! client.ExpectClosed()
                do! eventually "counted" (fun () -> server.Listener.MalformedRequestCount = 1L)
                let line = List.exactlyOne (warnings server)
                Expect.stringContains line "127.0.0.1:" "the address"
                Expect.stringContains line "API 99" "why"
                Expect.equal server.HeldBytes 0L "nothing is held"
            }

        testCaseTask "is told from a client once; later requests are judged when they are there"
        <| fun () ->
            task {
                use server = new Server(recognizing (), NetworkOptions())
                use client = new Client(server)
                let first = frame 1 100
                Array.blit [| 0uy; 18uy; 0uy; 3uy |] 0 first 4 4
                do! client.Send first[..5]
                do! client.Send first[6..]
                let! _ = client.ReceiveEcho()
                do! client.Send(frame 2 100)
                let! id = client.ReceiveId()
                Expect.equal id 2 "the second"
            }
    ]

/// Lets time pass in small steps, with something done before each, until no connection is left; gives how much has passed.
let private untilNoneIsLeft (server: Server) (time: ManualTime) (each: unit -> Task) =
    task {
        let step = TimeSpan.FromSeconds 5.0
        let watch = Stopwatch.StartNew()
        let mutable passed = TimeSpan.Zero

        while server.Listener.ConnectionCount > 0 do
            if watch.Elapsed > patience then
                failtest "the connection stays open"

            do! each ()
            time.Advance step
            passed <- passed + step
            do! Task.Delay 2

        return passed
    }

let private slow =
    testList "slow clients" [
        testCaseTask "that take nothing of their replies lose them after the slow client time"
        <| fun () ->
            task {
                let time = ManualTime()
                let toy = manualToy ()
                use server = new Server(toy, NetworkOptions(TimeProvider = time))
                use client = new Client(server)
                // More than the buffers of a socket take.
                let sending = client.Send(frame 1 20_000_000)
                let! (request: ToyRequest) = toy.Next()
                do! sending
                request.Echo()
                let! _ = client.Receive 8
                let! passed = untilNoneIsLeft server time (fun () -> Task.CompletedTask)
                Expect.isGreaterThanOrEqual passed (TimeSpan.FromSeconds 60.0) "not before its time"
                Expect.equal server.Listener.SlowClientCount 1L "counted"
                Expect.stringContains (List.exactlyOne (warnings server)) "127.0.0.1" "named"
                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }

        testCaseTask "that go on asking while they take nothing gain no time by it"
        <| fun () ->
            task {
                let time = ManualTime()
                use server = new Server(echoToy (), NetworkOptions(TimeProvider = time))
                use client = new Client(server)
                do! client.Send(frame 1 20_000_000)
                let! _ = client.Receive 8
                let mutable id = 1

                let ask () : Task =
                    task {
                        try
                            id <- id + 1
                            do! client.Send(frame id 10)
                        with :? SocketException ->
                            ()
                    }

                let! (_: TimeSpan) = untilNoneIsLeft server time ask
                Expect.equal server.Listener.SlowClientCount 1L "counted"
            }

        testCaseTask "that send a request byte by byte are closed, however often a byte comes"
        <| fun () ->
            task {
                let time = ManualTime()
                use server = new Server(echoToy (), NetworkOptions(TimeProvider = time))
                use client = new Client(server)
                let request = frame 1 100_000
                do! client.Send request[..99]
                do! eventually "the request has begun" (fun () -> server.HeldBytes > 0L)
                let mutable sent = 100

                let sendOne () : Task =
                    task {
                        try
                            do! client.Send [| request[sent] |]
                            sent <- sent + 1
                        with :? SocketException ->
                            ()
                    }

                let! (_: TimeSpan) = untilNoneIsLeft server time sendOne
                do! eventually "all memory is given back" (fun () -> server.HeldBytes = 0L)
            }
    ]

let tests = testList "abuse" [ connections; strangers; slow ]
