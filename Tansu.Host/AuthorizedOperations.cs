namespace Tansu.Host;

/// <summary>
/// The operations a client is allowed, one bit per Kafka ACL operation (bit n for operation n). Without an authorizer everything that
/// exists for the resource is allowed.
/// </summary>
internal static class AuthorizedOperations
{
    /// <summary>What stands where the client did not ask.</summary>
    public const int NotAsked = int.MinValue;

    /// <summary>Read, write, create, delete, alter, describe, describe configs, alter configs.</summary>
    public const int Topic = (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 8) | (1 << 10) | (1 << 11);

    /// <summary>Create, alter, describe, cluster action, describe configs, alter configs, idempotent write.</summary>
    public const int Cluster = (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 11) | (1 << 12);

    /// <summary>Read, delete, describe, describe configs, alter configs.</summary>
    public const int Group = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);
}
