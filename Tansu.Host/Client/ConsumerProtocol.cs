using Tansu.Codec;

namespace Tansu.Host.Client;

/// <summary>The bytes by which the members of a classic group of consumers tell one another who reads what.</summary>
internal static class ConsumerProtocol
{
    /// <summary>The partitions of an assignment; none if it is not one that consumers make.</summary>
    public static IReadOnlyList<TopicPartition> ReadAssignment(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return [];
        }

        try
        {
            var partitions = new List<TopicPartition>();
            var reader = new KafkaReader(bytes);
            // Later versions only add fields behind these.
            reader.ReadInt16();
            for (var topics = reader.ReadArrayCount(compact: false, elementBytes: 6); topics > 0; topics--)
            {
                var topic = reader.ReadString(compact: false);
                for (var left = reader.ReadArrayCount(compact: false, elementBytes: 4); left > 0; left--)
                {
                    partitions.Add(new TopicPartition(topic, reader.ReadInt32()));
                }
            }

            return partitions;
        }
        catch (KafkaFormatException)
        {
            return [];
        }
    }

    /// <summary>The topics of a subscription; none if it is not one that consumers make.</summary>
    public static IReadOnlyList<string> ReadSubscription(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            var topics = new List<string>();
            var reader = new KafkaReader(bytes);
            // Later versions only add fields behind these.
            reader.ReadInt16();
            for (var left = reader.ReadArrayCount(compact: false, elementBytes: 2); left > 0; left--)
            {
                topics.Add(reader.ReadString(compact: false));
            }

            return topics;
        }
        catch (KafkaFormatException)
        {
            return [];
        }
    }
}
