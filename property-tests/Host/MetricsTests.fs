/// The metrics port over real sockets: what it tells, whom it answers, and what it survives.
module Tansu.PropertyTests.Host.MetricsTests

open System
open System.Globalization
open System.Net
open System.Net.Http
open System.Net.Sockets
open System.Text
open System.Text.RegularExpressions
open System.Threading
open System.Threading.Tasks
open Expecto
open Serilog
open Tansu.Adapters
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Domain
open Tansu.Host
open Tansu.Host.Handlers
open Tansu.Host.Metrics
open Tansu.Host.Network
open Tansu.Host.Requests
open Tansu.PropertyTests
open Tansu.PropertyTests.Host.Fixture

/// Series and values of a text in Prometheus' format 0.0.4, which it must be to the letter.
let parse (text: string) : Map<string, float> =
    Expect.isTrue (text.EndsWith '\n') "the last line ends"

    let sample =
        Regex
            @"^(?<series>(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]+=""([^""\\\n]|\\[\\""n])*""(,[a-zA-Z_]+=""([^""\\\n]|\\[\\""n])*"")*\})?) (?<value>\S+)\z"

    let help = Regex @"^# HELP (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) \S.*\z"

    let kind =
        Regex @"^# TYPE (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<type>counter|gauge|histogram)\z"

    let mutable series = Map.empty
    let mutable families = Set.empty
    let mutable helped = ""
    let mutable family = ""
    let mutable isHistogram = false

    for line in text.TrimEnd('\n').Split '\n' do
        if help.IsMatch line then
            helped <- help.Match(line).Groups["name"].Value
            Expect.isFalse (families.Contains helped) $"one family of {helped}"
            families <- families.Add helped
        elif kind.IsMatch line then
            let found = kind.Match line
            family <- found.Groups["name"].Value
            Expect.equal family helped "TYPE follows HELP"
            isHistogram <- found.Groups["type"].Value = "histogram"

            Expect.equal
                (family.EndsWith("_total", StringComparison.Ordinal))
                (found.Groups["type"].Value = "counter")
                $"{family}: counters and nothing else end with _total"
        else
            let found = sample.Match line
            Expect.isTrue found.Success $"a sample: {line}"

            let names =
                if isHistogram then
                    [ family + "_bucket"; family + "_sum"; family + "_count" ]
                else
                    [ family ]

            Expect.contains names found.Groups["name"].Value "a sample is below its HELP and TYPE"
            let name = found.Groups["series"].Value
            Expect.isFalse (series.ContainsKey name) $"one sample of {name}"
            series <- series.Add(name, Double.Parse(found.Groups["value"].Value, CultureInfo.InvariantCulture))

    series

/// A broker in memory with its Kafka and its metrics port.
type private Scene(time: TimeProvider) =
    let lines = LogLines()
    let log = LoggerConfiguration().WriteTo.Sink(lines).CreateLogger()
    let kafka = KafkaListener.Bind(loopback, NetworkOptions(), log)

    let metrics =
        BrokerMetrics("1.2.3-\"odd\\one\"", DateTimeOffset.FromUnixTimeMilliseconds 1_790_000_000_123L, kafka)

    let port: MetricsListener =
        match MetricsListener.Start(loopback, metrics, log, time) with
        | null -> failtest "no metrics port"
        | port -> port

    let http =
        new HttpClient(BaseAddress = Uri $"http://127.0.0.1:{port.Endpoint.Port}", Timeout = patience)

    let mutable cluster: Cluster | null = null

    member _.Metrics = metrics
    member _.Lines = lines
    member _.Http = http

    member _.Cluster =
        match cluster with
        | null -> failtest "not opened"
        | cluster -> cluster

    /// Opens the store and serves, as the broker does.
    member _.Open() =
        task {
            let store = new MemoryStore(MemorySpace(), StoreOptions.Default)
            let options = ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9092)
            let! opened = Cluster.OpenAsync(store, options, CancellationToken.None)
            cluster <- opened
            let broker = Broker(opened, BrokerSettings(), log, TimeProvider.System)
            let apis = HandlerList.Create broker
            kafka.Start(RequestDispatcher(apis, log))
            metrics.Open(broker, apis)
        }

    member _.Connect(endpoint: Tansu.Host.CommandLine.Endpoint) =
        let socket =
            new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp, NoDelay = true)

        socket.Connect(IPAddress.Loopback, endpoint.Port)
        socket

    member this.ConnectToKafka() = this.Connect kafka.Endpoint
    member this.ConnectToMetrics() = this.Connect port.Endpoint

    member _.Scrape() =
        task {
            let! text = http.GetStringAsync "/metrics"
            return parse text
        }

    member _.Status(path: string) =
        task {
            use! response = http.GetAsync path
            return int response.StatusCode
        }

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            ValueTask(
                task {
                    http.Dispose()
                    do! port.DisposeAsync()
                    do! kafka.DisposeAsync()

                    match cluster with
                    | null -> ()
                    | cluster -> do! cluster.DisposeAsync()
                }
                :> Task
            )

let private scene () = new Scene(TimeProvider.System)

/// Everything that comes until the other side closes.
let private receiveAll (socket: Socket) =
    task {
        use deadline = new CancellationTokenSource(patience)
        let buffer = Array.zeroCreate<byte> 4096
        let text = StringBuilder()
        let mutable isOpen = true

        while isOpen do
            try
                let! received =
                    socket.ReceiveAsync(buffer.AsMemory(), SocketFlags.None, deadline.Token)

                text.Append(Encoding.ASCII.GetString(buffer, 0, received)) |> ignore
                isOpen <- received > 0
            with :? SocketException ->
                isOpen <- false

        return text.ToString()
    }

/// A request without a body, framed.
let private kafkaRequest (apiKey: int16) =
    use writer = new KafkaWriter()
    RequestHeader(RequestApiKey = apiKey, RequestApiVersion = 0s, CorrelationId = 7).Write(writer, 1s)
    let body = writer.ToArray()
    Array.append (claim body.Length) body

let private telling =
    testList "telling" [
        testCaseTask "counters move with what is done"
        <| fun () ->
            task {
                use scene = scene ()
                do! scene.Open()
                let! before = scene.Scrape()
                Expect.equal before["tansu_requests_total{api=\"ApiVersions\"}"] 0.0 "none yet"
                Expect.equal before["tansu_requests_total{api=\"Produce\"}"] 0.0 "every API is there from the beginning"
                Expect.equal before["tansu_connections"] 0.0 "no connection"
                Expect.equal before["tansu_log_entry{log=\"shard-0\"}"] 0.0 "an empty log"
                use client = scene.ConnectToKafka()

                for _ in 1..3 do
                    let! _ = client.SendAsync(ArraySegment(kafkaRequest 18s), SocketFlags.None)

                    let! received =
                        client.ReceiveAsync(ArraySegment(Array.zeroCreate<byte> 65536), SocketFlags.None)

                    Expect.isGreaterThan received 0 "a reply"

                let topic: NewTopic = {
                    Name = "t"
                    Id = TopicId(Guid.NewGuid())
                    PartitionCount = 1
                    Configs = Map.empty
                }

                let! _ =
                    scene.Cluster.SubmitAsync(CatalogCommand.CreateTopics([| topic |], false), patience)

                let! after = scene.Scrape()
                Expect.equal after["tansu_requests_total{api=\"ApiVersions\"}"] 3.0 "requests"
                Expect.equal after["tansu_connections"] 1.0 "connections"

                Expect.equal
                    after["tansu_log_entry{log=\"catalog\"}"]
                    (before["tansu_log_entry{log=\"catalog\"}"] + 1.0)
                    "entries"

                Expect.equal after["tansu_request_errors_total"] 0.0 "no error"
                let! _ = client.SendAsync(ArraySegment(kafkaRequest 999s), SocketFlags.None)
                let! _ = receiveAll client
                let mutable last = after

                do!
                    eventually "the error is counted and the connection is not" (fun () ->
                        last <- scene.Scrape().Result

                        last["tansu_request_errors_total"] = 1.0 && last["tansu_connections"] = 0.0)
            }

        testCaseTask "the process, the version and the runtime"
        <| fun () ->
            task {
                use scene = scene ()
                let! early = scene.Scrape()

                Expect.isFalse
                    (early.ContainsKey "tansu_log_entry{log=\"catalog\"}")
                    "nothing of the store before it is open"

                Expect.equal early["tansu_build_info{version=\"1.2.3-\\\"odd\\\\one\\\"\"}"] 1.0 "version, escaped"
                Expect.equal early["process_start_time_seconds"] 1_790_000_000.123 "start"
                Expect.isGreaterThan early["process_resident_memory_bytes"] 1e6 "memory"
                Expect.isGreaterThan early["dotnet_gc_heap_bytes"] 1e5 "heap"
                GC.Collect()
                let! later = scene.Scrape()

                for generation in 0..2 do
                    let series = $"dotnet_gc_collections_total{{generation=\"{generation}\"}}"
                    Expect.isGreaterThan later[series] early[series] series
            }

        testCaseTask "the answer's headers"
        <| fun () ->
            task {
                use scene = scene ()
                use! response = scene.Http.GetAsync "/metrics?name[]=up"
                Expect.equal response.StatusCode HttpStatusCode.OK "a query is ignored"

                Expect.equal
                    (string response.Content.Headers.ContentType)
                    "text/plain; version=0.0.4; charset=utf-8"
                    "content type"
            }

        Check.property "any text can be the value of a label" (fun (value: string | null) ->
            let value =
                match value with
                | null -> ""
                | value -> value

            let text =
                PrometheusText().Gauge("g", "Help.").Sample(5.0, ReadOnlySpan [| struct ("label", value) |]).ToString()

            let series = parse text |> Map.toList |> List.exactlyOne |> fst
            let escaped = series["g{label=\"".Length .. series.Length - 3]

            let read =
                Regex.Replace(
                    escaped,
                    @"\\(.)",
                    fun found -> if found.Value = "\\n" then "\n" else found.Groups[1].Value
                )

            Expect.equal read value "read back")
    ]

let private health =
    testList "health" [
        testCaseTask "live all the time; ready from when the store is open until the broker stops"
        <| fun () ->
            task {
                use scene = scene ()

                let expect ready what =
                    task {
                        let! live = scene.Status "/health/live"
                        Expect.equal live 200 $"live {what}"
                        let! status = scene.Status "/health/ready"
                        Expect.equal status ready $"ready {what}"
                    }

                do! expect 503 "before"
                do! scene.Open()
                do! expect 200 "while it serves"
                scene.Metrics.Stop()
                do! expect 503 "while it stops"
                let! status = scene.Status "/metrics"
                Expect.equal status 200 "metrics to the end"
            }

        testCaseTask "the port is free again when the listener has stopped"
        <| fun () ->
            task {
                let scene = scene ()
                let! status = scene.Status "/health/live"
                Expect.equal status 200 "live"
                let port = scene.Http.BaseAddress.Port
                do! (scene :> IAsyncDisposable).DisposeAsync()
                use client = new TcpClient()
                Expect.throws (fun () -> client.Connect(IPAddress.Loopback, port)) "nobody listens"
            }
    ]

let private hostile =
    testList "hostile" [
        testCaseTask "another path is 404, another method 405"
        <| fun () ->
            task {
                use scene = scene ()

                for path in [ "/"; "/metrics/"; "/health"; "/health/readyz"; "/../metrics%00" ] do
                    let! status = scene.Status path
                    Expect.equal status 404 path

                for method in [ HttpMethod.Post; HttpMethod.Put; HttpMethod.Delete ] do
                    use request =
                        new HttpRequestMessage(
                            method,
                            "/metrics",
                            Content = new ByteArrayContent(Array.zeroCreate 20_000)
                        )

                    use! response = scene.Http.SendAsync request
                    Expect.equal response.StatusCode HttpStatusCode.MethodNotAllowed $"{method}"
                    Expect.equal (List.ofSeq response.Content.Headers.Allow) [ "GET" ] "what is allowed"
            }

        testCaseTask "garbage is answered 400, too much 431, and a request cut off nothing"
        <| fun () ->
            task {
                use scene = scene ()

                let ask (bytes: byte array) =
                    task {
                        use client = scene.ConnectToMetrics()
                        let! _ = client.SendAsync(ArraySegment bytes, SocketFlags.None)
                        client.Shutdown SocketShutdown.Send
                        return! receiveAll client
                    }

                for text in
                    [
                        "\r\n\r\n"
                        "GET /metrics\r\n\r\n"
                        "\000\001\002 x HTTP/1.1\r\n\r\n"
                        "GET  /metrics HTTP/2\r\n\r\n"
                    ] do
                    let! answer = ask (Encoding.Latin1.GetBytes text)
                    Expect.stringStarts answer "HTTP/1.1 400 " text

                let! answer = ask (Array.create MetricsListener.MaxRequestBytes 65uy)
                Expect.stringStarts answer "HTTP/1.1 431 " "too much"
                let! answer = ask "GET /metrics HTTP/1.1\r\nHost: x\r\n"B
                Expect.equal answer "" "cut off"

                // A Kafka client that has mistaken the port, and what chance makes.
                let! _ = ask (kafkaRequest 18s)
                let random = Random(int Check.seed)

                for _ in 1..50 do
                    let bytes = Array.zeroCreate<byte>(random.Next 300)
                    random.NextBytes bytes
                    let! _ = ask bytes
                    ()

                let! status = scene.Status "/health/live"
                Expect.equal status 200 "unharmed"
                Expect.isEmpty (scene.Lines.AtLeast Events.LogEventLevel.Warning) "nothing to complain of"
            }

        testCaseTask "clients that say nothing are closed, and others are served then"
        <| fun () ->
            task {
                let time = ManualTime()
                use scene = new Scene(time)
                let silent = [ for _ in 1 .. MetricsListener.MaxConnections -> scene.ConnectToMetrics() ]
                let endings = Task.WhenAll [ for client in silent -> receiveAll client ]

                do!
                    eventually "all are closed" (fun () ->
                        time.Advance MetricsListener.ConnectionTimeout
                        endings.IsCompleted)

                let! answers = endings
                Expect.allEqual answers "" "no answer"

                for client in silent do
                    client.Dispose()

                let! status = scene.Status "/health/live"
                Expect.equal status 200 "served"
            }

        testCaseTask "a port that is taken is refused, with the flag to change"
        <| fun () ->
            task {
                use scene = scene ()
                let taken: Tansu.Host.CommandLine.Endpoint = { Host = "127.0.0.1"; Port = scene.Http.BaseAddress.Port }

                let message =
                    try
                        MetricsListener.Start(taken, scene.Metrics, Core.Logger.None, TimeProvider.System)
                        |> ignore

                        ""
                    with :? ListenException as refused ->
                        refused.Message

                Expect.stringContains message "in use" "what is wrong"
                Expect.stringContains message "--metrics-listener-url" "what to change"
            }
    ]

let tests = testList "metrics" [ telling; health; hostile ]
