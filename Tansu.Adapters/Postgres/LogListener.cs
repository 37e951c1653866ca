using Npgsql;

namespace Tansu.Adapters;

/// <summary>
/// Hears of the appends of other brokers (<c>LISTEN tansu</c>), on a connection of its own that is opened with the first subscription and
/// again whenever it is lost. Each time, every open log is signalled once: something may have been missed.
/// </summary>
internal sealed class LogListener(
    PostgresConnections connections,
    Func<IReadOnlyCollection<string>> openLogNames,
    LogAnnouncer announcer,
    Action<string>? notice) : IAsyncDisposable
{
    /// <summary>A connection that died silently is found out by then.</summary>
    private const int KeepAliveSeconds = 10;

    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stopping = new();
    private Subscription[] _subscriptions = [];
    private Task? _loop;

    public IDisposable Subscribe(Action<string> onAppended)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, typeof(PostgresStore));
            var subscription = new Subscription(this, onAppended);
            _subscriptions = [.. _subscriptions, subscription];
            _loop ??= RunAsync();
            return subscription;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Task loop;
        lock (_gate)
        {
            _stopping.Cancel();
            loop = _loop ?? Task.CompletedTask;
        }

        await loop.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        var source = connections.Unpooled(KeepAliveSeconds);
        await using (source.ConfigureAwait(false))
        {
            var pause = TimeSpan.Zero;
            while (!_stopping.IsCancellationRequested)
            {
                try
                {
                    await ListenAsync(source, () => pause = TimeSpan.Zero).ConfigureAwait(false);
                }
#pragma warning disable CA1031 // Whatever it is, another connection is tried: otherwise this broker would hear of nothing any more.
                catch (Exception error)
#pragma warning restore CA1031
                {
                    if (_stopping.IsCancellationRequested)
                    {
                        return;
                    }

                    if (pause == TimeSpan.Zero)
                    {
                        notice?.Invoke($"{PostgresErrors.WhileRunning($"Listening for appends in {connections.Description}", error).Message}; trying again");
                    }
                }

                pause = pause == TimeSpan.Zero ? ShortestPause : TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks));
                await Task.Delay(pause, _stopping.Token).ContinueWith(
                    static _ => { },
                    CancellationToken.None,
                    TaskContinuationOptions.ExecuteSynchronously,
                    TaskScheduler.Default).ConfigureAwait(false);
            }
        }
    }

    private async Task ListenAsync(NpgsqlDataSource source, Action onConnected)
    {
        var connection = await PostgresConnections.OpenAsync(source, _stopping.Token).ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            connection.Notification += (_, said) =>
            {
                if (!announcer.IsOwn(said.PID))
                {
                    Signal(said.Payload);
                }
            };
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
            limit.CancelAfter(connections.RequestTimeout);
            var command = connection.Command($"LISTEN {LogAnnouncer.ChannelName}");
            await using (command.ConfigureAwait(false))
            {
                await command.ExecuteNonQueryAsync(limit.Token).ConfigureAwait(false);
            }

            announcer.ListenerProcessId = await connection.ScalarAsync(LogAnnouncer.BeListener, limit.Token).ConfigureAwait(false) as int? ?? 0;
            onConnected();
            foreach (var name in openLogNames())
            {
                Signal(name);
            }

            try
            {
                while (true)
                {
                    await connection.WaitAsync(_stopping.Token).ConfigureAwait(false);
                }
            }
            finally
            {
                // A server that starts again may give the number to another broker's.
                announcer.ListenerProcessId = 0;
            }
        }
    }

    private void Signal(string logName)
    {
        foreach (var subscription in Volatile.Read(ref _subscriptions))
        {
            subscription.OnAppended(logName);
        }
    }

    private void Remove(Subscription subscription)
    {
        lock (_gate)
        {
            _subscriptions = [.. _subscriptions.Where(other => other != subscription)];
        }
    }

    private sealed class Subscription(LogListener listener, Action<string> onAppended) : IDisposable
    {
        public Action<string> OnAppended => onAppended;

        public void Dispose() => listener.Remove(this);
    }
}
