using Tansu.Domain;

namespace Tansu.Host.Handlers;

/// <summary>Manual replica assignments: there is one place for a replica, the store; any node that is there may be named for it, without an effect.</summary>
internal static class Assignments
{
    /// <summary>What is wrong with the replicas assigned to one partition; null if nothing is.</summary>
    public static Refusal? Check(Broker broker, int[] brokerIds)
    {
        if (brokerIds.Length == 0)
        {
            return Refusal.NewInvalidReplicaAssignment("The manual partition assignment includes an empty replica list.");
        }

        var nodes = broker.Cluster.Nodes;
        foreach (var id in brokerIds)
        {
            if (!nodes.Contains(id))
            {
                return Refusal.NewInvalidReplicaAssignment($"The manual partition assignment includes broker {id}, but no such broker is registered.");
            }
        }

        if (brokerIds.Length == 1)
        {
            return null;
        }

        return brokerIds.Distinct().Count() == brokerIds.Length
            ? Refusal.NewInvalidReplicationFactor("The manual partition assignment names several replicas, but the store is the only one: name one broker.")
            : Refusal.NewInvalidReplicaAssignment("The manual partition assignment includes a broker more than once.");
    }
}
