namespace Tansu.Codec.Records;

/// <summary>The two ways in which Kafka's clients wrap snappy. Readers tell them apart by the first bytes.</summary>
public enum SnappyFraming
{
    /// <summary>
    /// What the Java client writes: an 8-byte magic, two 4-byte versions, then blocks, each preceded by its
    /// compressed length in 4 big-endian bytes.
    /// </summary>
    Xerial,

    /// <summary>What librdkafka and many others write: one raw snappy block.</summary>
    Raw,
}
