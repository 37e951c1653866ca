using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DescribeTransactions (API key 65, KIP-664): the state of transactional ids.</summary>
internal sealed class DescribeTransactionsHandler(Broker broker) : Handler<DescribeTransactionsRequest, DescribeTransactionsResponse>
{
    public override async ValueTask<DescribeTransactionsResponse?> HandleAsync(
        RequestContext context,
        DescribeTransactionsRequest request,
        CancellationToken cancellationToken)
    {
        var error = await broker.CatchUpTransactionsAsync(request.TransactionalIds);
        if (error == ErrorCode.None && Array.Exists(request.TransactionalIds, HasUnknownTopics))
        {
            await broker.CatchUpCatalogAsync();
        }

        return new DescribeTransactionsResponse
        {
            TransactionStates = Array.ConvertAll(request.TransactionalIds, transactionalId => Describe(transactionalId, error)),
        };
    }

    /// <summary>Whether another broker may have created a topic of the transaction a moment ago.</summary>
    private bool HasUnknownTopics(string transactionalId) =>
        broker.Transacting().Find(transactionalId) is { } transaction
        && transaction.Partitions.Keys.Any(partition => broker.FindTopic(byId: true, partition.TopicId.Value, name: null) is null);

    private DescribeTransactionsResponse.TransactionStateData Describe(string transactionalId, ErrorCode error)
    {
        if (transactionalId.Length == 0)
        {
            error = ErrorCode.InvalidRequest;
        }

        var transaction = broker.Transacting().Find(transactionalId);
        if (error != ErrorCode.None || transaction is null)
        {
            return new DescribeTransactionsResponse.TransactionStateData
            {
                TransactionalId = transactionalId,
                ErrorCode = error == ErrorCode.None ? ErrorCode.TransactionalIdNotFound : error,
            };
        }

        return new DescribeTransactionsResponse.TransactionStateData
        {
            TransactionalId = transactionalId,
            TransactionState = Transactions.StateOf(transaction),
            TransactionTimeoutMs = transaction.TimeoutMs,
            TransactionStartTimeMs = transaction.StartTimeMs,
            ProducerId = transaction.ProducerId,
            ProducerEpoch = transaction.ProducerEpoch,
            Topics = TopicsOf(transaction),
        };
    }

    /// <summary>The partitions of topics that there are.</summary>
    private DescribeTransactionsResponse.TopicData[] TopicsOf(Transaction transaction)
    {
        var topics = new List<DescribeTransactionsResponse.TopicData>();
        foreach (var partitions in transaction.Partitions.Keys.GroupBy(static partition => partition.TopicId.Value))
        {
            if (broker.FindTopic(byId: true, partitions.Key, name: null) is { } topic)
            {
                topics.Add(new DescribeTransactionsResponse.TopicData
                {
                    Topic = topic.Name,
                    Partitions = [.. partitions.Select(static partition => partition.Partition).Order()],
                });
            }
        }

        return [.. topics];
    }
}
