using System.Buffers;
using System.Runtime.CompilerServices;
using Npgsql;
using Tansu.Adapters.Ports;
using static Tansu.Adapters.PostgresCommands;

namespace Tansu.Adapters;

/// <summary>Objects as rows of <c>tansu_blob</c>.</summary>
internal sealed class PostgresBlobs(PostgresConnections connections) : IBlobStore
{
    /// <summary>A value of the server may have one GiB, and so may the message that brings it.</summary>
    private const int MaxBytes = 1000 * 1024 * 1024;

    private const int NamesAtOnce = 100;
    private const int PageSize = 1000;

    /// <summary>Before and after every character that a name may have.</summary>
    private const char Lowest = '\u0001';
    private const char Highest = '\u007f';

    private const string Put =
        """
        INSERT INTO tansu_blob (name, content) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET content = excluded.content, last_modified = excluded.last_modified
        """;

    private const string Read = "SELECT octet_length(content), substring(content FROM $2 FOR $3) FROM tansu_blob WHERE name = $1";

    private const string Delete = "DELETE FROM tansu_blob WHERE name = ANY (string_to_array($1, ','))";

    /// <summary>Names are in the order of their bytes, so those that begin alike are a range of it, and no pattern is needed.</summary>
    private const string List =
        "SELECT name, octet_length(content), last_modified FROM tansu_blob WHERE name >= $1 AND name < $2 ORDER BY name LIMIT $3";

    private static readonly SearchValues<char> PrefixChars =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./");

    public async ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(content.Length, MaxBytes, nameof(content));
        cancellationToken.ThrowIfCancellationRequested();
        using var bytes = new OnePiece(content);
        var memory = bytes.Memory;
        await connections.RunAsync(
            $"Storing object {name}",
            memory.Length,
            (connection, token) => ExecuteAsync(connection.Command(Put, Parameter(name), Parameter(memory)), token),
            cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask ReadAsync(string name, long position, Memory<byte> destination, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        var length = await connections.ReadAsync(
            $"Reading object {name}",
            destination.Length,
            (connection, token) => PostgresEventLog.ReadRangeAsync(
                connection.Command(Read, Parameter(name), Parameter((int)Math.Min(position, MaxBytes) + 1), Parameter(destination.Length)),
                position,
                destination,
                token),
            cancellationToken).ConfigureAwait(false)
            ?? throw new BlobMissingException(name, $"There is no object {name}.");
        if (position > length - destination.Length)
        {
            throw new BlobMissingException(name, $"Object {name} has {length} bytes, fewer than were to be read.");
        }
    }

    public async ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken)
    {
        for (var i = 0; i < names.Count; i++)
        {
            StoreNames.CheckBlob(names[i]);
        }

        cancellationToken.ThrowIfCancellationRequested();
        foreach (var some in names.Chunk(NamesAtOnce))
        {
            await connections.RunAsync(
                "Deleting objects",
                0,
                (connection, token) => ExecuteAsync(connection.Command(Delete, Parameter(string.Join(',', some))), token),
                cancellationToken).ConfigureAwait(false);
        }
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(
        string prefix,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        if (prefix.AsSpan().ContainsAnyExcept(PrefixChars))
        {
            // No name begins so.
            yield break;
        }

        var from = prefix;
        while (true)
        {
            var start = from;
            var page = await connections.RunAsync(
                "Listing objects",
                0,
                (connection, token) => ListAsync(
                    connection.Command(List, Parameter(start), Parameter(prefix + Highest), Parameter(PageSize)),
                    token),
                cancellationToken).ConfigureAwait(false);
            foreach (var info in page)
            {
                yield return info;
            }

            if (page.Count < PageSize)
            {
                yield break;
            }

            from = page[^1].Name + Lowest;
        }
    }

    private static async Task<int> ExecuteAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        await using (command.ConfigureAwait(false))
        {
            return await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static async Task<List<BlobInfo>> ListAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        await using (command.ConfigureAwait(false))
        {
            var row = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                var page = new List<BlobInfo>();
                while (await row.ReadAsync(cancellationToken).ConfigureAwait(false))
                {
                    page.Add(new BlobInfo(row.GetString(0), row.GetInt32(1), new DateTimeOffset(row.GetDateTime(2))));
                }

                return page;
            }
        }
    }
}
