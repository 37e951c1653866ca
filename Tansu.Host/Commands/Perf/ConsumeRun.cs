using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Perf;

/// <summary>
/// Several consumers that read a topic from the beginning and share out its partitions. They count the records of batches by their
/// headers and do not decompress: what is measured is the cluster.
/// </summary>
/// <param name="options">How to reach the cluster: each consumer has connections of its own.</param>
/// <param name="task">What to do.</param>
/// <param name="meter">Counts what came.</param>
internal sealed class ConsumeRun(ClientOptions options, PerfTask task, PerfMeter meter)
{
    /// <summary>Reads until the end, or enough.</summary>
    /// <exception cref="KafkaClientException">The topic cannot be read.</exception>
    public async Task RunAsync(CancellationTokenSource stop)
    {
        await using var client = new KafkaClient(options);
        var metadata = await client.RetryAsync(token => client.MetadataAsync([task.Topic], token), stop.Token);
        var partitions = metadata.PartitionsOf(task.Topic);
        var from = await StartPositions.FindAsync(client, task.Topic, partitions, StartPosition.FromBeginning, stop.Token);
        if (task.DurationMs >= 0)
        {
            stop.CancelAfter(TimeSpan.FromMilliseconds(task.DurationMs));
        }

        meter.Start();
        var running = new List<Task>();
        for (var index = 0; index < task.Clients; index++)
        {
            var share = new Dictionary<int, long>();
            foreach (var partition in partitions)
            {
                if (partition % task.Clients == index)
                {
                    share[partition] = from[partition];
                }
            }

            running.Add(Task.Run(() => ConsumeAsync(share, stop)));
        }

        await Task.WhenAll(running);
    }

    private async Task ConsumeAsync(Dictionary<int, long> from, CancellationTokenSource stop)
    {
        if (from.Count == 0)
        {
            return;
        }

        await using var client = new KafkaClient(options);
        var fetching = new FetcherOptions { Topic = task.Topic, IsReadCommitted = task.IsReadCommitted };
        try
        {
            await foreach (var fetched in new RecordFetcher(client, fetching, from).ReadAsync(stop.Token))
            {
                using (fetched)
                {
                    var records = 0L;
                    fetched.Batches.ForEach(batch => records += batch.Header.RecordCount);
                    if (fetched.Bytes > 0)
                    {
                        meter.Add(records, fetched.Bytes, fetched.Ticks);
                    }
                }

                if (task.Records >= 0 && meter.Records >= task.Records)
                {
                    await stop.CancelAsync();
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Time is up, it is enough, or somebody says stop.
        }
        catch (KafkaClientException)
        {
            await stop.CancelAsync();
            throw;
        }
    }
}
