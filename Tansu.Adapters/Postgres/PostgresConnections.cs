using Npgsql;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// The connections of one store: pooled ones for its work, and such of their own for waiting. Each piece of work has a time limit, and its
/// errors come out as the port's.
/// </summary>
internal sealed class PostgresConnections : IAsyncDisposable
{
    private const double BytesPerSecond = 1024 * 1024;
    private const int CheckSeconds = 10;

    private readonly NpgsqlConnectionStringBuilder _settings;
    private readonly NpgsqlDataSource _pool;
    private readonly ReadGate _reads;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _running;
    private bool _closing;

    public PostgresConnections(NpgsqlConnectionStringBuilder settings, TimeSpan requestTimeout)
    {
        _settings = settings;
        RequestTimeout = requestTimeout;
        Description = PostgresUrl.Describe(settings);
        var builder = Builder(settings.ConnectionString);
        builder.UsePhysicalConnectionInitializer(
            static _ => throw new NotSupportedException("Connections are opened asynchronously."),
            CheckAsync);
        _pool = builder.Build();
        _reads = new ReadGate(Math.Max(1, settings.MaxPoolSize / 2), requestTimeout, TimeProvider.System);
    }

    /// <summary>How long a request may take, apart from what it moves.</summary>
    public TimeSpan RequestTimeout { get; }

    /// <summary>What and where, without secrets.</summary>
    public string Description { get; }

    /// <summary>A source of connections that are not pooled: closed when disposed of.</summary>
    /// <param name="settings">As for the pool.</param>
    /// <param name="keepAliveSeconds">How often a connection on which nothing happens is tried; 0 for never.</param>
    public static NpgsqlDataSource Unpooled(NpgsqlConnectionStringBuilder settings, int keepAliveSeconds) =>
        Builder(new NpgsqlConnectionStringBuilder(settings.ConnectionString)
        {
            Pooling = false,
            MaxAutoPrepare = 0,
            KeepAlive = keepAliveSeconds,
        }.ConnectionString).Build();

    /// <inheritdoc cref="Unpooled(NpgsqlConnectionStringBuilder, int)"/>
    public NpgsqlDataSource Unpooled(int keepAliveSeconds) => Unpooled(_settings, keepAliveSeconds);

    /// <summary>Begins a piece of work. Dispose it when nothing of it goes on.</summary>
    /// <param name="bytes">How many bytes it moves, which get a second for each MiB on top of the request timeout.</param>
    /// <param name="cancellationToken">The caller's.</param>
    /// <exception cref="ObjectDisposedException">The store has been disposed.</exception>
    /// <exception cref="OperationCanceledException">The token is cancelled already.</exception>
    public PostgresWork Begin(long bytes, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing, typeof(PostgresStore));
            _running++;
        }

        return new PostgresWork(this, RequestTimeout + TimeSpan.FromSeconds(bytes / BytesPerSecond), cancellationToken);
    }

    /// <summary>A connection from the pool. Raises the driver's errors.</summary>
    public ValueTask<NpgsqlConnection> OpenAsync(PostgresWork work) => OpenAsync(_pool, work.Token);

    /// <summary>
    /// A connection. What the driver raises on the way to one and does not call an error of its own becomes one: a client certificate that is being replaced
    /// cannot be read or does not fit its key, the server asks for a way to authenticate that the driver does not know.
    /// </summary>
    public static async ValueTask<NpgsqlConnection> OpenAsync(NpgsqlDataSource source, CancellationToken cancellationToken)
    {
        try
        {
            return await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsOfFile(error)
            || (!PostgresErrors.IsOfDriver(error) && error is not (StoreUnavailableException or StoreRefusedException or ObjectDisposedException)))
        {
            throw new NpgsqlException(error.Message, error);
        }
    }

    /// <summary>Runs a piece of work that may be abandoned at any point.</summary>
    /// <param name="what">What is being done, for the message of an error.</param>
    /// <param name="bytes">See <see cref="Begin"/>.</param>
    /// <param name="run">What to do, with a connection from the pool.</param>
    /// <param name="cancellationToken">Abandons it.</param>
    public async Task<T> RunAsync<T>(
        string what,
        long bytes,
        Func<NpgsqlConnection, CancellationToken, Task<T>> run,
        CancellationToken cancellationToken)
    {
        using var work = Begin(bytes, cancellationToken);
        try
        {
            var connection = await OpenAsync(work).ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                return await run(connection, work.Token).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (PostgresErrors.IsOfDriver(error))
        {
            throw Translate(what, error, cancellationToken);
        }
    }

    /// <summary>The same for what reads records: half of the connections are enough for that.</summary>
    /// <inheritdoc cref="RunAsync"/>
    public Task<T> ReadAsync<T>(
        string what,
        int bytes,
        Func<NpgsqlConnection, CancellationToken, Task<T>> run,
        CancellationToken cancellationToken) =>
        _reads.RunAsync(what, bytes, () => RunAsync(what, bytes, run, cancellationToken), cancellationToken);

    /// <summary>The port's form of an error, after dropping the connections that it says are gone.</summary>
    public Exception Translate(string what, Exception error, CancellationToken cancellationToken)
    {
        DropIfGone(error);
        return error is OperationCanceledException && cancellationToken.IsCancellationRequested
            ? new OperationCanceledException(error.Message, error, cancellationToken)
            : PostgresErrors.WhileRunning($"{what} in {Description}", error);
    }

    /// <summary>After a restart of the server all connections in the pool are stale: one failure is enough to know.</summary>
    public void DropIfGone(Exception error)
    {
        if (PostgresErrors.IsOfConnection(error))
        {
            _pool.Clear();
        }
    }

    /// <summary>Waits for the work under way, takes no more, and closes the connections.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _closing = true;
            if (_running == 0)
            {
                _idle.TrySetResult();
            }
        }

        await _idle.Task.ConfigureAwait(false);
        await _pool.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Called by <see cref="PostgresWork"/>.</summary>
    internal void End()
    {
        lock (_gate)
        {
            if (--_running == 0 && _closing)
            {
                _idle.TrySetResult();
            }
        }
    }

    private static NpgsqlSlimDataSourceBuilder Builder(string connectionString)
    {
        var builder = new NpgsqlSlimDataSourceBuilder(connectionString);
        builder.EnableTransportSecurity();

        // Only built-in types are used, which the driver knows.
        builder.ConfigureTypeLoading(static loading => loading.EnableTypeLoading(false));
        return builder;
    }

    /// <summary>
    /// What was true when the store was opened must be true of every new connection too: the server may have been replaced by a
    /// standby, its settings changed, the tables migrated.
    /// </summary>
    private async Task CheckAsync(NpgsqlConnection connection)
    {
        var command = connection.Command("SELECT current_setting('synchronous_commit'), pg_is_in_recovery(), version FROM tansu_schema");
        await using (command.ConfigureAwait(false))
        {
            command.CommandTimeout = CheckSeconds;
            var row = await command.ExecuteReaderAsync().ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                var version = await row.ReadAsync().ConfigureAwait(false) ? row.GetInt32(2) : 0;
                PostgresSchema.CheckVersion(Description, version);
                if (PostgresSchema.FindingOn(Description, row.GetString(0)) is { } finding)
                {
                    // Somebody may set it right, unlike the tables' version.
                    throw new StoreUnavailableException(finding);
                }

                if (row.GetBoolean(1))
                {
                    throw new StoreUnavailableException($"{Description} is a standby that cannot be written to");
                }
            }
        }
    }
}

/// <summary>A piece of work of <see cref="PostgresConnections"/>.</summary>
internal sealed class PostgresWork : IDisposable
{
    private readonly PostgresConnections _connections;
    private readonly CancellationTokenSource _limit;

    public PostgresWork(PostgresConnections connections, TimeSpan timeout, CancellationToken cancellationToken)
    {
        _connections = connections;
        _limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _limit.CancelAfter(timeout);
    }

    /// <summary>Cancelled with the caller's token, or when the time is over.</summary>
    public CancellationToken Token => _limit.Token;

    public void Dispose()
    {
        _limit.Dispose();
        _connections.End();
    }
}
