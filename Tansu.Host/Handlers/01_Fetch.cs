using Tansu.Adapters;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Fetching;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// Fetch (API key 1). Version 4 brought isolation levels, 5 the log start offset, 7 sessions (KIP-227), 9 leader epochs, 10 zstd,
/// 11 rack ids, 12 flexible encoding, 13 topic ids, 15 the replica's state, 16 node endpoints, 17 directory ids, 18 the follower's high
/// watermark. What concerns followers is ignored: there are none.
/// </summary>
internal sealed class FetchHandler(Broker broker) : Handler<FetchRequest, FetchResponse>
{
    private const short FirstVersionWithTopicIds = 13;

    /// <summary>How old the knowledge of other brokers' records may be for a fetch that does not wait: as for one that does.</summary>
    private static readonly TimeSpan NewEnough = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// How long a fetch waits for memory before it answers without records: clients that take their replies slowly may hold it for longer than
    /// this client waits for an answer.
    /// </summary>
    private static readonly TimeSpan MemoryPatience = TimeSpan.FromSeconds(5);

    public override async ValueTask<FetchResponse?> HandleAsync(
        RequestContext context,
        FetchRequest request,
        CancellationToken cancellationToken)
    {
        var (error, scope) = FetchScope.Open(broker.FetchSessions, request, context.Version >= FirstVersionWithTopicIds);
        if (scope is null)
        {
            return new FetchResponse { ErrorCode = error };
        }

        try
        {
            var reader = new FetchReader(broker, scope, request);
            if (!reader.FindTopics())
            {
                // Another broker may have created it.
                await broker.CatchUpCatalogAsync();
                reader.FindTopics();
            }

            if (reader.ShardsBehind() is { Count: > 0 } behind)
            {
                // A consumer that comes from another broker may know more than this one.
                reader.IsEndUnknown = !await broker.CatchUpAsync(TimeSpan.Zero, behind);
            }

            if (!reader.IsReady())
            {
                if (request.MaxWaitMs > 0)
                {
                    await WaitAsync(context, reader, TimeSpan.FromMilliseconds(request.MaxWaitMs), cancellationToken);
                }
                else
                {
                    await broker.CatchUpAsync(NewEnough, reader.Shards());
                }
            }

            // Reading is what takes memory, which is held until the client has taken the reply: not while an earlier request keeps it waiting.
            await context.UntilInTurnAsync(cancellationToken);
            var memory = new FetchMemory(broker.FetchBudget);
            context.DisposeAfterReply(memory);
            await memory.TryHoldAsync(reader.BytesToHold(), MemoryPatience, broker.TimeProvider, context.Stopping, cancellationToken);
            context.DisposeAfterReply(reader.Lease);
            return await reader.ReadAsync(memory.HeldBytes, cancellationToken);
        }
        finally
        {
            scope.Leave();
        }
    }

    private async ValueTask WaitAsync(RequestContext context, FetchReader reader, TimeSpan maxWait, CancellationToken cancellationToken)
    {
        using var waiter = broker.Cluster.Waiters.Register(reader.Listened(), isBrief: true);
        using var following = Following.Of(reader.Shards());
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.Stopping, cancellationToken);
        var begun = broker.TimeProvider.GetTimestamp();
        while (true)
        {
            // Rearmed before looking, so that a commit in between is not missed.
            waiter.Rearm();
            var left = maxWait - broker.TimeProvider.GetElapsedTime(begun);
            if (reader.IsReady() || left <= TimeSpan.Zero || ended.IsCancellationRequested)
            {
                break;
            }

            await waiter.Changed
                .WaitAsync(left, broker.TimeProvider, ended.Token)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        // A broker that stops answers with what there is; a client that is gone needs no answer.
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Follows what other brokers append to some shards.</summary>
    private sealed class Following(List<IDisposable> followed) : IDisposable
    {
        public static Following Of(List<ClusterShard> shards) => new(shards.ConvertAll(static shard => shard.Replica.Follow()));

        public void Dispose() => followed.ForEach(static one => one.Dispose());
    }
}
