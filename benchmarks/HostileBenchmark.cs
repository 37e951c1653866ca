using System.Diagnostics;
using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// What a producer notices of an attack on its broker: the p99 of its requests alone and beside the attackers, in turns, in one run. The attackers are a
/// process of their own; they and the broker share the machine.
/// </summary>
internal static class HostileBenchmark
{
    private const int BatchBytes = 1000;
    private const int WarmUpRequests = 2000;
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
            await using var broker = await BrokerUnderTest.StartAsync($"file://{directory}", partitions: 1);
            await MeasureAsync(broker, rounds);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        return 0;
    }

    private static async Task MeasureAsync(BrokerUnderTest broker, int rounds)
    {
        var frame = broker.Frames(BatchBytes, BatchBytes)[0];
        using var client = new Producer(broker.Port, frame);
        client.Produce(WarmUpRequests);
        var ratios = new List<double>();
        var (allAlone, allAttacked) = (new List<double>(), new List<double>());
        for (var round = 1; round <= rounds; round++)
        {
            var alone = client.Produce(Measured);
            var before = GC.GetTotalMemory(forceFullCollection: true);
            var malformed = broker.MalformedRequests;
            double[] attacked;
            int connections;
            using (var attackers = await Attackers.StartAsync(broker.Port))
            {
                attacked = client.Produce(Measured);
                connections = broker.Connections;
            }

            allAlone.AddRange(alone);
            allAttacked.AddRange(attacked);
            var after = await SettledMemoryAsync();
            ratios.Add(At(attacked, 0.99) / At(alone, 0.99));
            Console.WriteLine(
                $"round {round}: alone p50 {At(alone, 0.5):F2} p99 {At(alone, 0.99):F2} ms, under attack p50 {At(attacked, 0.5):F2} p99 {At(attacked, 0.99):F2} ms"
                + $" = {ratios[^1]:F2} times;"
                + $" {connections} connections, {broker.MalformedRequests - malformed} malformed requests; the heap then was {(after - before) / 1e6:+0.0;-0.0} MB larger");
        }

        ratios.Sort();
        allAlone.Sort();
        allAttacked.Sort();
        Console.WriteLine($"p99 under attack / p99 alone: median {ratios[ratios.Count / 2]:F2}, least {ratios[0]:F2}, most {ratios[^1]:F2};"
            + $" of all rounds together {At(allAttacked, 0.99) / At(allAlone, 0.99):F2}");
    }

    // The broker is in this process: once the connections have gone, what they held is garbage.
    private static async Task<long> SettledMemoryAsync()
    {
        await Task.Delay(TimeSpan.FromSeconds(1));
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    private static double At(IReadOnlyList<double> sorted, double share) => sorted[(int)(share * (sorted.Count - 1))];

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
