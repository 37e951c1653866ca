using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// ListGroups (API key 16). Version 3 is flexible, 4 brought states (KIP-518), 5 types (KIP-848). Any broker lists all groups of the cluster.
/// </summary>
internal sealed class ListGroupsHandler(Broker broker) : Handler<ListGroupsRequest, ListGroupsResponse>
{
    private const string Type = "classic";

    public override async ValueTask<ListGroupsResponse?> HandleAsync(
        RequestContext context,
        ListGroupsRequest request,
        CancellationToken cancellationToken)
    {
        var error = await broker.CatchUpGroupsAsync(broker.Cluster.Shards.Select(static shard => shard.Groups));
        if (error != ErrorCode.None)
        {
            return new ListGroupsResponse { ErrorCode = error };
        }

        var groups = new List<ListGroupsResponse.ListedGroup>();
        if (!IsWanted(request.TypesFilter, Type))
        {
            return new ListGroupsResponse();
        }

        foreach (var shard in broker.Cluster.Shards)
        {
            foreach (var (groupId, group) in shard.Replica.Current.State.Groups)
            {
                var state = Groups.StateOf(group);
                if (IsWanted(request.StatesFilter, state) && !GroupModule.isForgotten(group))
                {
                    groups.Add(new ListGroupsResponse.ListedGroup
                    {
                        GroupId = groupId,
                        ProtocolType = group.ProtocolType ?? "",
                        GroupState = state,
                        GroupType = Type,
                    });
                }
            }
        }

        return new ListGroupsResponse { Groups = [.. groups] };
    }

    private static bool IsWanted(string[] filter, string value) =>
        filter.Length == 0 || Array.Exists(filter, wanted => string.Equals(wanted, value, StringComparison.OrdinalIgnoreCase));
}
