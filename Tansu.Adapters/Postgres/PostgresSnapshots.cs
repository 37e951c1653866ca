using System.Buffers;
using Npgsql;
using Tansu.Adapters.Ports;
using Tansu.Codec.Records;
using static Tansu.Adapters.PostgresCommands;

namespace Tansu.Adapters;

/// <summary>The snapshots of one log, of which the two newest are kept.</summary>
internal sealed class PostgresSnapshots(PostgresConnections connections, string name, int id, Action<string>? notice)
{
    /// <summary>For the time limit of a load: the length is not known before.</summary>
    private const long ExpectedBytes = 64 * 1024 * 1024;

    private const string Save =
        """
        INSERT INTO tansu_snapshot (log, number, crc32c, content)
        SELECT $1, $2, $3, $4 FROM tansu_log WHERE id = $1 AND tail >= $2
        ON CONFLICT (log, number) DO UPDATE SET crc32c = excluded.crc32c, content = excluded.content
        """;

    private const string DropOld =
        """
        DELETE FROM tansu_snapshot
        WHERE log = $1
            AND number < (SELECT min(number) FROM (SELECT number FROM tansu_snapshot WHERE log = $1 ORDER BY number DESC LIMIT 2) AS newest)
        """;

    private const string Load =
        "SELECT number, crc32c, content FROM tansu_snapshot WHERE log = $1 AND number < $2 ORDER BY number DESC LIMIT 1";

    public async Task SaveAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        using var bytes = new OnePiece(content);
        var memory = bytes.Memory;
        var saved = await connections.RunAsync(
            $"Saving snapshot {number} of log {name}",
            memory.Length,
            (connection, token) => SaveAsync(connection, number, memory, token),
            cancellationToken).ConfigureAwait(false);
        if (!saved)
        {
            throw new ArgumentOutOfRangeException(nameof(number), number, "The log has no such entry yet.");
        }
    }

    public async Task<Snapshot?> LoadAsync(long belowNumber, CancellationToken cancellationToken)
    {
        while (true)
        {
            var (snapshot, isWhole) = await connections.RunAsync(
                $"Loading a snapshot of log {name}",
                ExpectedBytes,
                (connection, token) => LoadAsync(connection, belowNumber, token),
                cancellationToken).ConfigureAwait(false);
            if (snapshot is null || isWhole)
            {
                return snapshot;
            }

            notice?.Invoke($"{connections.Description}: snapshot {snapshot.Number} of log {name} is damaged; an older one is used");
            belowNumber = snapshot.Number;
        }
    }

    private async Task<bool> SaveAsync(
        NpgsqlConnection connection,
        long number,
        ReadOnlyMemory<byte> content,
        CancellationToken cancellationToken)
    {
        var save = connection.Command(
            Save,
            Parameter(id),
            Parameter(number),
            Parameter((long)Crc32C.Compute(content.Span)),
            Parameter(content));
        await using (save.ConfigureAwait(false))
        {
            if (await save.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false) == 0)
            {
                return false;
            }
        }

        var dropOld = connection.Command(DropOld, Parameter(id));
        await using (dropOld.ConfigureAwait(false))
        {
            await dropOld.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }

        return true;
    }

    private async Task<(Snapshot? Snapshot, bool IsWhole)> LoadAsync(
        NpgsqlConnection connection,
        long belowNumber,
        CancellationToken cancellationToken)
    {
        var command = connection.Command(Load, Parameter(id), Parameter(belowNumber));
        await using (command.ConfigureAwait(false))
        {
            var row = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                if (!await row.ReadAsync(cancellationToken).ConfigureAwait(false))
                {
                    return (null, true);
                }

                var content = row.GetFieldValue<byte[]>(2);
                return (new Snapshot(row.GetInt64(0), content), Crc32C.Compute(content) == row.GetInt64(1));
            }
        }
    }
}
