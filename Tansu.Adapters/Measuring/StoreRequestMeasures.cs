namespace Tansu.Adapters.Measuring;

/// <summary>What requests of one kind came to.</summary>
public sealed class StoreRequestMeasures
{
    private long _bytes;
    private long _errors;

    /// <summary>How long those took that succeeded.</summary>
    public Histogram Latency { get; } = Histogram.OfMicroseconds();

    /// <summary>How many bytes they wrote or read, as far as the caller gave or got them.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>How many failed; the store's own retries are not seen here.</summary>
    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Counts one that succeeded.</summary>
    internal void Add(TimeSpan elapsed, long bytes)
    {
        Latency.Record(elapsed);
        Interlocked.Add(ref _bytes, bytes);
    }

    /// <summary>Counts bytes that are known only afterwards.</summary>
    internal void AddBytes(long bytes) => Interlocked.Add(ref _bytes, bytes);

    /// <summary>Counts one that failed.</summary>
    internal void AddError() => Interlocked.Increment(ref _errors);
}
