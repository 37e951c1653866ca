using System.Buffers;
using System.Runtime.InteropServices;
using Npgsql;
using NpgsqlTypes;

namespace Tansu.Adapters;

/// <summary>Short forms for the driver's commands and parameters, which are all positional.</summary>
internal static class PostgresCommands
{
    public static NpgsqlCommand Command(this NpgsqlConnection connection, string statement, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = statement;
        foreach (var parameter in parameters)
        {
            command.Parameters.Add(parameter);
        }

        return command;
    }

    /// <summary>Runs a statement; the first column of its first row, null if there is none.</summary>
    public static async Task<object?> ScalarAsync(
        this NpgsqlConnection connection,
        string statement,
        CancellationToken cancellationToken,
        params NpgsqlParameter[] parameters)
    {
        var command = connection.Command(statement, parameters);
        await using (command.ConfigureAwait(false))
        {
            return await command.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    public static NpgsqlParameter Parameter(long value) =>
        new NpgsqlParameter<long> { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Bigint };

    public static NpgsqlParameter Parameter(int value) =>
        new NpgsqlParameter<int> { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Integer };

    public static NpgsqlParameter Parameter(string value) =>
        new NpgsqlParameter<string> { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Text };

    public static NpgsqlParameter Parameter(ReadOnlyMemory<byte> value) =>
        new NpgsqlParameter<ReadOnlyMemory<byte>> { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Bytea };

    /// <summary>Fills <paramref name="destination"/> from a column of the current row, which must have as many bytes.</summary>
    /// <returns>False if the column ends before.</returns>
    public static async Task<bool> FillAsync(
        this NpgsqlDataReader row,
        int column,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        var stream = await row.GetStreamAsync(column, cancellationToken).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            return await stream.ReadAtLeastAsync(destination, destination.Length, throwOnEndOfStream: false, cancellationToken)
                .ConfigureAwait(false) == destination.Length;
        }
    }
}

/// <summary>The bytes of a sequence in one piece: the sequence's own where it has only one, else a rented copy.</summary>
internal readonly struct OnePiece : IDisposable
{
    private readonly byte[]? _rented;

    public OnePiece(ReadOnlySequence<byte> sequence)
    {
        // Memory that is no array may be gone while the driver still cleans up after a connection that broke.
        if (sequence.IsSingleSegment && MemoryMarshal.TryGetArray(sequence.First, out _))
        {
            Memory = sequence.First;
            return;
        }

        var length = checked((int)sequence.Length);
        _rented = ArrayPool<byte>.Shared.Rent(length);
        sequence.CopyTo(_rented);
        Memory = _rented.AsMemory(0, length);
    }

    public ReadOnlyMemory<byte> Memory { get; }

    public void Dispose()
    {
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
        }
    }
}
