using Tansu.Codec;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands;

/// <summary>`tansu group reset-offsets`: works out where to, and commits it only if told to.</summary>
/// <param name="client">The cluster.</param>
/// <param name="output">Where to answer.</param>
/// <param name="execute">Whether to commit.</param>
internal sealed class OffsetReset(KafkaClient client, CommandOutput output, bool execute)
{
    private readonly KafkaAdmin _admin = new(client);

    /// <summary>Resets groups, each as a whole or, if something is wrong with it, not at all.</summary>
    /// <exception cref="KafkaClientException">The cluster does not answer.</exception>
    public async Task RunAsync(string[] groups, TopicScope[] topics, ResetTarget target, CancellationToken cancellationToken)
    {
        var done = new List<Done>();
        foreach (var group in groups)
        {
            try
            {
                var rows = await PlanAsync(group, topics, target, cancellationToken);
                done.Add(new Done(group, execute ? await CommitAsync(group, rows, cancellationToken) : rows));
            }
            catch (KafkaClientException failure) when (failure.Error is not null)
            {
                output.Fail($"group {group}: {failure.Message}");
            }
            catch (NotResettableException refusal)
            {
                output.Fail($"group {group}: {refusal.Message}");
            }
        }

        var table = new TextTable("GROUP", "TOPIC", "PARTITION", "COMMITTED", "NEW");
        foreach (var (group, rows) in done)
        {
            foreach (var row in Array.FindAll(rows, row => row.Error is null))
            {
                var before = row.Before is { } offset ? TopicCommands.Number(offset) : null;
                table.Add(group, row.Partition.Topic, TopicCommands.Number(row.Partition.Partition), before, TopicCommands.Number(row.After));
            }
        }

        output.Table(table);
        if (!execute && !table.IsEmpty)
        {
            output.Line("Nothing was changed: do it with --execute.");
        }

        output.Document(json =>
        {
            json.WriteBoolean("executed", execute);
            json.WriteObjects("groups", done, group =>
            {
                json.WriteString("group", group.Group);
                json.WriteObjects("partitions", group.Rows, row =>
                {
                    json.WriteString("topic", row.Partition.Topic);
                    json.WriteNumber("partition", row.Partition.Partition);
                    json.WriteNumberOrNull("committed", row.Before);
                    json.WriteNumber("new", row.After);
                    json.WriteError(row.Error);
                });
            });
        });
    }

    private async Task<Row[]> PlanAsync(string group, TopicScope[] topics, ResetTarget target, CancellationToken cancellationToken)
    {
        await RequireNoMembersAsync(group, cancellationToken);
        var committed = await _admin.CommittedOffsetsAsync(group, cancellationToken);
        var partitions = topics.Length == 0
            ? new SortedSet<TopicPartition>(committed.Keys, TopicPartition.InOrder)
            : await PartitionsOfAsync(topics, cancellationToken);
        if (partitions.Count == 0)
        {
            throw new NotResettableException("nothing is committed");
        }

        var earliest = await OffsetsAsync(partitions, KafkaAdmin.Earliest, cancellationToken);
        var latest = await OffsetsAsync(partitions, KafkaAdmin.Latest, cancellationToken);
        var found = TimeOf(target) is { } time ? await OffsetsAsync(partitions, time, cancellationToken) : latest;
        var rows = new List<Row>();
        foreach (var partition in partitions)
        {
            long? before = committed.TryGetValue(partition, out var offset) ? offset.Offset : null;
            var wanted = target switch
            {
                ResetTarget.ToOffset to => to.offset,
                ResetTarget.ShiftBy shift => Saturated(RequireCommitted(partition, before), shift.records),
                _ when target.IsToEarliest => earliest[partition],
                _ when target.IsToLatest => latest[partition],
                _ when target.IsToCurrent => RequireCommitted(partition, before),
                // No record is that young.
                _ => found[partition] < 0 ? latest[partition] : found[partition],
            };
            rows.Add(new Row(partition, before, Math.Max(earliest[partition], Math.Min(latest[partition], wanted)), null));
        }

        return [.. rows];
    }

    private async Task<Row[]> CommitAsync(string group, Row[] rows, CancellationToken cancellationToken)
    {
        var offsets = new Dictionary<TopicPartition, long>();
        foreach (var row in rows)
        {
            offsets.Add(row.Partition, row.After);
        }

        var outcomes = await _admin.CommitOffsetsAsync(group, offsets, cancellationToken);
        foreach (var (partition, error) in outcomes)
        {
            if (error is not null)
            {
                output.Fail($"group {group}, topic {partition.Topic}, partition {partition.Partition}: {error}");
            }
        }

        // The outcomes are in the order of the rows.
        return Array.ConvertAll(outcomes, outcome =>
            Array.Find(rows, row => row.Partition == outcome.Key)! with { Error = outcome.Error });
    }

    // A group that does not exist may be given offsets: it begins with them.
    private async Task RequireNoMembersAsync(string groupId, CancellationToken cancellationToken)
    {
        try
        {
            var group = await _admin.DescribeGroupAsync(groupId, cancellationToken);
            if (group.State is not ("Empty" or "Dead"))
            {
                throw new NotResettableException($"it has {group.Members.Count} members and is in state {group.State}: stop them first");
            }
        }
        catch (KafkaClientException failure) when (failure.Code == ErrorCode.GroupIdNotFound)
        {
        }
    }

    private async Task<SortedSet<TopicPartition>> PartitionsOfAsync(TopicScope[] topics, CancellationToken cancellationToken)
    {
        var names = Array.ConvertAll(topics, topic => topic.Topic);
        var metadata = await client.RetryAsync(token => client.MetadataAsync(names, token), cancellationToken);
        var partitions = new SortedSet<TopicPartition>(TopicPartition.InOrder);
        foreach (var scope in topics)
        {
            var known = Known(metadata, scope.Topic);
            foreach (var partition in scope.Partitions.Length == 0 ? known : scope.Partitions)
            {
                partitions.Add(Array.IndexOf(known, partition) >= 0
                    ? new TopicPartition(scope.Topic, partition)
                    : throw new NotResettableException($"topic {scope.Topic} has no partition {partition}"));
            }
        }

        return partitions;
    }

    private static int[] Known(ClusterMetadata metadata, string topic)
    {
        try
        {
            return Array.ConvertAll(metadata.Topic(topic).Partitions, partition => partition.PartitionIndex);
        }
        catch (KafkaClientException failure) when (failure.Error is { } error)
        {
            throw new KafkaClientException(error with { Message = $"topic {topic}: {error.Message}" });
        }
    }

    private async Task<Dictionary<TopicPartition, long>> OffsetsAsync(
        SortedSet<TopicPartition> partitions, long time, CancellationToken cancellationToken)
    {
        var answers = await _admin.ListOffsetsAsync(partitions, time, cancellationToken);
        var offsets = new Dictionary<TopicPartition, long>();
        foreach (var (partition, found) in answers)
        {
            offsets[partition] = found.Error is not { } failure
                ? found.Offset
                : throw new KafkaClientException(
                    failure with { Message = $"topic {partition.Topic}, partition {partition.Partition}: {failure.Message}" });
        }

        return offsets;
    }

    private long? TimeOf(ResetTarget target) => target switch
    {
        ResetTarget.ToTime to => to.timestampMs,
        ResetTarget.ByDuration by => Math.Max(0, client.Options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds() - by.milliseconds),
        _ => null,
    };

    private static long RequireCommitted(TopicPartition partition, long? committed) => committed
        ?? throw new NotResettableException($"nothing is committed for topic {partition.Topic}, partition {partition.Partition}");

    private static long Saturated(long offset, long records) =>
        records > long.MaxValue - offset ? long.MaxValue : offset + records;

    /// <summary>Something that no broker has said and that the group cannot be reset for.</summary>
    private sealed class NotResettableException(string message) : Exception(message);

    private sealed record Done(string Group, Row[] Rows);

    private sealed record Row(TopicPartition Partition, long? Before, long After, KafkaError? Error);
}
