using Tansu.Codec;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands;

/// <summary>`tansu group`, but for reset-offsets.</summary>
internal sealed class GroupCommands(KafkaClient client, CommandOutput output)
{
    private readonly KafkaAdmin _admin = new(client);

    /// <summary>Does what is asked.</summary>
    /// <exception cref="KafkaClientException">Nothing of it could be done.</exception>
    public Task RunAsync(GroupTask task, CancellationToken cancellationToken) => task switch
    {
        GroupTask.ListGroups list => ListAsync(list.states, list.types, cancellationToken),
        GroupTask.DescribeGroups describe => DescribeAsync(describe.groups, cancellationToken),
        GroupTask.ResetOffsets reset => new OffsetReset(client, output, reset.execute).RunAsync(
            reset.groups, reset.topics, reset.target, cancellationToken),
        GroupTask.DeleteGroups delete => DeleteAsync(delete.groups, cancellationToken),
        GroupTask.DeleteOffsets delete => DeleteOffsetsAsync(delete.group, delete.topics, cancellationToken),
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    private async Task ListAsync(string[] states, string[] types, CancellationToken cancellationToken)
    {
        var groups = await _admin.ListGroupsAsync(states, types, cancellationToken);
        var table = new TextTable("GROUP", "TYPE", "STATE", "PROTOCOL");
        foreach (var group in groups)
        {
            table.Add(group.GroupId, group.GroupType, group.GroupState, group.ProtocolType);
        }

        output.Table(table);
        output.Document(json => json.WriteObjects("groups", groups, group =>
        {
            json.WriteString("group", group.GroupId);
            json.WriteString("type", group.GroupType);
            json.WriteString("state", group.GroupState);
            json.WriteString("protocolType", group.ProtocolType);
        }));
    }

    private async Task DescribeAsync(string[] names, CancellationToken cancellationToken)
    {
        if (names.Length == 0)
        {
            names = Array.ConvertAll(await _admin.ListGroupsAsync([], [], cancellationToken), group => group.GroupId);
        }

        var described = new List<DescribedGroup>();
        foreach (var name in names)
        {
            try
            {
                var group = await _admin.DescribeGroupAsync(name, cancellationToken);
                described.Add(await WithOffsetsAsync(group, cancellationToken));
            }
            catch (KafkaClientException failure) when (failure.Error is not null)
            {
                output.Fail($"group {name}: {failure.Message}");
            }
        }

        for (var i = 0; i < described.Count; i++)
        {
            if (i > 0)
            {
                output.Line();
            }

            described[i].WriteText(output);
        }

        output.Document(json => json.WriteObjects("groups", described, group => group.WriteJson(json)));
    }

    private async Task<DescribedGroup> WithOffsetsAsync(GroupDescription group, CancellationToken cancellationToken)
    {
        var committed = await _admin.CommittedOffsetsAsync(group.GroupId, cancellationToken);
        var readers = new SortedDictionary<TopicPartition, GroupMember?>(TopicPartition.InOrder);
        foreach (var partition in committed.Keys)
        {
            readers[partition] = null;
        }

        foreach (var member in group.Members)
        {
            foreach (var partition in member.Assignment)
            {
                readers[partition] = member;
            }
        }

        TopicPartition[] partitions = [.. readers.Keys];
        var ends = await _admin.ListOffsetsAsync(partitions, KafkaAdmin.Latest, cancellationToken);
        return new DescribedGroup(group, Array.ConvertAll(partitions, partition => new GroupOffset(
            partition,
            committed.TryGetValue(partition, out var offset) ? offset : null,
            ends[partition] is { Error: null, Offset: var end } ? end : null,
            readers[partition])));
    }

    private async Task DeleteAsync(string[] names, CancellationToken cancellationToken) =>
        Report.Write(output, "group", await _admin.DeleteGroupsAsync(names, cancellationToken), "deleted");

    private async Task DeleteOffsetsAsync(string group, TopicScope[] topics, CancellationToken cancellationToken)
    {
        var committed = await _admin.CommittedOffsetsAsync(group, cancellationToken);
        var partitions = new SortedSet<TopicPartition>(TopicPartition.InOrder);
        foreach (var topic in topics)
        {
            var isThere = false;
            foreach (var partition in committed.Keys)
            {
                var isMeant = partition.Topic == topic.Topic
                    && (topic.Partitions.Length == 0 || Array.IndexOf(topic.Partitions, partition.Partition) >= 0);
                if (isMeant)
                {
                    isThere = true;
                    partitions.Add(partition);
                }
            }

            if (!isThere)
            {
                output.Fail($"group {group}: nothing is committed for topic {topic.Topic}");
            }
        }

        Outcome<TopicPartition>[] outcomes;
        try
        {
            outcomes = await _admin.DeleteOffsetsAsync(group, [.. partitions], cancellationToken);
        }
        catch (KafkaClientException failure) when (failure.Error is not null)
        {
            output.Fail($"group {group}: {failure.Message}");
            return;
        }

        foreach (var (partition, error) in outcomes)
        {
            if (error is { } failure)
            {
                output.Fail($"group {group}, topic {partition.Topic}, partition {partition.Partition}: {failure}");
            }
            else
            {
                output.Line($"{partition.Topic} {partition.Partition}: deleted");
            }
        }

        output.Document(json =>
        {
            json.WriteString("group", group);
            json.WriteObjects("partitions", outcomes, outcome =>
            {
                json.WriteString("topic", outcome.Key.Topic);
                json.WriteNumber("partition", outcome.Key.Partition);
                json.WriteString("result", outcome.Error is null ? "deleted" : "failed");
                json.WriteError(outcome.Error);
            });
        });
    }
}
