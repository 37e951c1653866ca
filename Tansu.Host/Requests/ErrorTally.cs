using System.Collections.Concurrent;
using Tansu.Codec;

namespace Tansu.Host.Requests;

/// <summary>Counts error codes. Safe to use from any thread; codes that never came take no memory.</summary>
internal sealed class ErrorTally : IErrorCounter
{
    private readonly ConcurrentDictionary<ErrorCode, long> _counts = [];

    /// <summary>The codes that came, and how often.</summary>
    public IEnumerable<KeyValuePair<ErrorCode, long>> All => _counts;

    /// <inheritdoc/>
    public void Count(ErrorCode error) => _counts.AddOrUpdate(error, 1, static (_, before) => before + 1);
}
