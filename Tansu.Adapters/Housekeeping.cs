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

    private readonly Cluster _cluster;
    private readonly ClusterOptions _options;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;

    public Housekeeping(Cluster cluster, ClusterOptions options)
    {
        _cluster = cluster;
        _options = options;
        _loop = RunAsync();
    }

    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _loop;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stopping.Dispose();
    }

    private async Task RunAsync()
    {
        await Task.Yield();
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

    private async Task DoAsync()
    {
        foreach (var topic in _cluster.Catalog.TopicsBeingRemoved.Values)
        {
            await _cluster.FinishRemovalAsync(topic, _options.StoreTimeout);
        }

        foreach (var shard in _cluster.Shards)
        {
            await shard.Replica.SubmitAsync(ShardCommand.ForgetExpired, Payload.None, _options.StoreTimeout);
        }
    }
}
