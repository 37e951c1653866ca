using System.Globalization;
using System.Text.Json;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Perf;

/// <summary>`tansu perf`: how fast a cluster is.</summary>
public static class PerfCommand
{
    /// <summary>Measures until it is done, or until SIGINT or SIGTERM.</summary>
    /// <param name="settings">Where the cluster is, and how to answer.</param>
    /// <param name="task">What to measure.</param>
    /// <param name="version">The program's version, which it tells the brokers.</param>
    /// <param name="output">For the summary.</param>
    /// <param name="errors">For a line of progress each second, and for failures.</param>
    /// <param name="cancellationToken">Says to stop, after which the summary comes.</param>
    /// <returns>The exit code: 0 if all was done, 1 if something failed.</returns>
    public static async Task<int> RunAsync(
        ClientSettings settings, PerfTask task, string version, TextWriter output, TextWriter errors, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(task);
        var answer = new CommandOutput(output, errors, settings.Json);
        var client = ClusterCommand.ClientOf(settings, version);
        await using var _ = client.ConfigureAwait(false);
        try
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            await CreateAsync(client, task, cancellationToken).ConfigureAwait(false);
            await MeasureAsync(client, task, answer, errors, stop).ConfigureAwait(false);
        }
        catch (KafkaClientException failure)
        {
            answer.Fail(failure.Message);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Before anything was measured.
        }

        return answer.HasFailed ? 1 : 0;
    }

    private static async Task MeasureAsync(
        KafkaClient client, PerfTask task, CommandOutput answer, TextWriter errors, CancellationTokenSource stop)
    {
        if (task.Kind.IsPerfLatency)
        {
            await new LatencyRun(client, task).RunAsync(answer, errors, stop).ConfigureAwait(false);
            return;
        }

        var meter = new PerfMeter(errors);
        using var done = new CancellationTokenSource();
        var telling = meter.TellAsync(done.Token);
        KafkaClientException? failure = null;
        var lost = 0L;
        try
        {
            if (task.Kind.IsPerfProduce)
            {
                lost = await new ProduceRun(client.Options, task, meter).RunAsync(stop).ConfigureAwait(false);
            }
            else
            {
                await new ConsumeRun(client.Options, task, meter).RunAsync(stop).ConfigureAwait(false);
            }
        }
        catch (KafkaClientException cause)
        {
            failure = cause;
        }

        await done.CancelAsync().ConfigureAwait(false);
        await telling.ConfigureAwait(false);
        meter.Finish();
        Summarize(task, answer, meter, lost);
        if (failure is not null)
        {
            answer.Fail($"topic {task.Topic}: {failure.Message}");
        }
        else if (lost > 0)
        {
            answer.Fail($"topic {task.Topic}: {lost} records were not written");
        }
    }

    private static void Summarize(PerfTask task, CommandOutput answer, PerfMeter meter, long lost)
    {
        var verb = task.Kind.IsPerfProduce ? "written" : "read";
        var what = task.Kind.IsPerfProduce ? "from batch to acknowledgement" : "of a fetch";
        answer.Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{meter.Records} records {verb} in {meter.Seconds:F2} s: {meter.Records / meter.Seconds:F0} records/s, {meter.Bytes / meter.Seconds / 1e6:F1} MB/s"));
        answer.Line($"{what}: {PerfMeter.Describe(meter.Latency)}");
        answer.Document(json =>
        {
            json.WriteString("topic", task.Topic);
            json.WriteNumber("records", meter.Records);
            json.WriteNumber("recordsLost", lost);
            json.WriteNumber("bytes", meter.Bytes);
            json.WriteNumber("seconds", Math.Round(meter.Seconds, 3));
            json.WriteNumber("recordsPerSecond", Math.Round(meter.Records / meter.Seconds, 1));
            json.WriteNumber("megabytesPerSecond", Math.Round(meter.Bytes / meter.Seconds / 1e6, 3));
            WriteLatency(json, "latencyMs", meter.Latency);
        });
    }

    /// <summary>An object with percentiles, in milliseconds.</summary>
    internal static void WriteLatency(Utf8JsonWriter json, string name, LatencyHistogram latency)
    {
        json.WriteStartObject(name);
        json.WriteNumber("mean", Math.Round(latency.MeanMs, 3));
        json.WriteNumber("p50", latency.PercentileMs(0.5));
        json.WriteNumber("p95", latency.PercentileMs(0.95));
        json.WriteNumber("p99", latency.PercentileMs(0.99));
        json.WriteNumber("p999", latency.PercentileMs(0.999));
        json.WriteNumber("max", latency.MaxMs);
        json.WriteEndObject();
    }

    private static async Task CreateAsync(KafkaClient client, PerfTask task, CancellationToken cancellationToken)
    {
        if (!task.Creates)
        {
            return;
        }

        var topic = new CreateTopicsRequest.CreatableTopic { Name = task.Topic, NumPartitions = task.Partitions, ReplicationFactor = -1 };
        foreach (var outcome in await new KafkaAdmin(client).CreateTopicsAsync([topic], cancellationToken).ConfigureAwait(false))
        {
            if (outcome.Error is { } error && error.Code != ErrorCode.TopicAlreadyExists)
            {
                throw new KafkaClientException(error with { Message = $"topic {task.Topic}: {error.Message}" });
            }
        }
    }
}
