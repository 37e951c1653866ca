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
            new DescribeAclsHandler(),
            new CreateAclsHandler(),
            new DeleteAclsHandler(),
            new DescribeConfigsHandler(broker),
            new AlterConfigsHandler(broker),
            new AlterReplicaLogDirsHandler(broker),
            new DescribeLogDirsHandler(broker),
            new CreatePartitionsHandler(broker),
            new CreateDelegationTokenHandler(),
            new RenewDelegationTokenHandler(),
            new ExpireDelegationTokenHandler(),
            new DescribeDelegationTokenHandler(),
            new DeleteGroupsHandler(broker),
            new ElectLeadersHandler(broker),
            new IncrementalAlterConfigsHandler(broker),
            new AlterPartitionReassignmentsHandler(broker),
            new ListPartitionReassignmentsHandler(),
            new OffsetDeleteHandler(broker),
            new DescribeClientQuotasHandler(),
            new AlterClientQuotasHandler(),
            new DescribeUserScramCredentialsHandler(),
            new AlterUserScramCredentialsHandler(),
            new UpdateFeaturesHandler(),
            new DescribeClusterHandler(broker),
            new DescribeProducersHandler(broker),
            new DescribeTransactionsHandler(broker),
            new ListTransactionsHandler(broker),
            new ConsumerGroupDescribeHandler(broker),
            new GetTelemetrySubscriptionsHandler(broker),
            new PushTelemetryHandler(broker),
            new ListConfigResourcesHandler(broker),
            new DescribeTopicPartitionsHandler(broker),
        ]);
        apiVersions.Describe(table);
        return table;
    }
}
