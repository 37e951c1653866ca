namespace Tansu.Codec.Records;

/// <summary>What the topic's configuration and the version of the request demand of a batch.</summary>
public readonly record struct RecordBatchLimits
{
    /// <summary>Kafka's default of <c>max.message.bytes</c>: 1 MiB and the overhead of the log.</summary>
    public const int DefaultMaxBatchBytes = (1024 * 1024) + RecordBatchLayout.LengthOverhead;

    /// <summary>The limits of a topic without any configuration of its own, and no limit on timestamps.</summary>
    public RecordBatchLimits()
    {
    }

    /// <summary><c>max.message.bytes</c>: the most bytes of a whole batch, as it comes (compressed).</summary>
    public int MaxBatchBytes { get; init; } = DefaultMaxBatchBytes;

    /// <summary>Whether zstd may be used: from Produce version 7 on.</summary>
    public bool AllowsZstd { get; init; } = true;

    /// <summary>The oldest timestamp that a record may have, in ms since 1970. Records without a timestamp pass.</summary>
    public long EarliestTimestampMs { get; init; } = long.MinValue;

    /// <summary>The newest timestamp that a record may have, in ms since 1970.</summary>
    public long LatestTimestampMs { get; init; } = long.MaxValue;

    /// <summary>Whether every record must have a key (<c>cleanup.policy</c> with compact). Looks into the records.</summary>
    public bool RequiresKeys { get; init; }

    /// <summary>Whether compressed records are decompressed and checked like others.</summary>
    public bool LooksIntoCompressed { get; init; }

    /// <summary>The most bytes that the records may decompress to, where they are looked into.</summary>
    public int MaxDecompressedBytes { get; init; } = Compression.DefaultMaxDecompressedBytes;

    /// <summary>
    /// These limits with the range of timestamps that a topic with CreateTime allows. Not for LogAppendTime, where the
    /// producer's timestamps do not count.
    /// </summary>
    /// <param name="nowMs">The broker's clock, in ms since 1970.</param>
    /// <param name="beforeMaxMs"><c>message.timestamp.before.max.ms</c> (KIP-937).</param>
    /// <param name="afterMaxMs"><c>message.timestamp.after.max.ms</c> (KIP-937).</param>
    public RecordBatchLimits WithTimestampRange(long nowMs, long beforeMaxMs, long afterMaxMs) =>
        this with
        {
            EarliestTimestampMs = nowMs < long.MinValue + beforeMaxMs ? long.MinValue : nowMs - beforeMaxMs,
            LatestTimestampMs = nowMs > long.MaxValue - afterMaxMs ? long.MaxValue : nowMs + afterMaxMs,
        };
}
