using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Tansu.Benchmarks;

/// <summary>
/// One producer, one record of 1 KiB at a time, acks=all, on File: as multiples of appending the same bytes with one fdatasync. The floor of any server is
/// that and a round trip to a process that only reads and answers. All take turns several times a second, since the disk's mood changes.
/// </summary>
internal static class OneRecordBenchmark
{
    private const int Rounds = 7;
    private const int Turns = 8;

    public static async Task RunAsync(TimeSpan duration)
    {
        var directory = Directory.CreateTempSubdirectory("tansu-bench-").FullName;
        try
        {
            using var broker = await OtherProcess.BrokerAsync($"file://{directory}/store");
            await broker.CreateTopicAsync(1);
            using var sink = await OtherProcess.PartAsync("sink");
            var frame = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, 1, 1024, 1024)[0];
            using var producer = new OneAtATime(broker.Port, frame);
            using var caller = new OneAtATime(sink.Port, frame);
            caller.Run(duration / 4, []);
            producer.Run(duration / 4, []);
            var before = await StoreSnapshot.TakeAsync(broker);
            var sent = new List<double>();
            producer.Run(duration / 4, sent);
            var entryBytes = (int)((await StoreSnapshot.TakeAsync(broker)).AppendedBytes - before.AppendedBytes) / sent.Count;
            using var file = File.OpenHandle(Path.Combine(directory, "floor"), FileMode.CreateNew, FileAccess.ReadWrite);
            var rounds = new List<Round>();
            for (var number = 0; number < Rounds; number++)
            {
                rounds.Add(Run(producer, caller, file, entryBytes, duration));
            }

            Console.WriteLine($"File, one producer, one record of 1 KiB at a time (entries of {entryBytes} bytes), {Rounds} rounds");
            Console.WriteLine();
            Console.WriteLine("| | p50 | p99 | p50 in fdatasyncs | p99 in fdatasyncs | p50 of both floors |");
            Console.WriteLine("|---|---|---|---|---|---|");
            Row("fdatasync", rounds, static round => round.Sync);
            Row("round trip to a sink", rounds, static round => round.Trip);
            Row("produce", rounds, static round => round.Produce);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static void Row(string name, List<Round> rounds, Func<Round, Times> which)
    {
        double Median(Func<Round, double> figure) => Medians.Of(rounds, figure);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {Median(round => which(round).P50):F3} ms | {Median(round => which(round).P99):F3} ms | {Median(round => which(round).P50 / round.Sync.P50):F2} "
            + $"| {Median(round => which(round).P99 / round.Sync.P50):F2} | {Median(round => which(round).P50 / (round.Sync.P50 + round.Trip.P50)):F2} |"));
    }

    private static Round Run(OneAtATime producer, OneAtATime caller, SafeFileHandle file, int entryBytes, TimeSpan duration)
    {
        var (produced, called, synced) = (new List<double>(), new List<double>(), new List<double>());
        for (var turn = 0; turn < Turns; turn++)
        {
            producer.Run(duration / Turns, produced);
            FileFloor.Append(file, entryBytes, duration / Turns, synced);
            caller.Run(duration / Turns / 4, called);
        }

        return new Round(Times.Of(produced), Times.Of(called), Times.Of(synced));
    }

    private sealed record Round(Times Produce, Times Trip, Times Sync);

    private sealed record Times(double P50, double P99)
    {
        public static Times Of(List<double> latencies) => new(Medians.Of(latencies), latencies.Order().ElementAt((int)(latencies.Count * 0.99)));
    }
}
