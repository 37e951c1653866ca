namespace Tansu.Adapters.Measuring;

/// <summary>What a broker has committed to one log. Safe to use from any thread.</summary>
public sealed class CommitMeasures
{
    private long _commands;
    private long _conflicts;
    private long _retries;
    private long _undecidable;

    /// <summary>How long the store took for each entry of this broker's, retries and all.</summary>
    public Histogram Latency { get; } = Histogram.OfMicroseconds();

    /// <summary>How long commands waited from their arrival to their commit's end.</summary>
    public Histogram Wait { get; } = Histogram.OfMicroseconds();

    /// <summary>The bytes of each entry, those in data objects included.</summary>
    public Histogram Bytes { get; } = Histogram.OfBytes();

    /// <summary>How many commands were in the entries.</summary>
    public long Commands => Interlocked.Read(ref _commands);

    /// <summary>How often another broker's entry came first, so that this one's was decided again.</summary>
    public long Conflicts => Interlocked.Read(ref _conflicts);

    /// <summary>How often the same entry was tried again, because the store failed or did not say what became of it.</summary>
    public long Retries => Interlocked.Read(ref _retries);

    /// <summary>How often it could not be found out what became of an entry, so that its commands failed.</summary>
    public long Undecidable => Interlocked.Read(ref _undecidable);

    /// <summary>An entry of this broker's is in the log.</summary>
    internal void AddCommit(TimeSpan elapsed, long bytes, int commands)
    {
        Latency.Record(elapsed);
        Bytes.Record(bytes);
        Interlocked.Add(ref _commands, commands);
    }

    /// <summary>Another broker came first.</summary>
    internal void AddConflict() => Interlocked.Increment(ref _conflicts);

    /// <summary>The same entry is tried again.</summary>
    internal void AddRetry() => Interlocked.Increment(ref _retries);

    /// <summary>An entry's outcome cannot be known any more.</summary>
    internal void AddUndecidable() => Interlocked.Increment(ref _undecidable);
}
