using System.Globalization;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Host;

/// <summary>The configurations of a topic that every produce request needs, parsed once per change of the topic.</summary>
internal sealed class TopicSettings
{
    private readonly int _maxMessageBytes;
    private readonly long _timestampBeforeMaxMs;
    private readonly long _timestampAfterMaxMs;
    private readonly bool _isCompacted;

    public TopicSettings(Topic topic)
    {
        _maxMessageBytes = (int)Number(topic, "max.message.bytes");
        _timestampBeforeMaxMs = Number(topic, "message.timestamp.before.max.ms");
        _timestampAfterMaxMs = Number(topic, "message.timestamp.after.max.ms");
        var cleanup = CleanupModule.ofConfigs(topic.Configs);
        _isCompacted = cleanup.Compacts;
        DeletesRecords = cleanup.Deletes;
        UsesLogAppendTime = TopicConfig.effective("message.timestamp.type", topic.Configs) == "LogAppendTime";
    }

    /// <summary>Whether records get the broker's time instead of the producer's.</summary>
    public bool UsesLogAppendTime { get; }

    /// <summary>Whether old records may be deleted (<c>cleanup.policy</c> has <c>delete</c>).</summary>
    public bool DeletesRecords { get; }

    /// <summary>What a batch must keep to, at this moment.</summary>
    public RecordBatchLimits BatchLimits(long nowMs, bool allowsZstd)
    {
        var limits = new RecordBatchLimits
        {
            MaxBatchBytes = _maxMessageBytes,
            AllowsZstd = allowsZstd,
            RequiresKeys = _isCompacted,
        };
        return UsesLogAppendTime ? limits : limits.WithTimestampRange(nowMs, _timestampBeforeMaxMs, _timestampAfterMaxMs);
    }

    private static long Number(Topic topic, string name) =>
        long.Parse(TopicConfig.effective(name, topic.Configs), CultureInfo.InvariantCulture);
}
