using System.Diagnostics;
using System.Threading.Channels;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>
/// Writes batches to the partitions of one topic, several at once, each partition's in the order in which they were given. What may
/// work in a moment is sent again, in order, until the client's timeout; with acks=all nothing is written twice. After a failure for good
/// nothing more is sent. One task at a time may call it.
/// </summary>
internal sealed partial class RecordProducer : IAsyncDisposable
{
    // Version 12 would add partitions to transactions by itself, and 13 names topics by their ids.
    private const short HighestVersion = 11;

    private readonly KafkaClient _client;
    private readonly ProducerOptions _options;
    private readonly Action<ProducerBatch> _onDone;
    private readonly SemaphoreSlim _window;
    private readonly Dictionary<int, ProducerLane> _lanes = [];
    private readonly CancellationTokenSource _stop = new();
    private volatile ClusterMetadata _metadata;
    private volatile KafkaClientException? _failure;
    private long _producerId = RecordBatchHeader.NoProducerId;
    private short _producerEpoch = RecordBatchHeader.NoProducerEpoch;
    private long _written;
    private long _lost;

    private RecordProducer(KafkaClient client, ProducerOptions options, Action<ProducerBatch> onDone, ClusterMetadata metadata)
    {
        _client = client;
        _options = options;
        _onDone = onDone;
        _window = new SemaphoreSlim(options.InFlight);
        _metadata = metadata;
        PartitionCount = metadata.Topic(options.Topic).Partitions.Length;
    }

    /// <summary>How many partitions the topic had when the producer began.</summary>
    public int PartitionCount { get; }

    /// <summary>How many records are acknowledged.</summary>
    public long Written => Interlocked.Read(ref _written);

    /// <summary>How many records were given up.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>Why nothing more is sent; null as long as all is well.</summary>
    public KafkaClientException? Failure => _failure;

    /// <summary>Looks for the topic, which a broker may create, and gets a producer id.</summary>
    /// <param name="client">The cluster.</param>
    /// <param name="options">How to write.</param>
    /// <param name="onDone">
    /// Told of each batch when it is acknowledged, or given up if <see cref="Failure"/> is set, and owns it from then on. Called on any thread.
    /// </param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="KafkaClientException">There is no such topic, or no broker answers.</exception>
    public static async Task<RecordProducer> OpenAsync(
        KafkaClient client, ProducerOptions options, Action<ProducerBatch> onDone, CancellationToken cancellationToken)
    {
        var metadata = await client.CreatedTopicAsync(options.Topic, cancellationToken);
        var producer = new RecordProducer(client, options, onDone, metadata);
        try
        {
            if (options.IsIdempotent)
            {
                await producer.InitializeAsync(cancellationToken);
            }

            return producer;
        }
        catch
        {
            await producer.DisposeAsync();
            throw;
        }
    }

    /// <summary>Sends a batch, after waiting until there is room for it.</summary>
    /// <exception cref="KafkaClientException">The producer has failed; the batch stays the caller's.</exception>
    public async ValueTask SendAsync(ProducerBatch batch, CancellationToken cancellationToken)
    {
        await _window.WaitAsync(cancellationToken);
        try
        {
            await SendInTurnAsync(batch, LaneOf(batch.Partition), cancellationToken);
        }
        catch
        {
            // Also when it is cancelled before its turn: who flushes waits for all of the window.
            _window.Release();
            throw;
        }
    }

    /// <summary>Waits until every batch is done.</summary>
    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        for (var taken = 0; taken < _options.InFlight; taken++)
        {
            await _window.WaitAsync(cancellationToken);
        }

        _window.Release(_options.InFlight);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var lane in _lanes.Values)
        {
            lane.Sent.Writer.Complete();
            await lane.Receiving;
            lane.Gate.Dispose();
        }

        _stop.Dispose();
        _window.Dispose();
    }

    private async ValueTask SendInTurnAsync(ProducerBatch batch, ProducerLane lane, CancellationToken cancellationToken)
    {
        await lane.Gate.WaitAsync(cancellationToken);
        try
        {
            if (_options.TransactionalId is not null && !lane.IsInTransaction && _failure is null)
            {
                await AddToTransactionAsync(batch.Partition, cancellationToken);
                lane.IsInTransaction = true;
            }

            if (_failure is not null)
            {
                throw _failure;
            }

            batch.IsLost = false;
            batch.SentAt = Stopwatch.GetTimestamp();
            batch.Sealed = batch.Writer.Seal(
                _producerId,
                _producerEpoch,
                _options.IsIdempotent ? lane.TakeSequence(batch.Writer.RecordCount) : RecordBatchHeader.NoSequence,
                _options.TransactionalId is not null);
            batch.Answer = await StartAsync(batch);
            lane.Sent.Writer.TryWrite(batch);
        }
        finally
        {
            lane.Gate.Release();
        }
    }

    private ProducerLane LaneOf(int partition)
    {
        if (!_lanes.TryGetValue(partition, out var lane))
        {
            lane = new ProducerLane();
            lane.Receiving = ReceiveAsync(lane);
            _lanes.Add(partition, lane);
        }

        return lane;
    }

    private async Task ReceiveAsync(ProducerLane lane)
    {
        await foreach (var batch in lane.Sent.Reader.ReadAllAsync())
        {
            if (await OutcomeAsync(batch) is not { } failure)
            {
                Finish(batch, isWritten: true);
                continue;
            }

            // Nothing new is sent meanwhile: it would overtake what is sent again.
            await lane.Gate.WaitAsync();
            try
            {
                await SendAgainAsync(lane, batch, failure);
            }
            finally
            {
                lane.Gate.Release();
            }
        }
    }

    // The batches behind the one that failed have mostly failed with it: all that are left go again, in their order.
    private async Task SendAgainAsync(ProducerLane lane, ProducerBatch first, KafkaClientException failure)
    {
        var left = new List<ProducerBatch> { first };
        while (lane.Sent.Reader.TryRead(out var next))
        {
            await KeepIfFailedAsync(left, next);
        }

        using var deadline = new CancellationTokenSource(_client.Options.Timeout, _client.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _stop.Token);
        for (var wait = _client.Options.Backoff; left.Count > 0; wait = wait * 2 < _client.Options.MaxBackoff ? wait * 2 : _client.Options.MaxBackoff)
        {
            if (_failure is not null || !MayPass(failure) || either.IsCancellationRequested)
            {
                Fail(failure);
                left.ForEach(batch => Finish(batch, isWritten: false));
                return;
            }

            try
            {
                await Task.Delay(wait, _client.Options.TimeProvider, either.Token);
                _metadata = await _client.MetadataAsync([_options.Topic], either.Token);
            }
            catch (OperationCanceledException)
            {
                continue;
            }
            catch (KafkaClientException unreachable)
            {
                failure = unreachable;
                continue;
            }

            var sent = left.ToArray();
            foreach (var batch in sent)
            {
                batch.Answer = await StartAsync(batch);
            }

            left.Clear();
            foreach (var batch in sent)
            {
                var isFirst = left.Count == 0;
                if (await KeepIfFailedAsync(left, batch) is { } again && isFirst)
                {
                    failure = again;
                }
            }
        }
    }

    private async Task<KafkaClientException?> KeepIfFailedAsync(List<ProducerBatch> left, ProducerBatch batch)
    {
        var failure = await OutcomeAsync(batch);
        if (failure is null)
        {
            Finish(batch, isWritten: true);
        }
        else
        {
            left.Add(batch);
        }

        return failure;
    }

    // A topic that was created a moment ago is not known to all brokers yet.
    private static bool MayPass(KafkaClientException failure) => failure.IsRetriable || failure.Code == ErrorCode.UnknownTopicOrPartition;

    // Returns when the request has its place among those of the connection, with the answer to come.
    private async ValueTask<Task<ProduceResponse?>> StartAsync(ProducerBatch batch)
    {
        try
        {
            var leader = _metadata.LeaderOf(_options.Topic, batch.Partition);
            return AskAsync(await _client.NodeAsync(leader, CancellationToken.None), batch);
        }
        catch (KafkaClientException failure)
        {
            return Task.FromException<ProduceResponse?>(failure);
        }
    }

    private async Task<ProduceResponse?> AskAsync(KafkaConnection connection, ProducerBatch batch)
    {
        var version = connection.VersionOf<ProduceRequest>(HighestVersion);
        var request = new ProduceRequest
        {
            TransactionalId = _options.TransactionalId,
            Acks = _options.Acks,
            TimeoutMs = (int)_client.Options.Timeout.TotalMilliseconds,
            TopicData =
            [
                new ProduceRequest.TopicProduceData
                {
                    Name = _options.Topic,
                    PartitionData = [new ProduceRequest.PartitionProduceData { Index = batch.Partition, Records = new RecordBytes(batch.Sealed) }],
                },
            ],
        };
        if (_options.Acks == 0)
        {
            await connection.TellAsync(request, version, CancellationToken.None);
            return null;
        }

        return await connection.AskAsync<ProduceRequest, ProduceResponse>(request, version, CancellationToken.None);
    }

    private static async Task<KafkaClientException?> OutcomeAsync(ProducerBatch batch)
    {
        try
        {
            if (await batch.Answer is not { } response)
            {
                return null;
            }

            foreach (var topic in response.Responses)
            {
                foreach (var partition in topic.PartitionResponses)
                {
                    batch.BaseOffset = partition.BaseOffset;
                    // A batch that was sent again is there already.
                    return partition.ErrorCode is ErrorCode.None or ErrorCode.DuplicateSequenceNumber
                        ? null
                        : new KafkaClientException(KafkaError.Of(partition.ErrorCode, partition.ErrorMessage)!);
                }
            }

            return new KafkaClientException("the broker did not answer what it was asked", isRetriable: false);
        }
        catch (KafkaClientException failure)
        {
            return failure;
        }
    }

    private void Finish(ProducerBatch batch, bool isWritten)
    {
        batch.IsLost = !isWritten;
        Interlocked.Add(ref isWritten ? ref _written : ref _lost, batch.Writer.RecordCount);
        _onDone(batch);
        _window.Release();
    }

    private void Fail(KafkaClientException failure) => Interlocked.CompareExchange(ref _failure, failure, null);
}

/// <summary>What is under way to one partition.</summary>
internal sealed class ProducerLane
{
    private int _nextSequence;

    /// <summary>Who sends holds it, so that batches go out in their order.</summary>
    public SemaphoreSlim Gate { get; } = new(1, 1);

    /// <summary>What was sent, in order; the producer's window bounds it.</summary>
    public Channel<ProducerBatch> Sent { get; } = Channel.CreateUnbounded<ProducerBatch>();

    /// <summary>The loop that takes the answers.</summary>
    public Task Receiving { get; set; } = Task.CompletedTask;

    /// <summary>Whether the partition was added to the current transaction.</summary>
    public bool IsInTransaction { get; set; }

    /// <summary>The sequence number of a batch's first record; they go on with 0 after 2^31 - 1.</summary>
    public int TakeSequence(int records)
    {
        var sequence = _nextSequence;
        _nextSequence = (int)(((long)_nextSequence + records) & int.MaxValue);
        return sequence;
    }
}
