using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AddPartitionsToTxn (API key 24). Version 2 brought PRODUCER_FENCED, 3 is flexible, 4 brought several transactions at once and checks only
/// (KIP-890, for brokers), 5 TRANSACTION_ABORTABLE.
/// </summary>
/// <remarks>Clients of transactions v2 do not send it: what they produce to is added by itself.</remarks>
internal sealed class AddPartitionsToTxnHandler(Broker broker) : Handler<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>
{
    private const short FirstVersionWithFencing = 2;
    private const short FirstVersionWithManyTransactions = 4;

    public override async ValueTask<AddPartitionsToTxnResponse?> HandleAsync(
        RequestContext context,
        AddPartitionsToTxnRequest request,
        CancellationToken cancellationToken)
    {
        var isOne = context.Version < FirstVersionWithManyTransactions;
        var transactions = isOne ? [OnlyTransaction(request)] : request.Transactions;
        if (Array.Exists(transactions, one => Array.Exists(one.Topics, topic => broker.FindTopic(false, default, topic.Name) is null)))
        {
            await broker.CatchUpCatalogAsync();
        }

        var results = new AddPartitionsToTxnResponse.AddPartitionsToTxnResult[transactions.Length];
        for (var index = 0; index < results.Length; index++)
        {
            results[index] = new AddPartitionsToTxnResponse.AddPartitionsToTxnResult
            {
                TransactionalId = transactions[index].TransactionalId,
                TopicResults = await AddAsync(context.Version, transactions[index]),
            };
        }

        return isOne
            ? new AddPartitionsToTxnResponse { ResultsByTopicV3AndBelow = results[0].TopicResults }
            : new AddPartitionsToTxnResponse { ResultsByTransaction = results };
    }

    private static AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction OnlyTransaction(AddPartitionsToTxnRequest request) => new()
    {
        TransactionalId = request.V3AndBelowTransactionalId,
        ProducerId = request.V3AndBelowProducerId,
        ProducerEpoch = request.V3AndBelowProducerEpoch,
        Topics = request.V3AndBelowTopics,
    };

    private async ValueTask<AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult[]> AddAsync(
        short version,
        AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction wanted)
    {
        if (wanted.TransactionalId.Length == 0)
        {
            return Answer(wanted, static (_, _) => ErrorCode.InvalidRequest);
        }

        var partitions = new List<(TopicPartition, int)>();
        var isComplete = true;
        foreach (var topic in wanted.Topics)
        {
            foreach (var partition in topic.Partitions)
            {
                if (Find(topic.Name, partition) is { } found)
                {
                    partitions.Add(found);
                }
                else
                {
                    isComplete = false;
                }
            }
        }

        if (!isComplete)
        {
            // One that is not there fails them all.
            return Answer(wanted, (topic, partition) => Find(topic, partition) is null
                ? ErrorCode.UnknownTopicOrPartition
                : ErrorCode.OperationNotAttempted);
        }

        if (wanted.VerifyOnly)
        {
            return await VerifyAsync(version, wanted);
        }

        var addition = new TransactionAddition(wanted.ProducerId, wanted.ProducerEpoch, [.. partitions], [], bumpsEpoch: false);
        var (_, error) = await Transactions.AskAsync(() => broker.Transacting().AddAsync(
            wanted.TransactionalId,
            addition,
            broker.Settings.CoordinatorTimeout));
        error = Transactions.ForVersion(error, version, FirstVersionWithFencing);
        return Answer(wanted, (_, _) => error);
    }

    private async ValueTask<AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult[]> VerifyAsync(
        short version,
        AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction wanted)
    {
        var error = await broker.CatchUpTransactionsAsync([wanted.TransactionalId]);
        var transaction = broker.Transacting().Find(wanted.TransactionalId);
        if (error == ErrorCode.None
            && Transactions.ProblemOf(transaction, wanted.ProducerId, wanted.ProducerEpoch) is { } problem
            && problem != Refusal.InvalidTransactionState)
        {
            error = Transactions.ForVersion(Errors.Of(problem), version, FirstVersionWithFencing);
        }

        return Answer(wanted, (topic, partition) =>
        {
            if (error != ErrorCode.None)
            {
                return error;
            }

            return Find(topic, partition) is { } found && transaction!.Partitions.ContainsKey(found.Partition)
                ? ErrorCode.None
                : ErrorCode.TransactionAbortable;
        });
    }

    private (TopicPartition Partition, int Shard)? Find(string topicName, int partition) =>
        broker.FindTopic(false, default, topicName) is { } topic && topic.Has(partition)
            ? (new TopicPartition(topic.Id, partition), broker.Cluster.ShardOf(topic, partition).Index)
            : null;

    private static AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult[] Answer(
        AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction wanted,
        Func<string, int, ErrorCode> errorOf) => Array.ConvertAll(
        wanted.Topics,
        topic => new AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
        {
            Name = topic.Name,
            ResultsByPartition = Array.ConvertAll(topic.Partitions, partition => new AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult
            {
                PartitionIndex = partition,
                PartitionErrorCode = errorOf(topic.Name, partition),
            }),
        });
}
