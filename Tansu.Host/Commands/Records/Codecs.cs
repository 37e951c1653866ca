using Tansu.Codec.Records;

namespace Tansu.Host.Commands.Records;

/// <summary>The codecs by the names that the flags have.</summary>
internal static class Codecs
{
    /// <summary>The codec of a name.</summary>
    public static CompressionCodec Named(string name) => name switch
    {
        "none" => CompressionCodec.None,
        "gzip" => CompressionCodec.Gzip,
        "snappy" => CompressionCodec.Snappy,
        "lz4" => CompressionCodec.Lz4,
        "zstd" => CompressionCodec.Zstd,
        _ => throw new ArgumentOutOfRangeException(nameof(name)),
    };
}
