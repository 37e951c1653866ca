using System.Diagnostics;
using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Benchmarks;

/// <summary>
/// A broker with 100,000 partitions and 10,000 groups in its state: how long it takes to start, and what a commit costs it, beside a broker with a hundred
/// partitions and ten groups.
/// </summary>
internal static class ScaleState
{
    private const int Commits = 2_000;
    private const int RecordBytes = 1024;
    private const short OffsetCommitVersion = 8;
    private const short MetadataVersion = 9;

    public static async Task RunAsync()
    {
        var small = new LargeState(100, 10);
        var large = new LargeState(100_000, 10_000);
        var starts = new List<List<Start>> { new(), new(), new() };
        var commits = new List<(Costs Small, Costs Large)>();
        for (var round = 0; round < ScaleBenchmark.Rounds; round++)
        {
            var (started, costs) = await RoundAsync(small, 0);
            starts[0].Add(started);
            var (largeStarted, largeCosts) = await RoundAsync(large, 0);
            starts[1].Add(largeStarted);
            commits.Add((costs, largeCosts));
            starts[2].Add((await RoundAsync(large, large.SnapshotBytes / 4)).Start);
        }

        Console.WriteLine($"medians of {ScaleBenchmark.Rounds} rounds, File");
        Console.WriteLine();
        Console.WriteLine("| partitions | groups | snapshots | events after them | process start to ApiVersions | to Metadata of a topic | to Metadata of all | CPU until then | memory then | CPU a second, idle |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        StartRow(small, 0, starts[0]);
        StartRow(large, 0, starts[1]);
        StartRow(large, large.SnapshotBytes / 4, starts[2]);
        Console.WriteLine();
        Console.WriteLine($"{Commits} requests one after the other, each a commit");
        Console.WriteLine();
        Console.WriteLine("| request | small state: broker CPU a commit | large state: broker CPU a commit | times | small: p50 | large: p50 | small: p99 | large: p99 | large: most |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
        CommitRow("Produce of 1 KiB", commits.ConvertAll(static round => (round.Small.Produce, round.Large.Produce)));
        CommitRow("OffsetCommit of one partition", commits.ConvertAll(static round => (round.Small.OffsetCommit, round.Large.OffsetCommit)));
    }

    private static void StartRow(LargeState state, int eventBytes, List<Start> starts) => Console.WriteLine(
        $"| {state.Partitions} | {state.Groups} | {state.SnapshotBytes / 1048576.0:F1} MiB | {eventBytes / 1048576.0:F1} MiB "
        + $"| {Medians.Of(starts, static start => start.ApiVersionsMs):F0} ms "
        + $"| {Medians.Of(starts, static start => start.OneTopicMs):F0} ms "
        + $"| {Medians.Of(starts, static start => start.AllTopicsMs):F0} ms | {Medians.Of(starts, static start => start.CpuMs):F0} ms "
        + $"| {Medians.Of(starts, static start => start.ResidentBytes) / 1e6:F0} MB "
        + $"| {Medians.Of(starts, static start => start.IdleCpuMs):F0} ms |");

    private static void CommitRow(string request, List<(Cost Small, Cost Large)> rounds) => Console.WriteLine(
        $"| {request} | {Medians.Of(rounds, static round => round.Small.CpuMs):F3} ms "
        + $"| {Medians.Of(rounds, static round => round.Large.CpuMs):F3} ms "
        + $"| {Medians.Of(rounds, static round => round.Large.CpuMs / round.Small.CpuMs):F2} "
        + $"| {Medians.Of(rounds, static round => round.Small.P50Ms):F2} ms "
        + $"| {Medians.Of(rounds, static round => round.Large.P50Ms):F2} ms "
        + $"| {Medians.Of(rounds, static round => round.Small.P99Ms):F2} ms "
        + $"| {Medians.Of(rounds, static round => round.Large.P99Ms):F2} ms "
        + $"| {Medians.Of(rounds, static round => round.Large.MostMs):F1} ms |");

    private static Task<(Start Start, Costs Costs)> RoundAsync(LargeState state, int eventBytes) => ScaleBenchmark.InDirectoryAsync(async directory =>
    {
        await state.WriteAsync($"{directory}/store", eventBytes);
        var clock = Stopwatch.StartNew();
        using var broker = await OtherProcess.BrokerAsync($"file://{directory}/store", "--commit-interval", "0");
        using var client = new SerialClient(broker.Port);
        client.Ask(Frame(new ApiVersionsRequest(), 0));
        var apiVersions = clock.Elapsed;
        client.Ask(Frame(new MetadataRequest { Topics = [new MetadataRequest.MetadataRequestTopic { Name = LargeState.TopicName(0) }] }, MetadataVersion));
        var oneTopic = clock.Elapsed;
        var cpu = broker.ProcessorSeconds;
        var resident = broker.ResidentBytes;
        client.Ask(Frame(new MetadataRequest { Topics = null }, MetadataVersion));
        var allTopics = clock.Elapsed;
        await Task.Delay(TimeSpan.FromSeconds(1));
        var beforeIdle = broker.ProcessorSeconds;
        await Task.Delay(TimeSpan.FromSeconds(2));
        var idle = (broker.ProcessorSeconds - beforeIdle) / 2;
        var start = new Start(
            apiVersions.TotalMilliseconds, oneTopic.TotalMilliseconds, allTopics.TotalMilliseconds, cpu * 1000, resident, idle * 1000);
        return (start, eventBytes > 0 ? new Costs(default, default) : Measure(broker, client, state));
    });

    private static Costs Measure(OtherProcess broker, SerialClient client, LargeState state)
    {
        var random = new Random(1);
        var produce = Enumerable.Range(0, Math.Min(Commits, state.Partitions))
            .Select(_ => random.Next(state.Partitions))
            .Select(static partition => BrokerUnderTest.NamedFrame(
                LargeState.TopicName(partition / LargeState.PartitionsInTopic), [partition % LargeState.PartitionsInTopic], RecordBytes, RecordBytes))
            .ToArray();
        var offsetCommits = Enumerable.Range(0, Math.Min(Commits, state.Groups)).Select(_ => OffsetCommit(random.Next(state.Groups), state)).ToArray();
        RequireDone(client.Ask(offsetCommits[0]));
        return new Costs(Measure(broker, client, produce), Measure(broker, client, offsetCommits));
    }

    private static Cost Measure(OtherProcess broker, SerialClient client, byte[][] frames)
    {
        for (var warmUp = 0; warmUp < Commits / 10; warmUp++)
        {
            client.Ask(frames[warmUp % frames.Length]);
        }

        var times = new List<double>(Commits);
        var cpu = broker.ProcessorSeconds;
        for (var commit = 0; commit < Commits; commit++)
        {
            var begun = Stopwatch.GetTimestamp();
            client.Ask(frames[commit % frames.Length]);
            times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }

        cpu = broker.ProcessorSeconds - cpu;
        times.Sort();
        return new Cost(cpu * 1000 / Commits, times[Commits / 2], times[Commits * 99 / 100], times[^1]);
    }

    private static byte[] OffsetCommit(int group, LargeState state)
    {
        var partition = group * (state.Partitions / state.Groups);
        return Frame(
            new OffsetCommitRequest
            {
                GroupId = LargeState.GroupId(group),
                MemberId = LargeState.MemberId(group),
                GenerationIdOrMemberEpoch = LargeState.Generation,
                Topics =
                [
                    new OffsetCommitRequest.OffsetCommitRequestTopic
                    {
                        Name = LargeState.TopicName(partition / LargeState.PartitionsInTopic),
                        Partitions =
                        [
                            new OffsetCommitRequest.OffsetCommitRequestPartition { PartitionIndex = partition % LargeState.PartitionsInTopic, CommittedOffset = 7 },
                        ],
                    },
                ],
            },
            OffsetCommitVersion);
    }

    private static void RequireDone(ReadOnlyMemory<byte> reply)
    {
        var reader = new KafkaReader(reply);
        ResponseHeader.Read(ref reader, 1);
        var error = (ErrorCode)OffsetCommitResponse.Read(ref reader, OffsetCommitVersion).Topics[0].Partitions[0].ErrorCode;
        if (error != ErrorCode.None)
        {
            throw new InvalidOperationException($"the offset commit failed with {error}");
        }
    }

    private static byte[] Frame<TMessage>(TMessage request, short version)
        where TMessage : IMessage<TMessage>
    {
        using var writer = new KafkaWriter();
        new RequestHeader { RequestApiKey = TMessage.ApiKey, RequestApiVersion = version, CorrelationId = 1, ClientId = "bench" }
            .Write(writer, (short)(version >= TMessage.FirstFlexibleVersion ? 2 : 1));
        request.Write(writer, version);
        return [.. writer.Frame().SelectMany(static segment => segment.ToArray())];
    }

    private sealed record Start(double ApiVersionsMs, double OneTopicMs, double AllTopicsMs, double CpuMs, double ResidentBytes, double IdleCpuMs);

    private readonly record struct Cost(double CpuMs, double P50Ms, double P99Ms, double MostMs);

    private sealed record Costs(Cost Produce, Cost OffsetCommit);
}
