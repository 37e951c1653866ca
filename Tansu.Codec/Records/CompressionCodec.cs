namespace Tansu.Codec.Records;

/// <summary>How the records of a batch are compressed: bits 0-2 of the batch's attributes.</summary>
/// <remarks>Source: https://kafka.apache.org/documentation/#recordbatch; zstd is KIP-110.</remarks>
public enum CompressionCodec : byte
{
    /// <summary>The records follow the header as they are.</summary>
    None = 0,

    /// <summary>RFC 1952, one or more members.</summary>
    Gzip = 1,

    /// <summary>Snappy, in one raw block or in the block framing of snappy-java (see <see cref="SnappyFraming"/>).</summary>
    Snappy = 2,

    /// <summary>The LZ4 frame format.</summary>
    Lz4 = 3,

    /// <summary>Zstandard frames (RFC 8878). Clients may send it from Produce version 7, and get it from Fetch version 10.</summary>
    Zstd = 4,
}
