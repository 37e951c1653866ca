using Tansu.Codec;

namespace Tansu.Host;

/// <summary>
/// Every partition has the same leader epoch for ever, because leadership never changes hands: every broker may write (see
/// docs/decisions/0002).
/// </summary>
internal static class LeaderEpochs
{
    /// <summary>The epoch of every partition.</summary>
    public const int Current = 0;

    /// <summary>What a client says when it does not know an epoch.</summary>
    public const int Unknown = -1;

    /// <summary>Whether the epoch that a client knows may be (KIP-320).</summary>
    public static ErrorCode Judge(int clientEpoch) => clientEpoch switch
    {
        Unknown or Current => ErrorCode.None,
        > Current => ErrorCode.UnknownLeaderEpoch,
        _ => ErrorCode.FencedLeaderEpoch,
    };
}
