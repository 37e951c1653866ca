using System.Diagnostics;
using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// What a producer notices of an attack on its broker: the p99 of its requests alone and beside the attackers, in turns, in one run. Broker and attackers are
/// processes of their own and share the machine with the producer; a third turn, in which the same attackers attack another broker that has nothing else to
/// do, shows how much of it is the machine's doing.
/// </summary>
internal static class HostileBenchmark
{
    private const int BatchBytes = 1000;
    private const int WarmUpRequests = 2000;
    private const string MemoryLimit = "512MiB";
    private const string MaxConnections = "6000";
    private const string MalformedRequests = "tansu_malformed_requests_total";
    private const string OpenConnections = "tansu_connections";
    private static readonly TimeSpan Measured = TimeSpan.FromSeconds(4);

    public static async Task<int> RunAsync(string[] arguments)
    {
        if (arguments is ["--attack", var port])
        {
            await HostileClients.AttackAsync(int.Parse(port, CultureInfo.InvariantCulture));
            return 0;
        }

        var rounds = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 5;
        var directory = Path.Combine(Path.GetTempPath(), "tansu-hostile-" + Guid.NewGuid().ToString("N"));
        try
        {
            using var broker = await OtherProcess.BrokerAsync($"file://{directory}/store", "--memory-limit", MemoryLimit, "--max-connections", MaxConnections);
            using var decoy = await OtherProcess.BrokerAsync($"file://{directory}/decoy", "--memory-limit", MemoryLimit, "--max-connections", MaxConnections);
            foreach (var one in (OtherProcess[])[broker, decoy])
            {
                await one.CreateTopicAsync(partitions: 1);
            }

            // Something to ask for.
            var frame = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, 1, BatchBytes, BatchBytes)[0];
            await LoadGenerator.RunOnceAsync(decoy.Port, [Enumerable.Repeat(frame, WarmUpRequests).ToArray()], inFlight: 1);
            await MeasureAsync(broker, decoy, rounds);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        return 0;
    }

    private static async Task MeasureAsync(OtherProcess broker, OtherProcess decoy, int rounds)
    {
        var frame = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, 1, BatchBytes, BatchBytes)[0];
        using var client = new Producer(broker.Port, frame);
        client.Produce(WarmUpRequests);
        var (ratios, elsewhere) = (new List<double>(), new List<double>());
        var (allAlone, allAttacked) = (new List<double>(), new List<double>());
        for (var round = 1; round <= rounds; round++)
        {
            var alone = client.Produce(Measured);
            var malformed = await broker.MetricAsync(MalformedRequests);
            double[] attacked, beside;
            double connections, cpu;
            using (await Attackers.StartAsync(broker.Port))
            {
                cpu = -broker.ProcessorSeconds;
                attacked = client.Produce(Measured);
                cpu += broker.ProcessorSeconds;
                connections = await broker.MetricAsync(OpenConnections);
            }

            var refused = await broker.MetricAsync(MalformedRequests) - malformed;
            using (await Attackers.StartAsync(decoy.Port))
            {
                beside = client.Produce(Measured);
            }

            // Some seconds have passed since the attack ended.
            var resident = broker.ResidentBytes;

            allAlone.AddRange(alone);
            allAttacked.AddRange(attacked);
            ratios.Add(Medians.At(attacked, 0.99) / Medians.At(alone, 0.99));
            elsewhere.Add(Medians.At(attacked, 0.99) / Medians.At(beside, 0.99));
            Console.WriteLine(
                $"round {round}: alone p50 {Medians.At(alone, 0.5):F2} p99 {Medians.At(alone, 0.99):F2} ms, under attack p50 {Medians.At(attacked, 0.5):F2} p99 {Medians.At(attacked, 0.99):F2} ms"
                + $" = {ratios[^1]:F2} times; another broker under attack: p50 {Medians.At(beside, 0.5):F2} p99 {Medians.At(beside, 0.99):F2} ms;"
                + $" {connections} connections, {refused} malformed requests, {cpu / Measured.TotalSeconds:P0} of a processor; RSS four seconds later {resident / 1e6:F0} MB");
        }

        ratios.Sort();
        elsewhere.Sort();
        allAlone.Sort();
        allAttacked.Sort();
        Console.WriteLine($"p99 under attack / p99 alone: median {Medians.Of(ratios):F2}, least {ratios[0]:F2}, most {ratios[^1]:F2};"
            + $" of all rounds together {Medians.At(allAttacked, 0.99) / Medians.At(allAlone, 0.99):F2}");
        Console.WriteLine($"p99 under attack / p99 while another broker is under attack: median {Medians.Of(elsewhere):F2}, least {elsewhere[0]:F2}, most {elsewhere[^1]:F2}");
    }

    /// <summary>Sends one request over and over.</summary>
    private sealed class Producer(int port, byte[] frame) : IDisposable
    {
        private readonly SerialClient _client = new(port);

        public void Produce(int requests)
        {
            for (var request = 0; request < requests; request++)
            {
                _client.Ask(frame);
            }
        }

        /// <summary>The milliseconds of each request, sorted.</summary>
        public double[] Produce(TimeSpan duration)
        {
            var times = new List<double>();
            var clock = Stopwatch.StartNew();
            while (clock.Elapsed < duration)
            {
                var start = Stopwatch.GetTimestamp();
                _client.Ask(frame);
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }

            times.Sort();
            return [.. times];
        }

        public void Dispose() => _client.Dispose();
    }

    /// <summary>The attackers' process: it says when all are there, and ends when its input does.</summary>
    private sealed class Attackers(Process process) : IDisposable
    {
        public static async Task<Attackers> StartAsync(int port)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
            if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            {
                start.ArgumentList.Add(typeof(HostileBenchmark).Assembly.Location);
            }

            foreach (var argument in (string[])["hostile", "--attack", $"{port}"])
            {
                start.ArgumentList.Add(argument);
            }

            var process = Process.Start(start)!;
            var said = await process.StandardOutput.ReadLineAsync();
            return said == HostileClients.Ready ? new Attackers(process) : throw new InvalidOperationException($"the attackers said: {said}");
        }

        public void Dispose()
        {
            process.StandardInput.Close();
            process.WaitForExit();
            process.Dispose();
        }
    }
}
