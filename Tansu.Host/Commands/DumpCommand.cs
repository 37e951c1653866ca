using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tansu.Adapters;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands;

/// <summary>
/// `tansu dump`: shows a log's entries or snapshots, for support. It takes no part in the cluster and writes nothing. What records say is
/// not shown, nor any other bytes, only how many there are.
/// </summary>
public static class DumpCommand
{
    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Shows what is asked for.</summary>
    /// <param name="storageEngine">The store's URL.</param>
    /// <param name="task">What to show, and how.</param>
    /// <param name="output">For entries or snapshots.</param>
    /// <param name="errors">For what is wrong.</param>
    /// <param name="cancellationToken">Says to stop, which is no failure.</param>
    /// <returns>The exit code: 0 if all could be read, 1 if not.</returns>
    public static async Task<int> RunAsync(
        string storageEngine, DumpTask task, TextWriter output, TextWriter errors, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(storageEngine);
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(errors);
        var problems = 0;
        try
        {
            var options = new StoreOptions { IsReadOnly = true, OnNotice = notice => errors.WriteLine($"tansu: {notice}") };
            var store = await StoreUrl.OpenAsync(storageEngine, options, cancellationToken).ConfigureAwait(false);
            await using var scope = store.ConfigureAwait(false);
            var opened = await store.OpenLogAsync(task.Log, cancellationToken).ConfigureAwait(false);
            problems = await ShowAsync(new StoredLog(opened), task, output, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (
            failure is StoreRefusedException or StoreUnavailableException or EntryMissingException or ArgumentException or IOException)
        {
            await errors.WriteLineAsync($"tansu: {failure.Message.ReplaceLineEndings(" ")}").ConfigureAwait(false);
            return 1;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }

        if (problems > 0)
        {
            await errors.WriteLineAsync($"tansu: {problems} could not be read whole").ConfigureAwait(false);
        }

        return problems > 0 ? 1 : 0;
    }

    private static async Task<int> ShowAsync(StoredLog log, DumpTask task, TextWriter output, CancellationToken cancellationToken)
    {
        var problems = 0;
        if (task.Snapshots)
        {
            await foreach (var snapshot in log.SnapshotsAsync(cancellationToken).ConfigureAwait(false))
            {
                await output.WriteLineAsync(task.Json ? JsonOf(json => Write(json, snapshot)) : TextOf(snapshot)).ConfigureAwait(false);
                problems += snapshot.Problem is null ? 0 : 1;
            }

            return problems;
        }

        var left = task.Count < 0 ? long.MaxValue : task.Count;
        if (left == 0)
        {
            return 0;
        }

        await foreach (var entry in log.EntriesAsync(task.From, cancellationToken).ConfigureAwait(false))
        {
            await output.WriteLineAsync(task.Json ? JsonOf(json => Write(json, entry)) : TextOf(entry)).ConfigureAwait(false);
            problems += entry.Problem is null ? 0 : 1;
            if (--left == 0)
            {
                break;
            }
        }

        return problems;
    }

    private static string TextOf(StoredEntry entry)
    {
        var text = new StringBuilder();
        text.Append(
            CultureInfo.InvariantCulture,
            $"entry {entry.Number}, {TimeOf(entry.TimeMs)}, commit {entry.CommitId}, head {entry.HeadBytes} bytes, payload {entry.PayloadBytes} bytes");
        foreach (var stored in entry.Events)
        {
            text.Append("\n    ").Append(NameOf(stored)).Append(' ').Append(JsonOf(stored.Fields.Describe));
        }

        if (entry.Problem is { } problem)
        {
            text.Append("\n    cannot be read further: ").Append(problem);
        }

        return text.ToString();
    }

    private static string TextOf(StoredSnapshot snapshot)
    {
        var counts = string.Concat(snapshot.Counts.Select(count => $", {count.Key} {count.Value.ToString(CultureInfo.InvariantCulture)}"));
        var problem = snapshot.Problem is null ? "" : $", cannot be read: {snapshot.Problem}";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"snapshot after entry {snapshot.Number}, {TimeOf(snapshot.TimeMs)}, {snapshot.Bytes} bytes{counts}{problem}");
    }

    private static void Write(Utf8JsonWriter json, StoredEntry entry)
    {
        json.WriteNumber("entry", entry.Number);
        json.WriteNumber("timeMs", entry.TimeMs);
        json.WriteString("commit", entry.CommitId);
        json.WriteNumber("headBytes", entry.HeadBytes);
        json.WriteNumber("payloadBytes", entry.PayloadBytes);
        json.WriteObjects("events", entry.Events, stored =>
        {
            json.WriteString("event", NameOf(stored));
            stored.Fields.Describe(json);
        });
        json.WriteString("problem", entry.Problem);
    }

    private static void Write(Utf8JsonWriter json, StoredSnapshot snapshot)
    {
        json.WriteNumber("afterEntry", snapshot.Number);
        json.WriteNumber("timeMs", snapshot.TimeMs);
        json.WriteNumber("bytes", snapshot.Bytes);
        foreach (var (name, count) in snapshot.Counts)
        {
            json.WriteNumber(name, count);
        }

        json.WriteString("problem", snapshot.Problem);
    }

    private static string JsonOf(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Relaxed))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    // The stored forms are called by what has happened, and that they are events.
    private static string NameOf(StoredEvent stored) =>
        stored.Name.EndsWith("Event", StringComparison.Ordinal) ? stored.Name[..^"Event".Length] : stored.Name;

    private static string TimeOf(long timeMs) => timeMs is >= 0 and < 253402300800000
        ? DateTimeOffset.FromUnixTimeMilliseconds(timeMs).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)
        : "no time";
}
