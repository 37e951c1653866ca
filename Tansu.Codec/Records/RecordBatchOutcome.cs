namespace Tansu.Codec.Records;

/// <summary>
/// What validation says of the record data that a client sent for one partition. Beside each refusal stands the Kafka
/// error code that it means; where Kafka itself answers something else, the reason for the difference is given.
/// </summary>
/// <remarks>
/// Checked against Kafka's own broker (produce request validation, log append and its validator). The checks are made
/// in the order of this list, so a batch with two faults gets the answer that Kafka gives.
/// </remarks>
public enum RecordBatchOutcome
{
    /// <summary>NONE: one batch that may be stored as it came.</summary>
    Valid = 0,

    /// <summary>INVALID_RECORD: null or no bytes, where exactly one batch must be.</summary>
    Empty,

    /// <summary>
    /// INVALID_RECORD: fewer bytes than the batch's length says. (For Kafka that is a request without any batch.)
    /// </summary>
    Truncated,

    /// <summary>CORRUPT_MESSAGE: the batch's length is less than a header takes, or negative.</summary>
    BadLength,

    /// <summary>INVALID_RECORD: message format 0 or 1, which Produce 3 and later may not carry.</summary>
    OldMagic,

    /// <summary>CORRUPT_MESSAGE: a magic that no message format has.</summary>
    UnknownMagic,

    /// <summary>UNSUPPORTED_COMPRESSION_TYPE: zstd in a Produce version before 7 (KIP-110).</summary>
    CodecNotAllowed,

    /// <summary>
    /// INVALID_RECORD: bytes after the first batch. (Kafka cuts off a rest that is not a batch; no client sends one.)
    /// </summary>
    MoreThanOneBatch,

    /// <summary>INVALID_RECORD: a base offset other than 0.</summary>
    BadBaseOffset,

    /// <summary>MESSAGE_TOO_LARGE: the batch is larger than the topic's <c>max.message.bytes</c>.</summary>
    TooLarge,

    /// <summary>CORRUPT_MESSAGE: the CRC is not that of the bytes.</summary>
    BadCrc,

    /// <summary>
    /// UNSUPPORTED_COMPRESSION_TYPE: codec 5, 6 or 7. (Kafka fails with UNKNOWN_SERVER_ERROR, which clients would retry.)
    /// </summary>
    UnknownCodec,

    /// <summary>
    /// INVALID_RECORD: the record count is not positive, or not last offset delta + 1, or not the number of records.
    /// </summary>
    BadCount,

    /// <summary>INVALID_RECORD: only the broker writes control batches (transaction markers).</summary>
    ControlBatchFromClient,

    /// <summary>
    /// INVALID_RECORD: a producer id with a negative base sequence; also with a negative epoch, or transactional
    /// without a producer id, which no client can mean and Kafka would store.
    /// </summary>
    BadSequence,

    /// <summary>
    /// INVALID_TIMESTAMP: a record's timestamp is out of the topic's range, or the batch says LogAppendTime, which only
    /// the broker may. (Kafka overlooks the latter in some cases, because it rewrites the attribute.)
    /// </summary>
    BadTimestamp,

    /// <summary>
    /// CORRUPT_MESSAGE: the records cannot be decompressed. Only seen when they are looked into. (Kafka fails with
    /// UNKNOWN_SERVER_ERROR.)
    /// </summary>
    BadCompression,

    /// <summary>
    /// MESSAGE_TOO_LARGE: the records decompress to more than is allowed; a client then splits the batch. Only seen
    /// when they are looked into. (Kafka has no such limit.)
    /// </summary>
    DecompressedTooLarge,

    /// <summary>
    /// INVALID_RECORD: the bytes of a record are malformed, or its offset delta is not its place in the batch. (Kafka
    /// writes such a batch anew; this broker stores batches as they come.)
    /// </summary>
    BadRecord,

    /// <summary>INVALID_RECORD: a record without a key in a compacted topic.</summary>
    MissingKey,
}
