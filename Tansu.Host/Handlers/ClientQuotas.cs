namespace Tansu.Host.Handlers;

/// <summary>What Kafka's quotas are about (KIP-546, KIP-612).</summary>
internal static class ClientQuotas
{
    /// <summary>Whether quotas can be about this: a user, a client id or an address.</summary>
    public static bool IsEntityType(string type) => type is "user" or "client-id" or "ip";
}
