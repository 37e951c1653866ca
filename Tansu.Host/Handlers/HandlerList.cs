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
            new FindCoordinatorHandler(broker),
            apiVersions,
            new CreateTopicsHandler(broker),
            new DeleteTopicsHandler(broker),
            new DeleteRecordsHandler(broker),
            new InitProducerIdHandler(broker),
            new OffsetForLeaderEpochHandler(broker),
            new DescribeConfigsHandler(broker),
            new AlterConfigsHandler(broker),
            new DescribeLogDirsHandler(broker),
            new CreatePartitionsHandler(broker),
            new IncrementalAlterConfigsHandler(broker),
            new DescribeClusterHandler(broker),
            new DescribeProducersHandler(broker),
            new GetTelemetrySubscriptionsHandler(broker),
            new DescribeTopicPartitionsHandler(broker),
        ]);
        apiVersions.Describe(table);
        return table;
    }
}
