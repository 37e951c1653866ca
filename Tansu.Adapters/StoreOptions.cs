namespace Tansu.Adapters;

/// <summary>What the caller of a store may choose; the defaults are right for a broker.</summary>
public sealed record StoreOptions
{
    /// <summary>The defaults.</summary>
    public static StoreOptions Default { get; } = new();

    /// <summary>
    /// Told, in one line, what an operator should know and nobody needs to act on at once: a torn end that was cut, an index that was rebuilt, a
    /// damaged snapshot that was skipped. Called on any thread; must not throw.
    /// </summary>
    public Action<string>? OnNotice { get; init; }

    /// <summary>The clock for ages of objects where the store is in this process.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>File store: a log goes on in a new file rather than let one grow beyond this many bytes. 64 MiB.</summary>
    public long FileRollBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>File store: how many sealed log files are kept open for reading, all logs together. 32.</summary>
    public int MaxOpenFiles { get; init; } = 32;
}
