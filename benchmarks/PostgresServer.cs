using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Npgsql;

namespace Tansu.Benchmarks;

/// <summary>A real PostgreSQL server of its own, as in the tests: commits synchronously, with fsync.</summary>
internal sealed class PostgresServer : IDisposable
{
    private const string Password = "bench";

    private readonly string _directory = Path.Combine(Path.GetTempPath(), "tansu-postgres-" + Guid.NewGuid().ToString("N")[..8]);
    private readonly int _port = SlowS3.FreePort();
    private PosixSignalRegistration[] _signals = [];

    private PostgresServer()
    {
    }

    public static PostgresServer Start()
    {
        var server = new PostgresServer();
        server.Script("start");

        server._signals = [.. new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT }.Select(signal => PosixSignalRegistration.Create(signal, _ => server.Stop()))];
        return server;
    }

    /// <summary>A storage engine.</summary>
    public string Url(string database) => string.Create(CultureInfo.InvariantCulture, $"postgres://postgres:{Password}@127.0.0.1:{_port}/{database}");

    /// <summary>Creates an empty database.</summary>
    public async Task CreateAsync(string database)
    {
        await using var connection = await ConnectAsync("postgres");
        await using var command = new NpgsqlCommand($"CREATE DATABASE {database}", connection);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>
    /// The same bytes inserted by one connection into a table like that of the entries, one row and one commit after the other, as a log is written.
    /// </summary>
    /// <returns>Bytes per second.</returns>
    public async Task<double> FloorAsync(string database, long bytes, long commits)
    {
        var payload = RandomBytes(Math.Max(1, bytes / Math.Max(1, commits)));
        await using var connection = await ConnectAsync(database);
        await using var floor = await InserterAsync(connection);
        var clock = Stopwatch.StartNew();
        for (var row = 0L; row < commits; row++)
        {
            Insert(floor, row, payload);
        }

        return commits * (double)payload.Length / clock.Elapsed.TotalSeconds;
    }

    /// <summary>The records of all requests that have come are inserted in the same way, as one row with one commit.</summary>
    public async Task<GroupedFloor> GroupedAsync(string database, int frameBytes, int recordBytes)
    {
        var connection = await ConnectAsync(database);
        var floor = await InserterAsync(connection);
        var row = 0L;
        return GroupedFloor.Start(frameBytes, count => Insert(floor, row++, RandomBytes(count * recordBytes)), floor, connection);
    }

    private static byte[] RandomBytes(long count)
    {
        var bytes = new byte[count];
        Random.Shared.NextBytes(bytes);
        return bytes;
    }

    /// <summary>A statement that inserts into a table like that of the entries: number and payload.</summary>
    private static async Task<NpgsqlCommand> InserterAsync(NpgsqlConnection connection)
    {
        await using (var creating = new NpgsqlCommand("CREATE TABLE floor (LIKE tansu_entry INCLUDING ALL)", connection))
        {
            await creating.ExecuteNonQueryAsync();
        }

        var inserting = new NpgsqlCommand("INSERT INTO floor (log, number, head, payload) VALUES (1, $1, $2, $3)", connection)
        {
            Parameters =
            {
                new NpgsqlParameter<long> { TypedValue = 0 },
                new NpgsqlParameter<byte[]> { TypedValue = [1] },
                new NpgsqlParameter<byte[]> { TypedValue = [] },
            },
        };
        await inserting.PrepareAsync();
        return inserting;
    }

    private static void Insert(NpgsqlCommand floor, long number, byte[] payload)
    {
        ((NpgsqlParameter<long>)floor.Parameters[0]).TypedValue = number;
        ((NpgsqlParameter<byte[]>)floor.Parameters[2]).TypedValue = payload;
        floor.ExecuteNonQuery();
    }

    public void Dispose()
    {
        Array.ForEach(_signals, static signal => signal.Dispose());
        Stop();
    }

    private void Stop() => Script("wipe");

    private async Task<NpgsqlConnection> ConnectAsync(string database)
    {
        var settings = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = _port,
            Username = "postgres",
            Password = Password,
            Database = database,
            Pooling = false,

            // As the broker's.
            WriteBufferSize = 128 * 1024,
        };
        var connection = new NpgsqlConnection(settings.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }

    private void Script(string command)
    {
        var script = Path.Combine("property-tests", "servers", "postgres.sh");
        var start = new ProcessStartInfo(script, command);
        start.Environment["PG_DIR"] = _directory;
        start.Environment["PG_PORT"] = _port.ToString(CultureInfo.InvariantCulture);
        start.Environment["PGPASSWORD"] = Password;
        using var running = Process.Start(start)!;
        running.WaitForExit();
        if (running.ExitCode != 0)
        {
            throw new InvalidOperationException($"{script} {command} failed: run this from the repository's root");
        }
    }
}
