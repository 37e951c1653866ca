using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Tansu.Benchmarks;

/// <summary>The other side of a benchmark in a process of its own, so that its processor time can be told from the client's.</summary>
internal sealed partial class OtherProcess : IDisposable
{
    /// <summary>USER_HZ, in which the kernel counts processor time.</summary>
    private const double TicksPerSecond = 100;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly int _metricsPort;

    private OtherProcess(Process process, int port, int metricsPort)
    {
        _process = process;
        _metricsPort = metricsPort;
        Port = port;
    }

    /// <summary>The broker: the native program that ./publish makes, or what the variable TANSU_PROGRAM names.</summary>
    public static string BrokerProgram => Environment.GetEnvironmentVariable("TANSU_PROGRAM") ?? "artifacts/tansu";

    public int Port { get; }

    public int Id => _process.Id;

    /// <summary>User and system time so far, in seconds, as the operating system counts it.</summary>
    public double ProcessorSeconds
    {
        get
        {
            // The name may hold spaces, so count from its closing bracket: fields 14 and 15 are the times.
            var stat = File.ReadAllText($"/proc/{_process.Id}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
        }
    }

    public long ResidentBytes
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>A broker, as <see cref="BrokerProgram"/>.</summary>
    public static async Task<OtherProcess> BrokerAsync(string storageEngine, params string[] flags)
    {
        var program = Path.GetFullPath(BrokerProgram);
        if (!File.Exists(program))
        {
            throw new InvalidOperationException("run ./publish first, and this from the repository's root");
        }

        var process = Start(
            program,
            ["broker", "--listener-url", "tcp://127.0.0.1:0", "--metrics-listener-url", "tcp://127.0.0.1:0", "--storage-engine", storageEngine, .. flags]);
        var metricsPort = 0;
        while (await process.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line)
        {
            if (MetricsLine().Match(line) is { Success: true } metrics)
            {
                metricsPort = int.Parse(metrics.Groups[1].Value, CultureInfo.InvariantCulture);
            }
            else if (ListensLine().Match(line) is { Success: true } listens)
            {
                _ = process.StandardOutput.ReadToEndAsync();
                return new OtherProcess(process, int.Parse(listens.Groups[1].Value, CultureInfo.InvariantCulture), metricsPort);
            }
        }

        throw new InvalidOperationException($"the broker did not start on {storageEngine}");
    }

    /// <summary>Creates the topic that benchmarks write to, <see cref="BrokerUnderTest.TopicName"/>.</summary>
    public async Task CreateTopicAsync(int partitions)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = $"127.0.0.1:{Port}" }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = BrokerUnderTest.TopicName, NumPartitions = partitions, ReplicationFactor = 1 }]);
    }

    /// <summary>A part of this program: <c>sink</c> or <c>source</c>.</summary>
    public static async Task<OtherProcess> PartAsync(params string[] arguments)
    {
        var process = Start(Environment.ProcessPath!, arguments);
        var port = await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);
        return new OtherProcess(process, int.Parse(port!, CultureInfo.InvariantCulture), 0);
    }

    /// <summary>Runs as such a part until the other process ends this one.</summary>
    public static async Task<int> RunPartAsync(int port)
    {
        Console.WriteLine(port);
        await Console.In.ReadToEndAsync();
        return 0;
    }

    /// <summary>A sample of the broker's metrics, or the sum of several.</summary>
    public async Task<double> MetricAsync(string name)
    {
        using var http = new HttpClient();
        var text = await http.GetStringAsync(new Uri($"http://127.0.0.1:{_metricsPort}/metrics"));
        return text.Split('\n')
            .Where(line => line.StartsWith(name, StringComparison.Ordinal) && line[name.Length] is ' ' or '{' or '}')
            .Sum(static line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private static Process Start(string program, string[] arguments) =>
        Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;

    [GeneratedRegex(@"Metrics and health on tcp://\S*:(\d+)")]
    private static partial Regex MetricsLine();

    [GeneratedRegex(@"listens on tcp://\S*:(\d+),")]
    private static partial Regex ListensLine();
}
