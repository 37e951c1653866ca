using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AlterReplicaLogDirs (API key 34, KIP-113). Version 2 is flexible. There is one "directory", the store, and everything is in it: what is asked to
/// move there stays.
/// </summary>
internal sealed class AlterReplicaLogDirsHandler(Broker broker) : Handler<AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse>
{
    public override async ValueTask<AlterReplicaLogDirsResponse?> HandleAsync(
        RequestContext context,
        AlterReplicaLogDirsRequest request,
        CancellationToken cancellationToken)
    {
        await broker.CatchUpForAsync(request.Dirs.SelectMany(static directory => directory.Topics).Select(static topic => topic.Name));
        return new AlterReplicaLogDirsResponse
        {
            Results = [.. request.Dirs.SelectMany(directory => directory.Topics.Select(topic => Judge(directory.Path, topic)))],
        };
    }

    private AlterReplicaLogDirsResponse.AlterReplicaLogDirTopicResult Judge(string path, AlterReplicaLogDirsRequest.AlterReplicaLogDirTopic wanted) => new()
    {
        TopicName = wanted.Name,
        Partitions = Array.ConvertAll(wanted.Partitions, partition => new AlterReplicaLogDirsResponse.AlterReplicaLogDirPartitionResult
        {
            PartitionIndex = partition,
            ErrorCode = path != broker.StoreDescription ? ErrorCode.LogDirNotFound
                : broker.HasPartition(wanted.Name, partition) ? ErrorCode.None
                : ErrorCode.UnknownTopicOrPartition,
        }),
    };
}
