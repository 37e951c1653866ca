namespace Tansu.Codec.Records;

/// <summary>How an attempt to decompress ended.</summary>
public enum DecompressionOutcome
{
    /// <summary>All bytes were decompressed.</summary>
    Done,

    /// <summary>The bytes are not what the codec writes.</summary>
    Malformed,

    /// <summary>More bytes come out than the caller allows.</summary>
    TooLarge,
}
