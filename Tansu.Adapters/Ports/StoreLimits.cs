namespace Tansu.Adapters.Ports;

/// <summary>What a caller should keep to on one kind of store.</summary>
/// <param name="InlinePayloadBytes">Up to this many bytes of batches ride in an entry; more go into an object of their own.</param>
/// <param name="DefaultCommitInterval">The least time between two commits of one log unless configured (<c>--commit-interval</c>).</param>
public sealed record StoreLimits(int InlinePayloadBytes, TimeSpan DefaultCommitInterval);
