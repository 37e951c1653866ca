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
        var rowBytes = Math.Max(1, bytes / Math.Max(1, commits));
        var times = await InsertAsync(database, rowBytes, commits, static _ => { });
        return commits * (double)rowBytes / (times.Sum() / 1000);
    }

    /// <summary>Rows of so many bytes inserted in the same way, at a steady rate.</summary>
    /// <returns>The milliseconds of each, sorted.</returns>
    public async Task<double[]> TimesAsync(string database, int rowBytes, int perSecond, int rows)
    {
        Pace? pace = null;
        var times = await InsertAsync(database, rowBytes, rows, number => (pace ??= new Pace(perSecond)).WaitFor(number));
        Array.Sort(times);
        return times;
    }

    private async Task<double[]> InsertAsync(string database, long rowBytes, long rows, Action<long> beforeEach)
    {
        await using var connection = await ConnectAsync(database);
        await using (var creating = new NpgsqlCommand("CREATE TABLE floor (LIKE tansu_entry INCLUDING ALL)", connection))
        {
            await creating.ExecuteNonQueryAsync();
        }

        var payload = new byte[rowBytes];
        Random.Shared.NextBytes(payload);
        var number = new NpgsqlParameter<long> { TypedValue = 0 };
        await using var inserting = new NpgsqlCommand("INSERT INTO floor (log, number, head, payload) VALUES (1, $1, $2, $3)", connection)
        {
            Parameters = { number, new NpgsqlParameter<byte[]> { TypedValue = [1] }, new NpgsqlParameter<byte[]> { TypedValue = payload } },
        };
        await inserting.PrepareAsync();
        var times = new double[rows];
        for (var row = 0L; row < rows; row++)
        {
            beforeEach(row);
            var begun = Stopwatch.GetTimestamp();
            number.TypedValue = row;
            await inserting.ExecuteNonQueryAsync();
            times[row] = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
        }

        return times;
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
