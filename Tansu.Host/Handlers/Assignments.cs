using Tansu.Domain;

namespace Tansu.Host.Handlers;

/// <summary>Manual replica assignments: there is one place for a replica, this node.</summary>
internal static class Assignments
{
    /// <summary>What is wrong with the replicas assigned to one partition; null if nothing is.</summary>
    public static Refusal? Check(Broker broker, int[] brokerIds)
    {
        if (brokerIds.Length == 0)
        {
            return Refusal.NewInvalidReplicaAssignment("The manual partition assignment includes an empty replica list.");
        }

        foreach (var id in brokerIds)
        {
            if (id != broker.Cluster.Self.Id)
            {
                return Refusal.NewInvalidReplicaAssignment($"The manual partition assignment includes broker {id}, but no such broker is registered.");
            }
        }

        return brokerIds.Length == 1
            ? null
            : Refusal.NewInvalidReplicaAssignment($"The manual partition assignment includes the broker {brokerIds[0]} more than once.");
    }
}
