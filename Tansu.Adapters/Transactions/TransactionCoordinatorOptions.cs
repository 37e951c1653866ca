namespace Tansu.Adapters.Transactions;

/// <summary>What a transaction coordinator may be told.</summary>
public sealed record TransactionCoordinatorOptions
{
    /// <summary>How often transactions that have timed out, or that somebody has left half ended, are looked for. Looking is done in memory.</summary>
    public TimeSpan LookInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long whoever ends a transaction is left alone with it.</summary>
    public TimeSpan EndingPatience { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How much later than the shard's leader another broker acts, in case there is no such leader any more.</summary>
    public TimeSpan ForeignDelay { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Whether this broker is to act first for a shard.</summary>
    public Func<int, bool> IsLeaderOf { get; init; } = static _ => true;

    /// <summary>Whether other brokers may write to the logs: if not, there is nothing to learn of them.</summary>
    public bool IsShared { get; init; } = true;

    /// <summary>How long the store may take for what is done in the background.</summary>
    public TimeSpan StoreTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Told, in one line, what an operator may want to know. Must not throw.</summary>
    public Action<string>? OnNotice { get; init; }
}
