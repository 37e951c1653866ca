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
            apiVersions,
        ]);
        apiVersions.Describe(table);
        return table;
    }
}
