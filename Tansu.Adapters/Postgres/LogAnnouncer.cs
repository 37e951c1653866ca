using System.Threading.Channels;
using Npgsql;
using static Tansu.Adapters.PostgresCommands;

namespace Tansu.Adapters;

/// <summary>
/// Tells other brokers of appends (<c>NOTIFY tansu</c>), on a connection of its own and never inside an append's transaction: the server
/// lets transactions that notify commit only one after another. While one is on its way the next gather.
/// </summary>
internal sealed class LogAnnouncer : IAsyncDisposable
{
    /// <summary>The channel that brokers listen on; the payload is a log's name.</summary>
    public const string ChannelName = "tansu";

    /// <summary>A hint need not survive a crash, so it does not wait for the disk. The setting ends with the statement's transaction.</summary>
    private const string Notify =
        $"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{ChannelName}', name) FROM unnest(string_to_array($1, ',')) AS name";

    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(500);

    private readonly NpgsqlDataSource _source;
    private readonly TimeSpan _timeout;
    private readonly Lock _gate = new();
    private readonly HashSet<string> _appended = new(StringComparer.Ordinal);
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;
    private NpgsqlConnection? _connection;
    private int _processId;

    public LogAnnouncer(NpgsqlDataSource source, TimeSpan timeout)
    {
        _source = source;
        _timeout = timeout;
        _loop = RunAsync();
    }

    /// <summary>Whether a notification came from here.</summary>
    /// <param name="processId">The id of the server process that sent it.</param>
    public bool IsOwn(int processId) => processId == Volatile.Read(ref _processId);

    /// <summary>Returns at once; others learn of it soon, or not at all.</summary>
    public void Announce(string logName)
    {
        lock (_gate)
        {
            _appended.Add(logName);
        }

        _wake.Writer.TryWrite(true);
    }

    /// <summary>Sends no more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        await CloseAsync().ConfigureAwait(false);
        await _source.DisposeAsync().ConfigureAwait(false);
        _stopping.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (await _wake.Reader.WaitToReadAsync(_stopping.Token).ConfigureAwait(false))
            {
                _wake.Reader.TryRead(out _);
                try
                {
                    await SendAsync(Take()).ConfigureAwait(false);
                }
                catch (Exception error) when (PostgresErrors.IsOfDriver(error))
                {
                    // Only hints are lost, and whoever waits for appends says so when the server is gone.
                    await CloseAsync().ConfigureAwait(false);
                    await Task.Delay(PauseAfterFailure, _stopping.Token).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
        }
    }

    private string Take()
    {
        lock (_gate)
        {
            var names = string.Join(',', _appended);
            _appended.Clear();
            return names;
        }
    }

    private async Task SendAsync(string names)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        limit.CancelAfter(_timeout);
        if (_connection is null)
        {
            _connection = await _source.OpenConnectionAsync(limit.Token).ConfigureAwait(false);
            Volatile.Write(ref _processId, _connection.ProcessID);
        }

        var command = _connection.Command(Notify, Parameter(names));
        await using (command.ConfigureAwait(false))
        {
            await command.ExecuteNonQueryAsync(limit.Token).ConfigureAwait(false);
        }
    }

    private async Task CloseAsync()
    {
        if (_connection is { } connection)
        {
            _connection = null;
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }
}
