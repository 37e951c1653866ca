using System.Runtime.ExceptionServices;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters;

/// <summary>
/// What nobody asks for but somebody must do: finish topic deletions that a crash left half done, forget producers that
/// are gone, apply retention and compact. It writes only when there is something to do, so an idle cluster stays silent.
/// </summary>
internal sealed class Housekeeping : IAsyncDisposable
{
    /// <summary>The first look waits, so that a start costs no more than it must, unless much is written meanwhile.</summary>
    private static readonly TimeSpan StartDelay = TimeSpan.FromMinutes(1);

    /// <summary>However much is written, there is so long between the beginnings of two passes: each costs something that does not depend on how much it finds.</summary>
    private static readonly TimeSpan MostLeastPause = TimeSpan.FromSeconds(15);

    private readonly Cluster _cluster;
    private readonly ClusterOptions _options;
    private readonly CancellationTokenSource _stopping = new();
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Bell _bell;
    private readonly Task _loop;

    public Housekeeping(Cluster cluster, ClusterOptions options)
    {
        _cluster = cluster;
        _options = options;
        _bell = new Bell(options.TimeProvider);
        _stopping.Token.Register(_bell.Ring);
        foreach (var shard in cluster.Shards)
        {
            shard.Compactor.OnBacklog = _bell.Ring;
        }

        _loop = RunAsync();
    }

    public async Task StopAsync()
    {
        _stopping.Cancel();
        await _loop;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stopping.Dispose();
        _turn.Dispose();
    }

    /// <summary>How long there is at least between the beginnings of two looks at all shards; so long their compaction may rest within one, all together.</summary>
    public static TimeSpan LeastPause(ClusterOptions options) => MostLeastPause < options.CompactionInterval ? MostLeastPause : options.CompactionInterval;

    private async Task RunAsync()
    {
        var interval = _options.CompactionInterval;
        var leastPause = LeastPause(_options);
        var pauseAfterFailure = TimeSpan.Zero;
        await PauseAsync(leastPause);
        await _bell.WaitAsync((StartDelay < interval ? StartDelay : interval) - leastPause);
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                _bell.Hush();
                var begun = _options.TimeProvider.GetTimestamp();
                await DoAsync();
                pauseAfterFailure = TimeSpan.Zero;
                await PauseAsync(leastPause - _options.TimeProvider.GetElapsedTime(begun));
                await _bell.WaitAsync(interval - leastPause);
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception) when (_cluster.Completion.IsCompleted)
            {
                // A log can no longer be used, which ends the broker.
                return;
            }
#pragma warning disable CA1031 // Whatever a pass comes to, the next one is tried: otherwise storage would only ever grow.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _options.OnNotice?.Invoke($"housekeeping goes on later: {Failures.Describe(failure)}");

                // What lasts is told of less and less often, in the end as often as passes are made.
                pauseAfterFailure = TimeSpan.FromTicks(Math.Clamp(pauseAfterFailure.Ticks * 2, _options.StoreTimeout.Ticks, Math.Max(interval.Ticks, _options.StoreTimeout.Ticks)));
                await PauseAsync(pauseAfterFailure);
            }
        }
    }

    private async Task PauseAsync(TimeSpan time)
    {
        if (time > TimeSpan.Zero)
        {
            await Task.Delay(time, _options.TimeProvider, _stopping.Token).Settled();
        }
    }

    /// <summary>Everything once, after whoever does it already.</summary>
    public async Task DoAsync()
    {
        await _turn.WaitAsync(_stopping.Token);
        try
        {
            await DoAllAsync();
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task DoAllAsync()
    {
        ExceptionDispatchInfo? first = null;
        foreach (var topic in _cluster.Catalog.TopicsBeingRemoved.Values)
        {
            var failure = await TryAsync(() => _cluster.FinishRemovalAsync(topic, _options.StoreTimeout));
            first ??= failure;
        }

        foreach (var shard in _cluster.Shards)
        {
            var failure = await TryAsync(() => DoAsync(shard));
            first ??= failure;
        }

        first?.Throw();
    }

    /// <summary>One topic or shard must not keep the others waiting. Null, or how it failed.</summary>
    private async Task<ExceptionDispatchInfo?> TryAsync(Func<Task> part)
    {
        try
        {
            await part();
            return null;
        }
        catch (Exception failure) when (!_stopping.IsCancellationRequested && !_cluster.Completion.IsCompleted)
        {
            return ExceptionDispatchInfo.Capture(failure);
        }
    }

    private async Task DoAsync(ClusterShard shard)
    {
        var failure = await TryAsync(() => shard.Replica.SubmitAsync(ShardCommand.ForgetExpired, Payload.None, _options.StoreTimeout));
        await CompactAsync(shard);
        failure?.Throw();
    }

    /// <summary>
    /// One pass over a shard. Of several nodes the one that leads the shard does it; brokers behind its address agree by a claim in the log.
    /// </summary>
    private async Task CompactAsync(ClusterShard shard)
    {
        if (_cluster.Nodes.LeaderOf(shard.Index).Id != _cluster.Self.Id)
        {
            // Otherwise each commit from now on would wake this broker for nothing.
            shard.Compactor.ForgetBacklog();
            return;
        }

        var begun = _options.TimeProvider.GetTimestamp();
        var done = await shard.Compactor.PassAsync(_stopping.Token);
        if (done.Passes + done.ObjectsWritten + done.ObjectsDeleted > 0)
        {
            var elapsed = _options.TimeProvider.GetElapsedTime(begun);
            _options.OnCompacted?.Invoke(
                $"compacted {ClusterShard.LogName(shard.Index)} in {elapsed.TotalMilliseconds:F0} ms: {done.ChunksReplaced} chunks became {done.ChunksMade}, "
                + $"{done.ReadBytes} bytes read with {done.Reads} requests, {done.WrittenBytes} written to {done.ObjectsWritten} objects, "
                + $"{done.PartitionsCut} partitions cut by retention, {done.PartitionsCleaned} compacted by key ({done.RecordsRemoved} records removed), "
                + $"{done.ObjectsDeleted} objects deleted");
        }
    }
}
