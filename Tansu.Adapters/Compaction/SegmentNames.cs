using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>Names of segments and index pages: like those of data objects, so that a listing has all of them in the order of their times.</summary>
/// <param name="logName">The log whose entries will refer to them.</param>
/// <param name="writer">Makes the names unique.</param>
/// <param name="published">The newest state: no object may be named before what has been collected, nor before the log's time.</param>
/// <param name="timeProvider">The clock.</param>
internal sealed class SegmentNames(string logName, Guid writer, Func<Published<ShardState>> published, TimeProvider timeProvider)
{
    private long _number;

    /// <summary>The next name, and the time in it in milliseconds since 1970.</summary>
    public (string Name, long NamedAtMs) Next()
    {
        var known = published();
        var nowMs = Math.Max(
            timeProvider.GetUtcNow().ToUnixTimeMilliseconds(),
            Math.Max(known.TimeMs, known.State.ObjectsCollectedBeforeMs));
        return (DataObjectName.Make(logName, nowMs, writer, ++_number), nowMs);
    }
}
