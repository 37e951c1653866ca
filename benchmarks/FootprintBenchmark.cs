using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Confluent.Kafka;

namespace Tansu.Benchmarks;

/// <summary>
/// What the published program weighs and how fast it starts, beside an empty native program: the least that a program of this kind can
/// take. Needs <c>./publish</c>.
/// </summary>
internal static class FootprintBenchmark
{
    private const string Program = "artifacts/tansu";
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>ApiVersions version 0, correlation id 1, no client id.</summary>
    private static readonly byte[] ApiVersions = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255];

    public static async Task<int> RunAsync(string[] arguments)
    {
        var rounds = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 21;
        var directory = Path.Combine(Path.GetTempPath(), "tansu-footprint-" + Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(directory);
        try
        {
            var empty = PublishEmpty(directory);
            Console.WriteLine($"size: {new FileInfo(Program).Length / 1e6:F1} MB; an empty native program {new FileInfo(empty).Length / 1e6:F1} MB");
            var emptyMs = Medians.Of(Times(rounds, () => RunToEnd(empty)));
            Console.WriteLine($"an empty native program, start to end: {emptyMs:F1} ms");
            await StartsAsync("file, a store that exists", $"file://{directory}/store", rounds, emptyMs);
            await MemoryAsync($"file://{directory}/store");
            using var server = SlowS3.Start();
            var put = await SlowS3.PutMsAsync();
            Console.WriteLine($"one PUT of 16 KiB: p50 {put:F1} ms ({SlowS3.DelayMs} ms of every request added)");
            await StartsAsync($"s3 ({SlowS3.DelayMs} ms added to every request), a store that exists", "s3://test/footprint", rounds, emptyMs, put);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        return 0;
    }

    private static async Task StartsAsync(string name, string storageEngine, int rounds, double emptyMs, double roundTripMs = 0)
    {
        // The first start creates the cluster; a broker that comes back has the address that it had.
        var port = SlowS3.FreePort();
        using (var first = new Running(storageEngine, port))
        {
            await first.AnswersAsync();
            Produce(port);
        }

        var times = new List<double>();
        for (var round = 0; round < rounds; round++)
        {
            using var running = new Running(storageEngine, port);
            times.Add(await running.AnswersAsync());
        }

        var median = Medians.Of(times);
        Console.WriteLine(
            $"{name}: start of the process to the first ApiVersions reply: median {median:F1} ms (least {times.Min():F1}, most {times.Max():F1}) = {median / emptyMs:F1} empty programs"
            + (roundTripMs > 0 ? $", {median / roundTripMs:F1} PUTs" : ""));
    }

    private static async Task MemoryAsync(string storageEngine)
    {
        var port = SlowS3.FreePort();
        using var running = new Running(storageEngine, port);
        await running.AnswersAsync();
        var atStart = running.ResidentBytes;
        await Task.Delay(Idle);
        Console.WriteLine($"resident memory: after the start {atStart / 1e6:F1} MB, idle for {Idle.TotalSeconds:F0} s {running.ResidentBytes / 1e6:F1} MB");
    }

    /// <summary>A store in use has a topic and records.</summary>
    private static void Produce(int port)
    {
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = $"127.0.0.1:{port}" }).SetLogHandler((_, _) => { }).Build();
        producer.Produce("bench", new Message<Null, byte[]> { Value = [1] });
        producer.Flush(Patience);
    }

    private static List<double> Times(int rounds, Action run)
    {
        run();
        var times = new List<double>();
        for (var round = 0; round < rounds; round++)
        {
            var begun = Stopwatch.GetTimestamp();
            run();
            times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }

        return times;
    }

    private static void RunToEnd(string program)
    {
        using var running = Process.Start(program);
        running.WaitForExit();
    }

    /// <summary>An empty program, compiled and linked as the broker is.</summary>
    private static string PublishEmpty(string directory)
    {
        var project = Path.Combine(directory, "empty");
        Directory.CreateDirectory(project);
        File.WriteAllText(Path.Combine(project, "Program.cs"), "return 0;\n");
        File.WriteAllText(
            Path.Combine(project, "empty.csproj"),
            """
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <RuntimeIdentifier>linux-x64</RuntimeIdentifier>
                <PublishAot>true</PublishAot>
                <StaticExecutable>true</StaticExecutable>
                <PositionIndependentExecutable>false</PositionIndependentExecutable>
                <ObjCopyName>objcopy</ObjCopyName>
                <InvariantGlobalization>true</InvariantGlobalization>
              </PropertyGroup>
            </Project>
            """);
        var output = Path.Combine(directory, "empty-program");
        using var publishing = Process.Start("dotnet", ["publish", project, "-c", "Release", "--nologo", "-v", "quiet", "-o", output]);
        publishing.WaitForExit();
        return publishing.ExitCode == 0 ? Path.Combine(output, "empty") : throw new InvalidOperationException("the empty program cannot be compiled");
    }

    /// <summary>One broker.</summary>
    private sealed class Running : IDisposable
    {
        private readonly Process _process;
        private readonly long _begun;
        private readonly int _port;

        public Running(string storageEngine, int port)
        {
            _port = port;
            var start = new ProcessStartInfo(
                Path.GetFullPath(Program),
                ["broker", "--listener-url", $"tcp://127.0.0.1:{_port}", "--advertised-listener-url", $"tcp://127.0.0.1:{_port}", "--storage-engine", storageEngine, "--log-level", "error"]);
            _begun = Stopwatch.GetTimestamp();
            _process = Process.Start(start)!;
        }

        public long ResidentBytes
        {
            get
            {
                _process.Refresh();
                return _process.WorkingSet64;
            }
        }

        /// <summary>Milliseconds from the start of the process to the first reply.</summary>
        public async Task<double> AnswersAsync()
        {
            var reply = new byte[4];
            while (true)
            {
                try
                {
                    using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                    await socket.ConnectAsync(IPAddress.Loopback, _port);
                    await socket.SendAsync(ApiVersions);
                    if (await socket.ReceiveAsync(reply) > 0)
                    {
                        return Stopwatch.GetElapsedTime(_begun).TotalMilliseconds;
                    }
                }
                catch (SocketException) when (Stopwatch.GetElapsedTime(_begun) < Patience && !_process.HasExited)
                {
                    // Not yet.
                    await Task.Yield();
                }
            }
        }

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }
    }
}
