using System.Buffers;
using System.Data;
using Npgsql;
using Tansu.Adapters.Ports;
using static Tansu.Adapters.PostgresCommands;

namespace Tansu.Adapters;

/// <summary>One broker's hold on a log: a row of <c>tansu_log</c> and the rows of <c>tansu_entry</c> that belong to it.</summary>
internal sealed class PostgresEventLog(
    PostgresConnections connections,
    string name,
    int id,
    LogAnnouncer announcer,
    Action<string>? notice) : IEventLog
{
    private const int MaxPartBytes = 128 * 1024 * 1024;

    /// <summary>Heads are read until they have this many bytes together.</summary>
    private const int HeadBytesAtOnce = 8 * 1024 * 1024;

    private const int TrimEntriesAtOnce = 128;

    private const string Find =
        """
        SELECT id, tail,
            (SELECT max(number) FROM tansu_entry WHERE log = id),
            (SELECT max(number) FROM tansu_snapshot WHERE log = id)
        FROM tansu_log WHERE name = $1
        """;

    private const string Create = "INSERT INTO tansu_log (name) VALUES ($1) ON CONFLICT DO NOTHING";

    /// <summary>
    /// The compare-and-swap. Of two at once the second waits for the first one's row lock, then looks at the row again, finds another tail and
    /// inserts nothing.
    /// </summary>
    private const string Append =
        """
        WITH advanced AS (UPDATE tansu_log SET tail = $2 WHERE id = $1 AND tail = $2 - 1 RETURNING id)
        INSERT INTO tansu_entry (log, number, head, payload) SELECT id, $2, $3, $4 FROM advanced
        """;

    /// <summary>Lengths of external values are known without reading them, so what is over the bound costs nothing.</summary>
    private const string Heads =
        """
        SELECT tail, number, head, payload_length
        FROM tansu_log LEFT JOIN (
            SELECT number, head, octet_length(payload) AS payload_length,
                sum(octet_length(head)) OVER (ORDER BY number) - octet_length(head) AS bytes_before
            FROM (SELECT number, head, payload FROM tansu_entry WHERE log = $1 AND number > $2 ORDER BY number LIMIT $3) AS next
        ) AS sized ON bytes_before < $4
        WHERE id = $1
        ORDER BY number
        """;

    private const string Payload =
        "SELECT octet_length(payload), substring(payload FROM $3 FOR $4) FROM tansu_entry WHERE log = $1 AND number = $2";

    /// <summary>From the lowest upwards, so that what remains has no gaps.</summary>
    private const string Trim =
        """
        DELETE FROM tansu_entry
        WHERE log = $1 AND number < least($2, (SELECT min(number) FROM tansu_entry WHERE log = $1) + $3)
        """;

    private readonly PostgresSnapshots _snapshots = new(connections, name, id, notice);
    private long _end;
    private int _disposed;

    /// <inheritdoc/>
    public string Name => name;

    /// <summary>Whether it must be opened again to be used.</summary>
    public bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <summary>Finds or creates a log.</summary>
    /// <exception cref="StoreRefusedException">Its tail, entries and snapshots contradict one another.</exception>
    public static Task<PostgresEventLog> OpenAsync(
        PostgresConnections connections,
        string name,
        LogAnnouncer announcer,
        StoreOptions options) =>
        connections.RunAsync(
            $"Opening log {name}",
            0,
            async (connection, token) =>
            {
                var id = await FindAsync(connection, connections.Description, name, token).ConfigureAwait(false);
                if (id is null)
                {
                    if (options.IsReadOnly)
                    {
                        throw new StoreRefusedException($"There is no log {name} in {connections.Description}.");
                    }

                    var command = connection.Command(Create, Parameter(name));
                    await using (command.ConfigureAwait(false))
                    {
                        await command.ExecuteNonQueryAsync(token).ConfigureAwait(false);
                    }

                    id = await FindAsync(connection, connections.Description, name, token).ConfigureAwait(false)
                        ?? throw new StoreUnavailableException($"Log {name} was deleted while it was created.");
                }

                return new PostgresEventLog(connections, name, id.Value, announcer, options.OnNotice);
            },
            CancellationToken.None);

    /// <inheritdoc/>
    public async ValueTask<AppendOutcome> TryAppendAsync(
        long number,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfZero(head.Length, nameof(head));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(head.Length, MaxPartBytes, nameof(head));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, MaxPartBytes, nameof(payload));
        using var work = connections.Begin(head.Length + payload.Length, cancellationToken);
        if (number < 1)
        {
            return AppendOutcome.Conflict;
        }

        using var headBytes = new OnePiece(head);
        using var payloadBytes = new OnePiece(payload);
        var isSent = false;
        try
        {
            var connection = await connections.OpenAsync(work).ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                var command = connection.Command(
                    Append,
                    Parameter(id),
                    Parameter(number),
                    Parameter(headBytes.Memory),
                    Parameter(payloadBytes.Memory));
                await using (command.ConfigureAwait(false))
                {
                    isSent = true;
                    if (await command.ExecuteNonQueryAsync(work.Token).ConfigureAwait(false) == 0)
                    {
                        return AppendOutcome.Conflict;
                    }
                }
            }
        }
        catch (Exception error) when (PostgresErrors.IsOfDriver(error))
        {
            var translated = connections.Translate($"Appending entry {number} to log {name}", error, cancellationToken);
            if (isSent && !PostgresErrors.SaysNotCommitted(error))
            {
                return AppendOutcome.Unknown;
            }

            throw translated;
        }

        Reached(number);
        announcer.Announce(name);
        return AppendOutcome.Appended;
    }

    /// <inheritdoc/>
    public async ValueTask<EntryHeads> ReadHeadsAsync(
        long after,
        int maxEntries,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(after);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxEntries, 1);
        return await connections.RunAsync(
            $"Reading log {name}",
            HeadBytesAtOnce,
            (connection, token) => ReadHeadsAsync(connection, after, maxEntries, token),
            cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask ReadPayloadAsync(
        long number,
        int position,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        var length = await connections.ReadAsync(
            $"Reading entry {number} of log {name}",
            destination.Length,
            (connection, token) => ReadRangeAsync(
                connection.Command(
                    Payload,
                    Parameter(id),
                    Parameter(number),
                    Parameter(Math.Clamp(position, 0, MaxPartBytes) + 1),
                    Parameter(destination.Length)),
                position,
                destination,
                token),
            cancellationToken).ConfigureAwait(false)
            ?? throw new EntryMissingException(name, number);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, length - destination.Length);
    }

    /// <inheritdoc/>
    public async ValueTask SaveSnapshotAsync(
        long number,
        ReadOnlySequence<byte> content,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        await _snapshots.SaveAsync(number, content, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return await _snapshots.LoadAsync(belowNumber, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask TrimAsync(long below, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        while (await connections.RunAsync(
            $"Trimming log {name}",
            TrimEntriesAtOnce * (long)HeadBytesAtOnce / 16,
            async (connection, token) =>
            {
                var command = connection.Command(Trim, Parameter(id), Parameter(below), Parameter(TrimEntriesAtOnce));
                await using (command.ConfigureAwait(false))
                {
                    return await command.ExecuteNonQueryAsync(token).ConfigureAwait(false);
                }
            },
            cancellationToken).ConfigureAwait(false) > 0)
        {
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Volatile.Write(ref _disposed, 1);
        return ValueTask.CompletedTask;
    }

    /// <summary>Fills a buffer from a row of (whole length, range), if the range is inside the whole.</summary>
    /// <returns>The whole length; null when there is no row.</returns>
    internal static async Task<int?> ReadRangeAsync(
        NpgsqlCommand command,
        long position,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        await using (command.ConfigureAwait(false))
        {
            var row = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken).ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                if (!await row.ReadAsync(cancellationToken).ConfigureAwait(false))
                {
                    return null;
                }

                var length = row.GetInt32(0);
                if (position >= 0 && position <= length - destination.Length && !destination.IsEmpty)
                {
                    await row.FillAsync(1, destination, cancellationToken).ConfigureAwait(false);
                }

                return length;
            }
        }
    }

    private static async Task<int?> FindAsync(
        NpgsqlConnection connection,
        string store,
        string name,
        CancellationToken cancellationToken)
    {
        var command = connection.Command(Find, Parameter(name));
        await using (command.ConfigureAwait(false))
        {
            var row = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                if (!await row.ReadAsync(cancellationToken).ConfigureAwait(false))
                {
                    return null;
                }

                var tail = row.GetInt64(1);
                if ((!row.IsDBNull(2) && row.GetInt64(2) != tail) || (!row.IsDBNull(3) && row.GetInt64(3) > tail))
                {
                    throw new StoreRefusedException(
                        $"{store}: log {name} is damaged: by table tansu_log it ends with entry {tail}, which tansu_entry or tansu_snapshot contradicts. Restore the database from a backup.");
                }

                return row.GetInt32(0);
            }
        }
    }

    /// <summary>Whoever has seen this entry must never find that the log ends before it.</summary>
    private void Reached(long number)
    {
        for (var end = Volatile.Read(ref _end); number > end;)
        {
            var found = Interlocked.CompareExchange(ref _end, number, end);
            end = found == end ? number : found;
        }
    }

    private async Task<EntryHeads> ReadHeadsAsync(
        NpgsqlConnection connection,
        long after,
        int maxEntries,
        CancellationToken cancellationToken)
    {
        // Before the statement, which therefore sees at least as much.
        var end = Volatile.Read(ref _end);
        var command = connection.Command(Heads, Parameter(id), Parameter(after), Parameter(maxEntries), Parameter(HeadBytesAtOnce));
        await using (command.ConfigureAwait(false))
        {
            var row = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                var heads = new List<EntryHead>();
                long? tail = null;
                while (await row.ReadAsync(cancellationToken).ConfigureAwait(false))
                {
                    tail = row.GetInt64(0);
                    if (!row.IsDBNull(1))
                    {
                        heads.Add(new EntryHead(row.GetInt64(1), row.GetFieldValue<byte[]>(2), row.GetInt32(3)));
                    }
                }

                if (tail is null)
                {
                    throw new StoreRefusedException(
                        $"{connections.Description}: log {name} has disappeared from table tansu_log. Restore the database from a backup.");
                }

                if (tail < end)
                {
                    throw new StoreRefusedException(
                        $"{connections.Description}: log {name} ends with entry {tail}, but this broker has seen entry {end}: the server has lost commits, by a failover "
                        + "to a standby that was behind or by restoring a backup. Stop all brokers, then start them again: they go on with what is there.");
                }

                Reached(tail.Value);
                return after < tail && (heads.Count == 0 || heads[0].Number != after + 1)
                    ? throw new EntryMissingException(name, after + 1)
                    : new EntryHeads(heads, isEnd: heads.Count > 0 && heads[^1].Number >= tail);
            }
        }
    }
}
