using Tansu.Codec;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Host.Handlers;

/// <summary>The one place where a refusal becomes one of Kafka's error codes.</summary>
internal static class Errors
{
    /// <summary>The error code of a refusal by the rules.</summary>
    public static ErrorCode Of(Refusal refusal) => refusal.Tag switch
    {
        Refusal.Tags.UnknownTopic => ErrorCode.UnknownTopicOrPartition,
        Refusal.Tags.UnknownTopicId => ErrorCode.UnknownTopicId,
        Refusal.Tags.UnknownPartition => ErrorCode.UnknownTopicOrPartition,
        Refusal.Tags.TopicAlreadyExists => ErrorCode.TopicAlreadyExists,
        Refusal.Tags.InvalidTopicName => ErrorCode.InvalidTopicException,
        Refusal.Tags.InvalidPartitions => ErrorCode.InvalidPartitions,
        Refusal.Tags.InvalidReplicationFactor => ErrorCode.InvalidReplicationFactor,
        Refusal.Tags.InvalidReplicaAssignment => ErrorCode.InvalidReplicaAssignment,
        Refusal.Tags.InvalidConfig => ErrorCode.InvalidConfig,
        Refusal.Tags.InvalidRequest => ErrorCode.InvalidRequest,
        Refusal.Tags.OffsetOutOfRange => ErrorCode.OffsetOutOfRange,
        Refusal.Tags.OutOfOrderSequence => ErrorCode.OutOfOrderSequenceNumber,
        Refusal.Tags.InvalidProducerEpoch => ErrorCode.InvalidProducerEpoch,
        Refusal.Tags.GroupIdNotFound => ErrorCode.GroupIdNotFound,
        Refusal.Tags.UnknownMemberId => ErrorCode.UnknownMemberId,
        Refusal.Tags.FencedInstanceId => ErrorCode.FencedInstanceId,
        Refusal.Tags.IllegalGeneration => ErrorCode.IllegalGeneration,
        Refusal.Tags.RebalanceInProgress => ErrorCode.RebalanceInProgress,
        Refusal.Tags.InconsistentGroupProtocol => ErrorCode.InconsistentGroupProtocol,
        Refusal.Tags.MemberIdRequired => ErrorCode.MemberIdRequired,
        Refusal.Tags.GroupMaxSizeReached => ErrorCode.GroupMaxSizeReached,
        Refusal.Tags.InvalidSessionTimeout => ErrorCode.InvalidSessionTimeout,
        Refusal.Tags.NonEmptyGroup => ErrorCode.NonEmptyGroup,
        Refusal.Tags.CommitOvertaken => ErrorCode.CoordinatorLoadInProgress,
        Refusal.Tags.OffsetMetadataTooLarge => ErrorCode.OffsetMetadataTooLarge,
        Refusal.Tags.InvalidProducerIdMapping => ErrorCode.InvalidProducerIdMapping,
        Refusal.Tags.ProducerFenced => ErrorCode.ProducerFenced,
        Refusal.Tags.InvalidTransactionState => ErrorCode.InvalidTxnState,
        Refusal.Tags.TransactionEnded => ErrorCode.InvalidTxnState,
        Refusal.Tags.ConcurrentTransactions => ErrorCode.ConcurrentTransactions,
        Refusal.Tags.InvalidTransactionTimeout => ErrorCode.InvalidTransactionTimeout,
        _ => ErrorCode.UnknownServerError,
    };

    /// <summary>What to tell a person about a refusal; null when the code says it all.</summary>
    public static string? Describe(Refusal refusal) => refusal switch
    {
        Refusal.TopicAlreadyExists exists => $"Topic '{exists.name}' already exists.",
        Refusal.InvalidTopicName invalid => invalid.reason,
        Refusal.InvalidPartitions invalid => invalid.reason,
        Refusal.InvalidReplicationFactor invalid => invalid.reason,
        Refusal.InvalidReplicaAssignment invalid => invalid.reason,
        Refusal.InvalidConfig invalid => invalid.reason,
        Refusal.InvalidRequest invalid => invalid.reason,
        _ => null,
    };

    /// <summary>The error code of a batch that failed validation; the reasons stand at each outcome.</summary>
    public static ErrorCode Of(RecordBatchOutcome outcome) => outcome switch
    {
        RecordBatchOutcome.Valid => ErrorCode.None,
        RecordBatchOutcome.BadLength or
        RecordBatchOutcome.UnknownMagic or
        RecordBatchOutcome.BadCrc or
        RecordBatchOutcome.BadCompression => ErrorCode.CorruptMessage,
        RecordBatchOutcome.CodecNotAllowed or
        RecordBatchOutcome.UnknownCodec => ErrorCode.UnsupportedCompressionType,
        RecordBatchOutcome.TooLarge or
        RecordBatchOutcome.DecompressedTooLarge => ErrorCode.MessageTooLarge,
        RecordBatchOutcome.BadTimestamp => ErrorCode.InvalidTimestamp,
        RecordBatchOutcome.Empty or
        RecordBatchOutcome.Truncated or
        RecordBatchOutcome.OldMagic or
        RecordBatchOutcome.MoreThanOneBatch or
        RecordBatchOutcome.BadBaseOffset or
        RecordBatchOutcome.BadCount or
        RecordBatchOutcome.ControlBatchFromClient or
        RecordBatchOutcome.BadSequence or
        RecordBatchOutcome.BadRecord or
        RecordBatchOutcome.MissingKey => ErrorCode.InvalidRecord,
        _ => ErrorCode.UnknownServerError,
    };

    /// <summary>What to tell a person about a batch that failed validation.</summary>
    public static string Describe(RecordBatchOutcome outcome) => outcome switch
    {
        RecordBatchOutcome.Empty => "A produce request must carry exactly one record batch per partition; this one carries none.",
        RecordBatchOutcome.Truncated => "The record batch is shorter than its length says.",
        RecordBatchOutcome.BadLength => "The record batch's length is impossible.",
        RecordBatchOutcome.OldMagic => "Only record batches of magic 2 are accepted.",
        RecordBatchOutcome.UnknownMagic => "The record batch's magic is unknown.",
        RecordBatchOutcome.CodecNotAllowed => "zstd needs Produce version 7 or newer.",
        RecordBatchOutcome.MoreThanOneBatch => "A produce request must carry exactly one record batch per partition.",
        RecordBatchOutcome.BadBaseOffset => "The base offset of a produced record batch must be 0.",
        RecordBatchOutcome.TooLarge => "The record batch is larger than the topic's max.message.bytes.",
        RecordBatchOutcome.BadCrc => "The record batch's CRC does not match its bytes.",
        RecordBatchOutcome.UnknownCodec => "The record batch's compression codec is unknown.",
        RecordBatchOutcome.BadCount => "The record batch's record count does not match its records.",
        RecordBatchOutcome.ControlBatchFromClient => "Clients may not write control batches.",
        RecordBatchOutcome.BadSequence => "The record batch's producer id, epoch and sequence contradict each other.",
        RecordBatchOutcome.BadTimestamp => "A record's timestamp is out of the range that the topic allows.",
        RecordBatchOutcome.BadCompression => "The record batch cannot be decompressed.",
        RecordBatchOutcome.DecompressedTooLarge => "The record batch decompresses to more than is allowed.",
        RecordBatchOutcome.BadRecord => "A record of the batch is malformed.",
        RecordBatchOutcome.MissingKey => "A compacted topic accepts only records with a key.",
        _ => "The record batch is not valid.",
    };
}
