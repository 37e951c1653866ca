using System.Globalization;
using Microsoft.FSharp.Collections;
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

    /// <param name="configs">What is set for the topic, by config name.</param>
    /// <param name="defaults">What was set for all topics, to know whether that is still so.</param>
    public TopicSettings(FSharpMap<string, string> configs, FSharpMap<string, string> defaults)
    {
        Defaults = defaults;
        _maxMessageBytes = (int)Number(configs, "max.message.bytes");
        _timestampBeforeMaxMs = Number(configs, "message.timestamp.before.max.ms");
        _timestampAfterMaxMs = Number(configs, "message.timestamp.after.max.ms");
        var cleanup = CleanupModule.ofConfigs(configs);
        _isCompacted = cleanup.Compacts;
        DeletesRecords = cleanup.Deletes;
        UsesLogAppendTime = TopicConfig.effective("message.timestamp.type", configs) == "LogAppendTime";
    }

    /// <summary>What was set for all topics when this was read.</summary>
    public FSharpMap<string, string> Defaults { get; }

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

    private static long Number(FSharpMap<string, string> configs, string name) =>
        long.Parse(TopicConfig.effective(name, configs), CultureInfo.InvariantCulture);
}
