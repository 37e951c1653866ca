using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <summary>Where reading begins.</summary>
internal static class StartPositions
{
    /// <summary>The offsets at which to begin.</summary>
    /// <param name="client">The cluster.</param>
    /// <param name="topic">The topic.</param>
    /// <param name="partitions">Its partitions.</param>
    /// <param name="start">What is asked for.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="KafkaClientException">A broker does not tell.</exception>
    public static async Task<IReadOnlyDictionary<int, long>> FindAsync(
        KafkaClient client, string topic, IReadOnlyList<int> partitions, StartPosition start, CancellationToken cancellationToken)
    {
        if (partitions.Count == 0)
        {
            return new Dictionary<int, long>();
        }

        var earliest = await OffsetsAsync(KafkaAdmin.Earliest);
        if (start.IsFromBeginning)
        {
            return earliest;
        }

        var latest = await OffsetsAsync(KafkaAdmin.Latest);
        var found = start is StartPosition.FromTime time ? await OffsetsAsync(time.timestampMs) : latest;
        var positions = new Dictionary<int, long>();
        foreach (var partition in partitions)
        {
            var wanted = start switch
            {
                StartPosition.FromOffset from => from.offset,
                StartPosition.FromLast last => latest[partition] - last.records,
                // No record is that young.
                _ => found[partition] < 0 ? latest[partition] : found[partition],
            };
            positions[partition] = Math.Max(earliest[partition], Math.Min(latest[partition], wanted));
        }

        return positions;

        async Task<Dictionary<int, long>> OffsetsAsync(long time)
        {
            var asked = new Dictionary<TopicPartition, long>();
            foreach (var partition in partitions)
            {
                asked[new TopicPartition(topic, partition)] = time;
            }

            var offsets = new Dictionary<int, long>();
            foreach (var (partition, (offset, error)) in await new KafkaAdmin(client).ListOffsetsAsync(asked, cancellationToken))
            {
                offsets[partition.Partition] = error is null
                    ? offset
                    : throw new KafkaClientException(
                        error with { Message = $"topic {topic}, partition {partition.Partition}: {error.Message}" });
            }

            return offsets;
        }
    }
}
