using Npgsql;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// A cluster in a PostgreSQL database (<c>postgres://user@host/database</c>), for any number of brokers. Tables, statements and rights are
/// described in <c>docs/storage-postgres.md</c>.
/// </summary>
public sealed class PostgresStore : IStore, ILogSignal
{
    private readonly PostgresConnections _connections;
    private readonly StoreOptions _options;
    private readonly LogAnnouncer _announcer;
    private readonly LogListener _listener;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Task<PostgresEventLog>> _logs = new(StringComparer.Ordinal);
    private bool _disposed;

    private PostgresStore(NpgsqlConnectionStringBuilder settings, StoreOptions options)
    {
        _options = options;
        _connections = new PostgresConnections(settings, options.RequestTimeout);
        _announcer = new LogAnnouncer(_connections.Unpooled(keepAliveSeconds: 0), options.RequestTimeout, options.OnNotice);
        _listener = new LogListener(_connections, OpenLogNames, _announcer, options.OnNotice);
        Blobs = new PostgresBlobs(_connections);
    }

    /// <inheritdoc/>
    public string Description => _connections.Description;

    /// <inheritdoc/>
    public StoreLimits Limits { get; } = new(8 * 1024 * 1024, TimeSpan.Zero) { ReadAheadBytes = 1024 * 1024 };

    /// <inheritdoc/>
    public IBlobStore Blobs { get; }

    /// <summary>Opens a database, creating the tables if need be. Any number of brokers may do so at once.</summary>
    /// <param name="url">
    /// <c>postgres://user:password@host:port/database?parameter=value</c>, or with <c>postgresql://</c>; <c>docs/storage-postgres.md</c> lists
    /// the parameters. Without a password, that of <c>PGPASSWORD</c>.
    /// </param>
    /// <param name="options">What the caller may choose.</param>
    /// <param name="cancellationToken">Abandons the opening.</param>
    /// <exception cref="StoreRefusedException">URL, password, database, rights, settings or the tables' version are not as they must be.</exception>
    /// <exception cref="StoreUnavailableException">The server cannot be reached, or cannot serve now.</exception>
    public static async Task<PostgresStore> OpenAsync(string url, StoreOptions options, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(url);
        ArgumentNullException.ThrowIfNull(options);
        cancellationToken.ThrowIfCancellationRequested();
        var settings = PostgresUrl.Parse(url);
        var description = PostgresUrl.Describe(settings);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(options.RequestTimeout);
        try
        {
            var source = PostgresConnections.Unpooled(settings, keepAliveSeconds: 0);
            await using (source.ConfigureAwait(false))
            {
                await PostgresSchema.PrepareAsync(source, description, settings.Username!, options, limit.Token).ConfigureAwait(false);
            }

            return new PostgresStore(settings, options);
        }
        catch (Exception error) when (PostgresErrors.IsOfDriver(error) && !cancellationToken.IsCancellationRequested)
        {
            throw PostgresErrors.WhileOpening(description, settings.Username!, error);
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException or System.Security.Cryptography.CryptographicException)
        {
            throw new StoreRefusedException($"{description}: the driver does not take the parameters of the storage engine's URL; check the ssl parameters.", error);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken)
    {
        StoreNames.CheckLog(name);
        cancellationToken.ThrowIfCancellationRequested();
        Task<PostgresEventLog> opening;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_logs.TryGetValue(name, out opening!) || IsGone(opening))
            {
                // Not with the caller's token: others may be waiting for the same log.
                opening = PostgresEventLog.OpenAsync(_connections, name, _announcer, _options);
                _logs[name] = opening;
            }
        }

        return await opening.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(
        ReadOnlyMemory<byte> proposed,
        CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfZero(proposed.Length, nameof(proposed));
        return await _connections.RunAsync(
            "Reading or creating the cluster's first object",
            proposed.Length,
            (connection, token) => GetOrCreateClusterAsync(connection, proposed, token),
            cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public IDisposable Subscribe(Action<string> onAppended)
    {
        ArgumentNullException.ThrowIfNull(onAppended);
        return _listener.Subscribe(onAppended);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task<PostgresEventLog>[] logs;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            logs = [.. _logs.Values];
        }

        await _listener.DisposeAsync().ConfigureAwait(false);
        await _connections.DisposeAsync().ConfigureAwait(false);
        foreach (var opening in logs)
        {
            // All of them have ended, with the connections they used.
            if (opening.IsCompletedSuccessfully)
            {
                await (await opening.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
            }
        }

        await _announcer.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Whether a log has to be opened anew: it failed to open, or has been disposed.</summary>
    private static bool IsGone(Task<PostgresEventLog> opening) =>
        opening.IsCompleted && (!opening.IsCompletedSuccessfully || opening.GetAwaiter().GetResult().IsDisposed);

    private static async Task<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(
        NpgsqlConnection connection,
        ReadOnlyMemory<byte> proposed,
        CancellationToken cancellationToken)
    {
        // Once created it is only read. Whoever loses the race waits for the winner's commit, and then sees it.
        if (await ReadClusterAsync(connection, cancellationToken).ConfigureAwait(false) is { } stored)
        {
            return stored;
        }

        var command = connection.Command(
            "INSERT INTO tansu_cluster (content) VALUES ($1) ON CONFLICT DO NOTHING",
            PostgresCommands.Parameter(proposed));
        await using (command.ConfigureAwait(false))
        {
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }

        return await ReadClusterAsync(connection, cancellationToken).ConfigureAwait(false)
            ?? throw new StoreUnavailableException("The cluster's first object was deleted while it was created.");
    }

    private static async Task<byte[]?> ReadClusterAsync(NpgsqlConnection connection, CancellationToken cancellationToken) =>
        await connection.ScalarAsync("SELECT content FROM tansu_cluster", cancellationToken).ConfigureAwait(false) as byte[];

    private string[] OpenLogNames()
    {
        lock (_gate)
        {
            return [.. _logs.Keys];
        }
    }
}
