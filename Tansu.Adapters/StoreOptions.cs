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

    /// <summary>
    /// Whether nothing is to be created, repaired or removed: no directory, table or log. What is not there is refused. Only for looking at what
    /// is stored; what writes must not be called. A file store is locked all the same, so that no broker changes it meanwhile.
    /// </summary>
    public bool IsReadOnly { get; init; }

    /// <summary>The clock for ages of objects where the store is in this process.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>File store: a log goes on in a new file rather than let one grow beyond this many bytes. 64 MiB.</summary>
    public long FileRollBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>File store: how many sealed log files are kept open for reading, all logs together. 32.</summary>
    public int MaxOpenFiles { get; init; } = 32;

    /// <summary>Stores behind a network: how long a request may take before it counts as failed, besides the time that its bytes need. 10 s.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// S3: entries are deleted when they were announced as trimmed this long ago, by the store's clock. 1 h; much longer than the 10 s after
    /// which a writer looks again whether it has been left behind. Less than a minute is for tests only.
    /// </summary>
    public TimeSpan S3TrimGrace { get; init; } = TimeSpan.FromHours(1);
}
