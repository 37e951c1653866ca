namespace Tansu.Codec.Records;

/// <summary>What a control record says: the second 16-bit number of its key.</summary>
/// <remarks>Source: https://kafka.apache.org/documentation/#controlbatch</remarks>
public enum ControlRecordType : short
{
    /// <summary>The producer's open transaction ends and does not count.</summary>
    Abort = 0,

    /// <summary>The producer's open transaction ends and counts.</summary>
    Commit = 1,
}
