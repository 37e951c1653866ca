using Microsoft.FSharp.Collections;
using Serilog;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;
using Tansu.Domain;
using Tansu.Host;
using Tansu.Host.CommandLine;
using Tansu.Host.Handlers;
using Tansu.Host.Network;
using Tansu.Host.Requests;

namespace Tansu.Benchmarks;

/// <summary>A whole broker in this process, sockets included, with one topic.</summary>
internal sealed class BrokerUnderTest : IAsyncDisposable
{
    /// <summary>The topic that there is.</summary>
    public const string TopicName = "bench";

    private const short ProduceVersion = 13;

    /// <summary>The highest version of Produce and Fetch that names topics.</summary>
    private const short NamedVersion = 12;

    private readonly KafkaListener _listener;
    private readonly Broker _broker;
    private readonly Topic _topic;

    private BrokerUnderTest(KafkaListener listener, Broker broker, Topic topic)
    {
        _listener = listener;
        _broker = broker;
        _topic = topic;
    }

    public int Port => _listener.Endpoint.Port;

    /// <summary>How many connections are open.</summary>
    public int Connections => _listener.ConnectionCount;

    /// <summary>How many requests could not be understood.</summary>
    public long MalformedRequests => _listener.MalformedRequestCount;

    /// <summary>How many entries the shard's log has: on File each cost one fdatasync.</summary>
    public long Commits => _broker.Cluster.Shards[0].Replica.Current.EntryNumber;

    public static async Task<BrokerUnderTest> StartAsync(string storageEngine, int partitions, int commitInterval = 0)
    {
        var log = new LoggerConfiguration().MinimumLevel.Error().WriteTo.Console().CreateLogger();
        string[] interval = commitInterval < 0 ? [] : ["--commit-interval", $"{commitInterval}"];
        var parsed = (Command.RunBroker)CommandLine.ParseHere(
            ["broker", "--listener-url", "tcp://127.0.0.1:0", "--storage-engine", storageEngine, .. interval],
            "",
            Path.GetTempPath());
        var listener = KafkaListener.Bind(parsed.options.Listener, new NetworkOptions(), log);
        var broker = await Broker.StartAsync(parsed.options, MemoryPlan.For(parsed.options, long.MaxValue), listener.Endpoint, listener.Endpoint, log, TimeProvider.System, null, CancellationToken.None);
        listener.Start(new RequestDispatcher(HandlerList.Create(broker), log) { ReplyBudget = broker.FetchBudget });
        var created = (CatalogReply.TopicsJudged)await broker.Cluster.SubmitAsync(
            CatalogCommand.NewCreateTopics(
                [new NewTopic(TopicName, TopicId.NewTopicId(Guid.NewGuid()), partitions, MapModule.Empty<string, string>())],
                false),
            TimeSpan.FromSeconds(10));
        return new BrokerUnderTest(listener, broker, ((TopicReply.TopicChanged)created.replies[0]).topic);
    }

    /// <summary>One Produce request per partition.</summary>
    public byte[][] Frames(int batchBytes, int recordBytes) => FramesFor(_topic.Id.Value, _topic.PartitionCount, batchBytes, recordBytes);

    /// <summary>One Produce request per producer, with a batch for each of its share of the partitions, as Kafka's own client sends them.</summary>
    public byte[][] SharedFrames(int producers, int batchBytes, int recordBytes)
    {
        var batch = Batch(batchBytes, recordBytes);
        return [.. Shares(_topic.PartitionCount, producers).Select(share => Frame(_topic.Id.Value, share, batch))];
    }

    public static byte[][] FramesFor(Guid topicId, int partitions, int batchBytes, int recordBytes)
    {
        var batch = Batch(batchBytes, recordBytes);
        var frames = new byte[partitions][];
        for (var partition = 0; partition < partitions; partition++)
        {
            frames[partition] = Frame(topicId, [partition], batch);
        }

        return frames;
    }

    /// <summary>One Produce request per partition of a topic whose id is not known.</summary>
    public static byte[][] NamedFrames(string topic, int partitions, int batchBytes, int recordBytes)
    {
        var batch = Batch(batchBytes, recordBytes);
        return [.. Enumerable.Range(0, partitions).Select(partition => Frame(Guid.Empty, [partition], batch, topic, NamedVersion))];
    }

    /// <summary>One Produce request per producer, as <see cref="SharedFrames"/> makes them, to a topic whose id is not known.</summary>
    public static byte[][] NamedSharedFrames(string topic, int partitions, int producers, int batchBytes, int recordBytes)
    {
        var batch = Batch(batchBytes, recordBytes);
        return [.. Shares(partitions, producers).Select(share => Frame(Guid.Empty, share, batch, topic, NamedVersion))];
    }

    /// <summary>One Produce request with a batch for each of these partitions, of which one may be there several times.</summary>
    public static byte[] NamedFrame(string topic, IEnumerable<int> partitions, int batchBytes, int recordBytes) =>
        Frame(Guid.Empty, partitions, Batch(batchBytes, recordBytes), topic, NamedVersion);

    /// <summary>One Fetch request to a topic whose id is not known.</summary>
    public static byte[] NamedFetchFrame(string topic, int partition, long offset, int maxBytes, int maxWaitMs = 0) =>
        NamedFetchFrame(topic, [(partition, offset)], maxBytes, maxBytes, maxWaitMs);

    /// <summary>The same for several partitions, each with its offset.</summary>
    public static byte[] NamedFetchFrame(string topic, IEnumerable<(int Partition, long Offset)> wanted, int maxBytes, int partitionMaxBytes, int maxWaitMs)
    {
        using var writer = new KafkaWriter();
        new RequestHeader { RequestApiKey = 1, RequestApiVersion = NamedVersion, CorrelationId = 1, ClientId = "bench" }.Write(writer, 2);
        new FetchRequest
        {
            MaxBytes = maxBytes,
            MaxWaitMs = maxWaitMs,
            MinBytes = 1,
            SessionEpoch = -1,
            Topics =
            [
                new FetchRequest.FetchTopic
                {
                    Topic = topic,
                    Partitions =
                    [
                        .. wanted.Select(one => new FetchRequest.FetchPartition
                        {
                            Partition = one.Partition,
                            FetchOffset = one.Offset,
                            PartitionMaxBytes = partitionMaxBytes,
                        }),
                    ],
                },
            ],
        }.Write(writer, NamedVersion);
        return [.. writer.Frame().SelectMany(segment => segment.ToArray())];
    }

    /// <summary>What the reply to such a request says of its partition.</summary>
    public static FetchResponse.PartitionData NamedFetchReply(ReadOnlyMemory<byte> reply) => NamedFetchReplies(reply)[0];

    /// <summary>What the reply to such a request says of its partitions.</summary>
    public static FetchResponse.PartitionData[] NamedFetchReplies(ReadOnlyMemory<byte> reply)
    {
        var reader = new KafkaReader(reply);
        ResponseHeader.Read(ref reader, 1);
        return FetchResponse.Read(ref reader, NamedVersion).Responses[0].Partitions;
    }

    /// <summary>The last offset in a partition's records; -1 if there are none.</summary>
    public static long LastOffset(FetchResponse.PartitionData fetched)
    {
        var last = -1L;
        foreach (var batch in new RecordBatches(fetched.Records.Joined()))
        {
            last = batch.Header.LastOffset;
        }

        return last;
    }

    public async ValueTask DisposeAsync()
    {
        await _listener.StopAsync(TimeSpan.FromSeconds(1));
        await _listener.DisposeAsync();
        await _broker.DisposeAsync();
    }

    /// <summary>The partitions of each producer.</summary>
    private static IEnumerable<IEnumerable<int>> Shares(int partitions, int producers) =>
        Enumerable.Range(0, producers).Select(producer => Enumerable.Range(0, partitions).Where(partition => partition % producers == producer));

    private static byte[] Batch(int batchBytes, int recordBytes)
    {
        var builder = new RecordBatchBuilder();
        var value = new byte[recordBytes];
        new Random(1).NextBytes(value);
        for (var record = 0; record < batchBytes / recordBytes; record++)
        {
            builder.Append(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), null, value, []);
        }

        return builder.Build();
    }

    private static byte[] Frame(Guid topicId, IEnumerable<int> partitions, byte[] batch, string topic = "", short version = ProduceVersion)
    {
        using var writer = new KafkaWriter();
        new RequestHeader { RequestApiKey = 0, RequestApiVersion = version, CorrelationId = 1, ClientId = "bench" }.Write(writer, 2);
        new ProduceRequest
        {
            Acks = -1,
            TimeoutMs = 30_000,
            TopicData =
            [
                new ProduceRequest.TopicProduceData
                {
                    TopicId = topicId,
                    Name = topic,
                    PartitionData =
                    [
                        .. partitions.Select(partition => new ProduceRequest.PartitionProduceData
                        {
                            Index = partition,
                            Records = new RecordBytes(batch),
                        }),
                    ],
                },
            ],
        }.Write(writer, version);
        return [.. writer.Frame().SelectMany(segment => segment.ToArray())];
    }
}
