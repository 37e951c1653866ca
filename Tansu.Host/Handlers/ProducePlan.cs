using System.Runtime.InteropServices;
using Tansu.Adapters;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Host.Handlers;

/// <summary>
/// One Produce request on its way to the shards: which batches are sound, which shard gets which, and where in the response
/// their answers go.
/// </summary>
internal sealed class ProducePlan(Broker broker, bool byId, short version)
{
    private const short FirstVersionWithZstd = 7;

    private readonly List<ShardPart> _parts = [];
    private ProduceTransaction? _transaction;

    /// <summary>A shard has removed a topic that the catalog known here still has.</summary>
    private bool _isCatalogOld;

    /// <summary>The response as far as it is known.</summary>
    public ProduceResponse Response { get; private set; } = new();

    /// <summary>Whether the store has to be asked about the transaction before anything is submitted: see <see cref="EnterTransactionAsync"/>.</summary>
    public bool MustEnterTransaction { get; private set; }

    /// <summary>What an unknown topic is called: clients that name topics do not know UNKNOWN_TOPIC_ID.</summary>
    private ErrorCode UnknownTopic => byId ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition;

    /// <summary>Validates every batch and prepares the response; what is sound waits for <see cref="CommitAsync"/>.</summary>
    public void Judge(ProduceRequest request)
    {
        var topics = new ProduceResponse.TopicProduceResponse[request.TopicData.Length];
        for (var index = 0; index < topics.Length; index++)
        {
            topics[index] = JudgeTopic(request, request.TopicData[index]);
        }

        Response = new ProduceResponse { Responses = topics };
        MustEnterTransaction = _transaction is not null && !_transaction.TryEnter();
    }

    /// <summary>Finds out which transaction the batches belong to; refuses those that belong to none.</summary>
    /// <param name="timeout">How long the outcome may stay open.</param>
    public async ValueTask EnterTransactionAsync(TimeSpan timeout)
    {
        if (!MustEnterTransaction)
        {
            return;
        }

        ErrorCode? failure = null;
        try
        {
            await _transaction!.EnterAsync(timeout);
        }
        catch (TimeoutException)
        {
            failure = ErrorCode.RequestTimedOut;
        }
        catch (StoreRefusedException)
        {
            failure = ErrorCode.KafkaStorageError;
        }

        foreach (var part in _parts)
        {
            part.Batches.RemoveAll(batch => batch.IsTransactional
                && (failure ?? _transaction!.ProblemOf(batch.Partition)) is var error and not ErrorCode.None
                && Refuse(batch.Answer, error, null));
        }

        _parts.RemoveAll(static part => part.Batches.Count == 0);
    }

    /// <summary>Submits what is sound, and fills in the response.</summary>
    /// <param name="timeout">How long the outcome may stay open.</param>
    /// <param name="chain">What the connection's producers sent before.</param>
    /// <returns>False if the outcome of some batch is not known: then the request's memory may still be in use.</returns>
    public async ValueTask<bool> CommitAsync(TimeSpan timeout, CommandChain chain)
    {
        if (_parts.Count == 0)
        {
            return true;
        }

        // All are submitted before the first is awaited, so that shards commit side by side and order is kept.
        var pending = new Task<ShardReply>[_parts.Count];
        using (Gathering.Begin())
        {
            for (var index = 0; index < pending.Length; index++)
            {
                pending[index] = _parts[index].Submit(_transaction, timeout, chain);
            }
        }

        var known = true;
        for (var index = 0; index < pending.Length; index++)
        {
            known &= await FillAsync(_parts[index], pending[index], timeout);
        }

        if (_isCatalogOld)
        {
            // Another broker has deleted the topic, and may have created it anew: the client's next try is to find what is there now.
            await broker.CatchUpCatalogAsync();
        }

        return known;
    }

    private ProduceResponse.TopicProduceResponse JudgeTopic(ProduceRequest request, ProduceRequest.TopicProduceData data)
    {
        var topic = broker.FindTopic(byId, data.TopicId, data.Name);
        var partitions = new ProduceResponse.PartitionProduceResponse[data.PartitionData.Length];
        for (var index = 0; index < partitions.Length; index++)
        {
            var answer = new ProduceResponse.PartitionProduceResponse
            {
                Index = data.PartitionData[index].Index,
                BaseOffset = -1,
                LogAppendTimeMs = -1,
                LogStartOffset = -1,
            };
            partitions[index] = answer;
            JudgePartition(request, topic, data.PartitionData[index], answer);
        }

        return new ProduceResponse.TopicProduceResponse { Name = data.Name, TopicId = data.TopicId, PartitionResponses = partitions };
    }

    private void JudgePartition(
        ProduceRequest request,
        Topic? topic,
        ProduceRequest.PartitionProduceData data,
        ProduceResponse.PartitionProduceResponse answer)
    {
        if (request.Acks is < -1 or > 1)
        {
            Refuse(answer, ErrorCode.InvalidRequiredAcks, "acks must be 0, 1 or all (-1)");
        }
        else if (topic is null)
        {
            Refuse(answer, UnknownTopic, null);
        }
        else if (!topic.Has(data.Index))
        {
            Refuse(answer, ErrorCode.UnknownTopicOrPartition, null);
        }
        else
        {
            JudgeBatch(request, topic, data, answer);
        }
    }

    private void JudgeBatch(
        ProduceRequest request,
        Topic topic,
        ProduceRequest.PartitionProduceData data,
        ProduceResponse.PartitionProduceResponse answer)
    {
        var nowMs = broker.NowMs;
        var configs = broker.ConfigsOf(topic);
        var records = data.Records.Joined();
        var validation = RecordBatchValidator.Validate(records, configs.BatchLimits(nowMs, version >= FirstVersionWithZstd));
        if (!validation.IsValid)
        {
            Refuse(answer, Errors.Of(validation.Outcome), Errors.Describe(validation.Outcome));
            answer.RecordErrors = validation.RecordIndex < 0
                ? []
                : [new ProduceResponse.BatchIndexAndErrorMessage { BatchIndex = validation.RecordIndex, BatchIndexErrorMessage = answer.ErrorMessage }];
            return;
        }

        var header = validation.Header;
        var shard = broker.Cluster.ShardOf(topic, data.Index);
        var partition = new TopicPartition(topic.Id, data.Index);
        if (header.IsTransactional && !TryTouchTransaction(request, header, partition, shard, answer))
        {
            return;
        }

        var maxTimestampMs = validation.MaxTimestampMs;
        if (configs.UsesLogAppendTime)
        {
            // The frame is this request's own, so the batch is stamped where it lies.
            RecordBatchEditor.SetLogAppendTime(MemoryMarshal.AsMemory(records).Span, nowMs);
            answer.LogAppendTimeMs = nowMs;
            maxTimestampMs = nowMs;
        }
        else if (maxTimestampMs != header.MaxTimestamp)
        {
            // A look-up by time trusts the header, so a wrong one is put right, as Kafka does.
            RecordBatchEditor.SetMaxTimestamp(MemoryMarshal.AsMemory(records).Span, maxTimestampMs);
        }

        var batch = new Batch(
            partition,
            header.LastOffsetDelta,
            maxTimestampMs,
            header.ProducerId,
            header.ProducerEpoch,
            header.BaseSequence,
            header.IsTransactional,
            records,
            answer);
        PartOf(shard).Add(batch);
    }

    private bool TryTouchTransaction(
        ProduceRequest request,
        RecordBatchHeader header,
        TopicPartition partition,
        ClusterShard shard,
        ProduceResponse.PartitionProduceResponse answer)
    {
        if (string.IsNullOrEmpty(request.TransactionalId))
        {
            return !Refuse(answer, ErrorCode.TransactionalIdAuthorizationFailed, "A transactional batch needs a transactional id.");
        }

        _transaction ??= new ProduceTransaction(broker, request.TransactionalId, header.ProducerId, header.ProducerEpoch, version);
        if (!_transaction.IsOf(header.ProducerId, header.ProducerEpoch))
        {
            return !Refuse(answer, ErrorCode.InvalidProducerIdMapping, "The transactional batches of a request must be of one producer.");
        }

        _transaction.Touch(partition, shard.Index);
        return true;
    }

    private ShardPart PartOf(ClusterShard shard)
    {
        foreach (var part in _parts)
        {
            if (part.Shard == shard)
            {
                return part;
            }
        }

        var added = new ShardPart(shard);
        _parts.Add(added);
        return added;
    }

    private async ValueTask<bool> FillAsync(ShardPart part, Task<ShardReply> pending, TimeSpan timeout)
    {
        try
        {
            var reply = await pending;
            if (reply is ShardReply.TransactionAnswered entered)
            {
                part.RefuseAll(await ErrorOfAsync(entered.reply, timeout));
                return true;
            }

            var judged = (ShardReply.BatchesJudged)reply;
            for (var index = 0; index < judged.replies.Length; index++)
            {
                var batch = part.Batches[index];
                if (judged.replies[index] is { IsAppended: false, refusal.IsTransactionEnded: true })
                {
                    Refuse(batch.Answer, await _transaction!.ExplainEndedAsync(batch.Partition, timeout), null);
                }
                else
                {
                    Fill(batch.Answer, judged.replies[index]);
                }
            }

            return true;
        }
        catch (TimeoutException)
        {
            part.RefuseAll(ErrorCode.RequestTimedOut);
            return false;
        }
        catch (StoreRefusedException)
        {
            part.RefuseAll(ErrorCode.KafkaStorageError);
            return false;
        }
    }

    /// <summary>Nothing was added to the transaction, so that nothing was appended.</summary>
    private async ValueTask<ErrorCode> ErrorOfAsync(TransactionReply reply, TimeSpan timeout)
    {
        if (reply is TransactionReply.TransactionRefused refused)
        {
            return _transaction!.ErrorOf(refused.refusal);
        }

        await _transaction!.FinishAsync(timeout);
        return ErrorCode.ConcurrentTransactions;
    }

    private void Fill(ProduceResponse.PartitionProduceResponse answer, AppendReply reply)
    {
        if (reply.IsAppended)
        {
            answer.BaseOffset = reply.baseOffset;
            answer.LogStartOffset = reply.logStartOffset;
        }
        else if (reply.refusal!.IsUnknownTopicId)
        {
            _isCatalogOld = true;
            Refuse(answer, UnknownTopic, null);
        }
        else
        {
            Refuse(answer, Errors.Of(reply.refusal), null);
        }
    }

    /// <summary>Fills in an error; always true.</summary>
    private static bool Refuse(ProduceResponse.PartitionProduceResponse answer, ErrorCode error, string? message)
    {
        answer.ErrorCode = error;
        answer.ErrorMessage = message;
        answer.LogAppendTimeMs = -1;
        return true;
    }

    /// <summary>A sound batch and the place of its answer.</summary>
    private readonly record struct Batch(
        TopicPartition Partition,
        int LastOffsetDelta,
        long MaxTimestampMs,
        long ProducerId,
        short ProducerEpoch,
        int BaseSequence,
        bool IsTransactional,
        ReadOnlyMemory<byte> Records,
        ProduceResponse.PartitionProduceResponse Answer);

    /// <summary>What one shard gets of the request.</summary>
    private sealed class ShardPart(ClusterShard shard)
    {
        public ClusterShard Shard => shard;

        public List<Batch> Batches { get; } = [];

        public void Add(Batch batch) => Batches.Add(batch);

        public Task<ShardReply> Submit(ProduceTransaction? transaction, TimeSpan timeout, CommandChain chain)
        {
            var slices = new ReadOnlyMemory<byte>[Batches.Count];
            var groups = new int[Batches.Count];
            var toAppend = new BatchToAppend[Batches.Count];
            for (var index = 0; index < toAppend.Length; index++)
            {
                var batch = Batches[index];
                slices[index] = batch.Records;
                groups[index] = batch.Partition.GetHashCode();
                toAppend[index] = new BatchToAppend(
                    batch.Partition,
                    batch.Records.Length,
                    batch.LastOffsetDelta,
                    batch.MaxTimestampMs,
                    batch.ProducerId,
                    batch.ProducerEpoch,
                    batch.BaseSequence,
                    batch.IsTransactional ? transaction!.Number : 0);
            }

            // All transactional batches are in one part then; others of the request may be elsewhere.
            var command = transaction?.Addition is { } addition && Batches.Exists(static batch => batch.IsTransactional)
                ? ShardCommand.NewAppendInTransaction(transaction.TransactionalId, addition, toAppend)
                : ShardCommand.NewAppendBatches(toAppend);
            return shard.Replica.SubmitAsync(command, new Payload(slices, groups), timeout, chain, isBrief: true);
        }

        public void RefuseAll(ErrorCode error)
        {
            foreach (var batch in Batches)
            {
                Refuse(batch.Answer, error, null);
            }
        }
    }
}
