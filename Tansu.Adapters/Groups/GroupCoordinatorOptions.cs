namespace Tansu.Adapters.Groups;

/// <summary>What a group coordinator may be told.</summary>
public sealed record GroupCoordinatorOptions
{
    /// <summary>How long the first rebalance of an empty group waits after each member that joins (<c>group.initial.rebalance.delay.ms</c>).</summary>
    public TimeSpan InitialRebalanceDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>
    /// Whether other brokers may hold members of the same groups. If not, nobody needs to be told of signs of life, and heartbeats
    /// never write.
    /// </summary>
    public bool IsShared { get; init; } = true;

    /// <summary>
    /// How much later than others a broker acts on groups that none of its clients belongs to: whoever has the clients is to act, and
    /// this broker only if there is nobody like that.
    /// </summary>
    public TimeSpan ForeignDelay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A heartbeat is answered from what was known to be all at most this long ago.</summary>
    public TimeSpan HeartbeatMaxAge { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// A broker that notices that it has slept this much longer than it meant to (a paused process, a suspended machine) gives every member its whole
    /// time again; one to which the store took this long to answer does so once until the member's next sign of life.
    /// </summary>
    public TimeSpan Oversleep { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long the store may take for what is done in the background.</summary>
    public TimeSpan StoreTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>For what makes this life of the broker different from others; replaced in simulations.</summary>
    public Random Random { get; init; } = Random.Shared;

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Told, in one line, what an operator may want to know. Must not throw.</summary>
    public Action<string>? OnNotice { get; init; }
}
