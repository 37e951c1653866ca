namespace Tansu.Codec.Records;

/// <summary>Whose clock a batch's timestamps come from: bit 3 of its attributes.</summary>
public enum TimestampType : byte
{
    /// <summary>Each record carries the producer's timestamp.</summary>
    CreateTime = 0,

    /// <summary>Every record has the batch's maximum timestamp, set by the broker at the append.</summary>
    LogAppendTime = 1,
}
