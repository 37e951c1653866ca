using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <content>Offsets of partitions: asked of their leaders.</content>
internal sealed partial class KafkaAdmin
{
    /// <summary>Stands for the offset of the first record.</summary>
    public const long Earliest = -2;

    /// <summary>Stands for the offset that the next record will get (the high watermark).</summary>
    public const long Latest = -1;

    private const int NoReplica = -1;

    /// <summary>Looks up an offset of each partition.</summary>
    /// <param name="partitions">
    /// Each with <see cref="Earliest"/>, <see cref="Latest"/>, or milliseconds since 1970: the first record not older is looked for.
    /// </param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The offset of each, -1 if no record is that young; or an error.</returns>
    public async Task<IReadOnlyDictionary<TopicPartition, FoundOffset>> ListOffsetsAsync(
        IReadOnlyDictionary<TopicPartition, long> partitions, CancellationToken cancellationToken)
    {
        var answered = new Dictionary<TopicPartition, FoundOffset>();
        var found = new Dictionary<TopicPartition, long>();
        var outcomes = await ForEachAsync([.. partitions.Keys], AskAsync, cancellationToken);
        foreach (var (partition, error) in outcomes)
        {
            answered[partition] = new FoundOffset(found.GetValueOrDefault(partition, -1), error);
        }

        return answered;

        async Task<Outcome<TopicPartition>[]> AskAsync(TopicPartition[] left, CancellationToken token)
        {
            var metadata = await client.MetadataAsync(ByTopic(left, (topic, _) => topic), token);
            var answers = new List<Outcome<TopicPartition>>();
            foreach (var ofLeader in LeadersOf(left, metadata, answers))
            {
                var connection = await client.NodeAsync(ofLeader.Key, token);
                answers.AddRange(await ListOffsetsAsync(connection, ofLeader.Value, partitions, found, token));
            }

            return [.. answers];
        }
    }

    /// <summary>The same offset of each of some partitions.</summary>
    public Task<IReadOnlyDictionary<TopicPartition, FoundOffset>> ListOffsetsAsync(
        IEnumerable<TopicPartition> partitions, long timestamp, CancellationToken cancellationToken)
    {
        var timestamps = new Dictionary<TopicPartition, long>();
        foreach (var partition in partitions)
        {
            timestamps[partition] = timestamp;
        }

        return ListOffsetsAsync(timestamps, cancellationToken);
    }

    /// <summary>The partitions by the id of the broker that leads them.</summary>
    /// <param name="partitions">The partitions.</param>
    /// <param name="metadata">Who leads what.</param>
    /// <param name="failures">Takes those that nobody leads.</param>
    private static Dictionary<int, List<TopicPartition>> LeadersOf(
        TopicPartition[] partitions, ClusterMetadata metadata, List<Outcome<TopicPartition>> failures)
    {
        var byLeader = new Dictionary<int, List<TopicPartition>>();
        foreach (var partition in partitions)
        {
            try
            {
                var leader = metadata.LeaderOf(partition.Topic, partition.Partition);
                if (!byLeader.TryGetValue(leader, out var led))
                {
                    byLeader.Add(leader, led = []);
                }

                led.Add(partition);
            }
            catch (KafkaClientException failure)
            {
                failures.Add(new Outcome<TopicPartition>(partition, failure.Error));
            }
        }

        return byLeader;
    }

    private static async Task<List<Outcome<TopicPartition>>> ListOffsetsAsync(
        KafkaConnection connection,
        List<TopicPartition> asked,
        IReadOnlyDictionary<TopicPartition, long> timestamps,
        Dictionary<TopicPartition, long> found,
        CancellationToken cancellationToken)
    {
        var request = new ListOffsetsRequest
        {
            ReplicaId = NoReplica,
            Topics = ByTopic(asked, (topic, partitions) => new ListOffsetsRequest.ListOffsetsTopic
            {
                Name = topic,
                Partitions = Array.ConvertAll(partitions, partition => new ListOffsetsRequest.ListOffsetsPartition
                {
                    PartitionIndex = partition.Partition,
                    Timestamp = timestamps[partition],
                }),
            }),
        };
        var version = connection.VersionOf<ListOffsetsRequest>();
        var response = await connection.AskAsync<ListOffsetsRequest, ListOffsetsResponse>(request, version, cancellationToken);
        var answers = new List<Outcome<TopicPartition>>();
        foreach (var topic in response.Topics)
        {
            foreach (var answer in topic.Partitions)
            {
                var partition = new TopicPartition(topic.Name, answer.PartitionIndex);
                answers.Add(new Outcome<TopicPartition>(partition, KafkaError.Of(answer.ErrorCode)));
                if (answer.ErrorCode == ErrorCode.None)
                {
                    found[partition] = answer.Offset;
                }
            }
        }

        return answers;
    }
}
