using System.Data;
using System.Threading.Channels;
using Npgsql;
using static Tansu.Adapters.PostgresCommands;

namespace Tansu.Adapters;

/// <summary>
/// Tells other brokers of appends (<c>NOTIFY tansu</c>), on a connection of its own and never inside an append's transaction: the server
/// lets transactions that notify commit only one after another. While one is on its way the next gather. Appending and notifying costs a third
/// more than appending alone, so none is sent while nobody else listens.
/// </summary>
internal sealed class LogAnnouncer : IAsyncDisposable
{
    /// <summary>The channel that brokers listen on; the payload is a log's name.</summary>
    public const string ChannelName = "tansu";

    /// <summary>Takes the lock that every listener holds as long as it listens, shared, and tells the id of the server process that holds it.</summary>
    public const string BeListener = $"SELECT pg_backend_pid() FROM pg_advisory_lock_shared({ListenersLock})";

    /// <summary>Any two numbers that nobody else locks: "Tans", "list".</summary>
    private const string ListenersLock = "1415671411, 1818850164";

    /// <summary>A hint need not survive a crash, so it does not wait for the disk. The setting ends with the statement's transaction.</summary>
    private const string Notify =
        $"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{ChannelName}', name) FROM unnest(string_to_array($1, ',')) AS name";

    /// <summary>Whether another process than one's own listener holds the lock of listeners.</summary>
    private const string Look =
        $"""
        SELECT EXISTS (
            SELECT FROM pg_locks
            WHERE locktype = 'advisory' AND (classid, objid, objsubid) = ({ListenersLock}, 2) AND pid <> $1
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
        """;

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(500);

    private readonly NpgsqlDataSource _source;
    private readonly TimeSpan _timeout;
    private readonly Action<string>? _notice;
    private readonly Lock _gate = new();
    private readonly HashSet<string> _appended = new(StringComparer.Ordinal);
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;
    private NpgsqlConnection? _connection;
    private int _processId;
    private int _listenerProcessId;
    private bool _othersListen;
    private long _nextLook;

    public LogAnnouncer(NpgsqlDataSource source, TimeSpan timeout, Action<string>? notice)
    {
        _source = source;
        _notice = notice;
        _timeout = timeout;
        _loop = RunAsync();
    }

    private TimeSpan UntilNextLook => TimeSpan.FromMilliseconds(Math.Max(0, _nextLook - Environment.TickCount64));

    /// <summary>The id of the server process that runs this store's own <see cref="BeListener"/>, which is not told of anything; 0 when there is none.</summary>
    public int ListenerProcessId
    {
        set => Volatile.Write(ref _listenerProcessId, value);
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
            var hasTold = false;
            while (await _wake.Reader.WaitToReadAsync(_stopping.Token).ConfigureAwait(false))
            {
                _wake.Reader.TryRead(out _);
                try
                {
                    if (!_othersListen)
                    {
                        await Task.Delay(UntilNextLook, _stopping.Token).ConfigureAwait(false);
                    }

                    await SendAsync(Take()).ConfigureAwait(false);
                    hasTold = false;
                }
#pragma warning disable CA1031 // Whatever it is, another connection is tried: otherwise nobody would be told of anything any more.
                catch (Exception error)
#pragma warning restore CA1031
                {
                    // Only hints are lost: others look by themselves as well.
                    await CloseAsync().ConfigureAwait(false);
                    if (!hasTold && !_stopping.IsCancellationRequested)
                    {
                        hasTold = true;
                        _notice?.Invoke($"{PostgresErrors.WhileRunning("Telling other brokers of appends", error).Message}; trying again");
                    }

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
            _connection = await PostgresConnections.OpenAsync(_source, limit.Token).ConfigureAwait(false);
            Volatile.Write(ref _processId, _connection.ProcessID);
        }

        if (!_othersListen || UntilNextLook == TimeSpan.Zero)
        {
            _othersListen = await DoOthersListenAsync(_connection, limit.Token).ConfigureAwait(false);
            _nextLook = Environment.TickCount64 + (long)LookEvery.TotalMilliseconds;
        }

        // Whoever begins to listen after the look reads the logs' ends then, and finds these appends.
        if (_othersListen)
        {
            await _connection.ScalarAsync(Notify, limit.Token, Parameter(names)).ConfigureAwait(false);
        }
    }

    private async Task<bool> DoOthersListenAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        try
        {
            return await connection.ScalarAsync(Look, cancellationToken, Parameter(Volatile.Read(ref _listenerProcessId))).ConfigureAwait(false) is true;
        }
        catch (PostgresException) when (connection.FullState == ConnectionState.Open)
        {
            // A role that may not read pg_locks, and a server that has none, notifies always. Not so if the error has closed the connection.
            return true;
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
