using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>The APIs of a broker, one file each; a new one is named here.</summary>
internal static class HandlerList
{
    /// <summary>All handlers of a broker.</summary>
    public static ApiTable Create(Broker broker)
    {
        ArgumentNullException.ThrowIfNull(broker);
        var apiVersions = new ApiVersionsHandler();
        var table = new ApiTable(
        [
            new ProduceHandler(broker),
            new FetchHandler(broker),
            new ListOffsetsHandler(broker),
            new MetadataHandler(broker),
            new OffsetCommitHandler(broker),
            new OffsetFetchHandler(broker),
            new FindCoordinatorHandler(broker),
            new JoinGroupHandler(broker),
            new HeartbeatHandler(broker),
            new LeaveGroupHandler(broker),
            new SyncGroupHandler(broker),
            new DescribeGroupsHandler(broker),
            new ListGroupsHandler(broker),
            apiVersions,
            new CreateTopicsHandler(broker),
            new DeleteTopicsHandler(broker),
            new DeleteRecordsHandler(broker),
            new InitProducerIdHandler(broker),
            new OffsetForLeaderEpochHandler(broker),
            new AddPartitionsToTxnHandler(broker),
            new AddOffsetsToTxnHandler(broker),
            new EndTxnHandler(broker),
            new WriteTxnMarkersHandler(broker),
            new TxnOffsetCommitHandler(broker),
            new DescribeConfigsHandler(broker),
            new AlterConfigsHandler(broker),
            new DescribeLogDirsHandler(broker),
            new CreatePartitionsHandler(broker),
            new DeleteGroupsHandler(broker),
            new IncrementalAlterConfigsHandler(broker),
            new OffsetDeleteHandler(broker),
            new DescribeClusterHandler(broker),
            new DescribeProducersHandler(broker),
            new DescribeTransactionsHandler(broker),
            new ListTransactionsHandler(broker),
            new GetTelemetrySubscriptionsHandler(broker),
            new DescribeTopicPartitionsHandler(broker),
        ]);
        apiVersions.Describe(table);
        return table;
    }
}
