using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters;

/// <summary>
/// What nobody asks for but somebody must do: finish topic deletions that a crash left half done, and forget producers that
/// are gone. It writes only when there is something to do, so an idle cluster stays silent.
/// </summary>
internal sealed class Housekeeping : IAsyncDisposable
{
    /// <summary>How often expired producers are looked for. They expire after hours, so this is soon enough.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(10);

    /// <summary>The first look waits, so that a start costs no more than it must.</summary>
    private static readonly TimeSpan StartDelay = TimeSpan.FromMinutes(1);

    private readonly Cluster _cluster;
    private readonly IBlobStore _blobs;
    private readonly ClusterOptions _options;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;

    public Housekeeping(Cluster cluster, IBlobStore blobs, ClusterOptions options)
    {
        _cluster = cluster;
        _blobs = blobs;
        _options = options;
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
    }

    private async Task RunAsync()
    {
        await Task.Delay(StartDelay, _options.TimeProvider, _stopping.Token).ConfigureAwait(
            ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                await DoAsync();
                await Task.Delay(Interval, _options.TimeProvider, _stopping.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception failure) when (failure is TimeoutException or StoreUnavailableException)
            {
                _options.OnNotice?.Invoke($"housekeeping goes on later: {failure.Message}");
                await Task.Delay(_options.StoreTimeout, _options.TimeProvider, _stopping.Token).ContinueWith(
                    static _ => { },
                    CancellationToken.None,
                    TaskContinuationOptions.ExecuteSynchronously,
                    TaskScheduler.Default);
            }
            catch (StoreRefusedException)
            {
                // The replica's own loop has ended with it, and ends the broker.
                return;
            }
        }
    }

    /// <summary>Everything once.</summary>
    public async Task DoAsync()
    {
        foreach (var topic in _cluster.Catalog.TopicsBeingRemoved.Values)
        {
            await _cluster.FinishRemovalAsync(topic, _options.StoreTimeout);
        }

        foreach (var shard in _cluster.Shards)
        {
            await shard.Replica.SubmitAsync(ShardCommand.ForgetExpired, Payload.None, _options.StoreTimeout);
            await CollectObjectsAsync(shard);
        }
    }

    /// <summary>
    /// Deletes old data objects that nothing refers to: of commits that were refused or never came, of records that were deleted. First the log says that
    /// no entry may newly refer to an object so old; only then is it certain which ones nobody needs.
    /// </summary>
    private async Task CollectObjectsAsync(ClusterShard shard)
    {
        var logName = ClusterShard.LogName(shard.Index);
        var beforeMs = _options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds() - (long)_options.ObjectGrace.TotalMilliseconds;
        var needed = Shard.dataObjects(shard.Replica.Current.State);
        var old = new List<string>();
        await foreach (var found in _blobs.ListAsync(DataObjectName.Prefix(logName), _stopping.Token))
        {
            // In the order of their times.
            if (!DataObjectName.TryGetTime(logName, found.Name, out var namedAtMs) || namedAtMs >= beforeMs)
            {
                break;
            }

            if (!needed.Contains(found.Name))
            {
                old.Add(found.Name);
            }
        }

        if (old.Count == 0)
        {
            return;
        }

        await shard.Replica.SubmitAsync(ShardCommand.NewCollectObjects(beforeMs), Payload.None, _options.StoreTimeout);
        needed = Shard.dataObjects(shard.Replica.Current.State);
        old.RemoveAll(needed.Contains);
        await _blobs.DeleteAsync(old, _stopping.Token);
    }
}
