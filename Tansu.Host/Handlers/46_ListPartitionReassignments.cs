using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>ListPartitionReassignments (API key 46, KIP-455): no partition is ever being moved.</summary>
internal sealed class ListPartitionReassignmentsHandler : Handler<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse>
{
    public override ValueTask<ListPartitionReassignmentsResponse?> HandleAsync(
        RequestContext context,
        ListPartitionReassignmentsRequest request,
        CancellationToken cancellationToken) => new(new ListPartitionReassignmentsResponse());
}
