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

    /// <summary>Validates every batch and prepares the response; what is sound waits for <see cref="CommitAsync"/>.</summary>
    public ProduceResponse Judge(ProduceRequest request)
    {
        var topics = new ProduceResponse.TopicProduceResponse[request.TopicData.Length];
        for (var index = 0; index < topics.Length; index++)
        {
            topics[index] = JudgeTopic(request, request.TopicData[index]);
        }

        return new ProduceResponse { Responses = topics };
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
        for (var index = 0; index < pending.Length; index++)
        {
            pending[index] = _parts[index].Submit(timeout, chain);
        }

        var known = true;
        for (var index = 0; index < pending.Length; index++)
        {
            known &= await FillAsync(_parts[index], pending[index]);
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
            Refuse(answer, byId ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition, null);
        }
        else if (data.Index < 0 || data.Index >= topic.PartitionCount)
        {
            Refuse(answer, ErrorCode.UnknownTopicOrPartition, null);
        }
        else
        {
            JudgeBatch(topic, data, answer);
        }
    }

    private void JudgeBatch(Topic topic, ProduceRequest.PartitionProduceData data, ProduceResponse.PartitionProduceResponse answer)
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
        if (header.IsTransactional)
        {
            Refuse(answer, ErrorCode.InvalidTxnState, "Transactions are not served yet.");
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
            new TopicPartition(topic.Id, data.Index),
            header.LastOffsetDelta,
            maxTimestampMs,
            header.ProducerId,
            header.ProducerEpoch,
            header.BaseSequence,
            records,
            answer);
        PartOf(broker.Cluster.ShardOf(topic, data.Index)).Add(batch);
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

    private static async ValueTask<bool> FillAsync(ShardPart part, Task<ShardReply> pending)
    {
        try
        {
            var judged = (ShardReply.BatchesJudged)await pending;
            for (var index = 0; index < judged.replies.Length; index++)
            {
                Fill(part.Batches[index].Answer, judged.replies[index]);
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

    private static void Fill(ProduceResponse.PartitionProduceResponse answer, AppendReply reply)
    {
        if (reply.IsAppended)
        {
            answer.BaseOffset = reply.baseOffset;
            answer.LogStartOffset = reply.logStartOffset;
        }
        else
        {
            Refuse(answer, Errors.Of(reply.refusal!), null);
        }
    }

    private static void Refuse(ProduceResponse.PartitionProduceResponse answer, ErrorCode error, string? message)
    {
        answer.ErrorCode = error;
        answer.ErrorMessage = message;
        answer.LogAppendTimeMs = -1;
    }

    /// <summary>A sound batch and the place of its answer.</summary>
    private readonly record struct Batch(
        TopicPartition Partition,
        int LastOffsetDelta,
        long MaxTimestampMs,
        long ProducerId,
        short ProducerEpoch,
        int BaseSequence,
        ReadOnlyMemory<byte> Records,
        ProduceResponse.PartitionProduceResponse Answer);

    /// <summary>What one shard gets of the request.</summary>
    private sealed class ShardPart(ClusterShard shard)
    {
        public ClusterShard Shard => shard;

        public List<Batch> Batches { get; } = [];

        public void Add(Batch batch) => Batches.Add(batch);

        public Task<ShardReply> Submit(TimeSpan timeout, CommandChain chain)
        {
            var slices = new ReadOnlyMemory<byte>[Batches.Count];
            var toAppend = new BatchToAppend[Batches.Count];
            var position = 0;
            for (var index = 0; index < toAppend.Length; index++)
            {
                var batch = Batches[index];
                slices[index] = batch.Records;
                toAppend[index] = new BatchToAppend(
                    batch.Partition,
                    position,
                    batch.Records.Length,
                    batch.LastOffsetDelta,
                    batch.MaxTimestampMs,
                    batch.ProducerId,
                    batch.ProducerEpoch,
                    batch.BaseSequence);
                position += batch.Records.Length;
            }

            return shard.Replica.SubmitAsync(ShardCommand.NewAppendBatches(toAppend), new Payload(slices), timeout, chain);
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
