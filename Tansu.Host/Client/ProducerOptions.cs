using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>How a producer writes.</summary>
internal sealed class ProducerOptions
{
    /// <summary>The acknowledgement of all in-sync replicas, which an idempotent producer needs.</summary>
    public const short AllReplicas = -1;

    /// <summary>The most requests that an idempotent producer may have in flight: brokers remember that many batches.</summary>
    public const int MostInFlight = 5;

    /// <summary>The topic.</summary>
    public required string Topic { get; init; }

    /// <summary>Which acknowledgement to wait for: 0 none, 1 the leader's, -1 that of all in-sync replicas.</summary>
    public short Acks { get; init; } = AllReplicas;

    /// <summary>How batches are compressed.</summary>
    public CompressionCodec Codec { get; init; }

    /// <summary>How many batches may be under way at once.</summary>
    public int InFlight { get; init; } = MostInFlight;

    /// <summary>The name under which transactions are made; null for none.</summary>
    public string? TransactionalId { get; init; }

    /// <summary>Whether a retry never duplicates (KIP-98).</summary>
    public bool IsIdempotent => Acks == AllReplicas;
}
