using Tansu.Domain;

namespace Tansu.Adapters.Reading;

/// <summary>Long polls that wait for partitions to grow.</summary>
public sealed class PartitionWaiters : ChangeWaiters<TopicPartition>
{
    /// <summary>Wakes whoever waits for a partition that one of the events changes.</summary>
    public void Wake(IReadOnlyList<ShardEvent> events)
    {
        for (var index = 0; index < events.Count; index++)
        {
            switch (events[index])
            {
                case ShardEvent.BatchAppended appended:
                    Wake(appended.batch.Partition);
                    break;
                case ShardEvent.MarkerAppended marked:
                    Wake(marked.marker.Partition);
                    break;
                case ShardEvent.LogStartOffsetAdvanced advanced:
                    Wake(advanced.partition);
                    break;
                case ShardEvent.TopicRemoved removed:
                    WakeWhere(partition => partition.TopicId.Value == removed.topicId.Value);
                    break;
            }
        }
    }
}
