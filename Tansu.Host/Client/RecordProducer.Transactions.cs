using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <content>Producer ids and transactions (KIP-98).</content>
internal sealed partial class RecordProducer
{
    private const int TransactionTimeoutMs = 60_000;
    // Later versions are for brokers, or end a transaction with a new epoch (KIP-890).
    private const short HighestAddPartitions = 3;
    private const short HighestEndTransaction = 4;

    /// <summary>Ends the transaction that the batches since the last end belong to; nothing happens if there are none.</summary>
    /// <param name="isCommit">Whether they count.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="KafkaClientException">It could not be ended: whether it counts is not known.</exception>
    public async Task EndTransactionAsync(bool isCommit, CancellationToken cancellationToken)
    {
        await FlushAsync(cancellationToken);
        if (isCommit && _failure is not null)
        {
            throw _failure;
        }

        if (_options.TransactionalId is not { } id || !_lanes.Values.Any(lane => lane.IsInTransaction))
        {
            return;
        }

        await _client.RetryAsync(
            async token =>
            {
                var connection = await _client.CoordinatorAsync(CoordinatorType.Transaction, id, token);
                var request = new EndTxnRequest
                {
                    TransactionalId = id,
                    ProducerId = _producerId,
                    ProducerEpoch = _producerEpoch,
                    Committed = isCommit,
                };
                var version = connection.VersionOf<EndTxnRequest>(HighestEndTransaction);
                var response = await connection.AskAsync<EndTxnRequest, EndTxnResponse>(request, version, token);
                KafkaError.ThrowIf(response.ErrorCode);
                return true;
            },
            cancellationToken);
        foreach (var lane in _lanes.Values)
        {
            lane.IsInTransaction = false;
        }
    }

    private async Task InitializeAsync(CancellationToken cancellationToken)
    {
        var response = await _client.RetryAsync(
            async token =>
            {
                var connection = _options.TransactionalId is { } id
                    ? await _client.CoordinatorAsync(CoordinatorType.Transaction, id, token)
                    : await _client.AnyAsync(token);
                var request = new InitProducerIdRequest { TransactionalId = _options.TransactionalId, TransactionTimeoutMs = TransactionTimeoutMs };
                var version = connection.VersionOf<InitProducerIdRequest>();
                var answer = await connection.AskAsync<InitProducerIdRequest, InitProducerIdResponse>(request, version, token);
                KafkaError.ThrowIf(answer.ErrorCode);
                return answer;
            },
            cancellationToken);
        _producerId = response.ProducerId;
        _producerEpoch = response.ProducerEpoch;
    }

    private Task<bool> AddToTransactionAsync(int partition, CancellationToken cancellationToken) => _client.RetryAsync(
        async token =>
        {
            var connection = await _client.CoordinatorAsync(CoordinatorType.Transaction, _options.TransactionalId!, token);
            var request = new AddPartitionsToTxnRequest
            {
                V3AndBelowTransactionalId = _options.TransactionalId!,
                V3AndBelowProducerId = _producerId,
                V3AndBelowProducerEpoch = _producerEpoch,
                V3AndBelowTopics = [new AddPartitionsToTxnRequest.AddPartitionsToTxnTopic { Name = _options.Topic, Partitions = [partition] }],
            };
            var version = connection.VersionOf<AddPartitionsToTxnRequest>(HighestAddPartitions);
            var response = await connection.AskAsync<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(request, version, token);
            foreach (var result in response.ResultsByTopicV3AndBelow.SelectMany(topic => topic.ResultsByPartition))
            {
                KafkaError.ThrowIf(result.PartitionErrorCode == ErrorCode.UnknownTopicOrPartition
                    ? ErrorCode.LeaderNotAvailable
                    : result.PartitionErrorCode);
            }

            return true;
        },
        cancellationToken);
}
