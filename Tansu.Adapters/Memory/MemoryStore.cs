using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// The store that forgets (<c>memory://</c>): the reference for what a store does, and the store of tests. Every call completes before it
/// returns, so that a simulation on one thread is deterministic.
/// </summary>
public sealed class MemoryStore : IStore
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, MemoryEventLog> _logs = new(StringComparer.Ordinal);
    private readonly MemorySpace _space;
    private bool _disposed;

    /// <summary>Opens a store on <paramref name="space"/>.</summary>
    /// <param name="space">What it holds; shared with other stores on the same space.</param>
    /// <param name="options">Of which only the clock matters here.</param>
    public MemoryStore(MemorySpace space, StoreOptions options)
    {
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(options);
        _space = space;
        Blobs = new MemoryBlobs(space.Blobs, options.TimeProvider);
    }

    /// <summary>Opens a store on a space of its own.</summary>
    public MemoryStore()
        : this(new MemorySpace(), StoreOptions.Default)
    {
    }

    /// <inheritdoc/>
    public string Description => "memory (nothing is kept)";

    /// <inheritdoc/>
    public StoreLimits Limits { get; } = new(8 * 1024 * 1024, TimeSpan.Zero);

    /// <inheritdoc/>
    public IBlobStore Blobs { get; }

    /// <inheritdoc/>
    public ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken)
    {
        StoreNames.CheckLog(name);
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_logs.TryGetValue(name, out var log) || log.IsDisposed)
            {
                log = new MemoryEventLog(_space.Log(name));
                _logs[name] = log;
            }

            return new ValueTask<IEventLog>(log);
        }
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(
        ReadOnlyMemory<byte> proposed,
        CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfZero(proposed.Length, nameof(proposed));
        cancellationToken.ThrowIfCancellationRequested();
        return new ValueTask<ReadOnlyMemory<byte>>(_space.GetOrCreateCluster(proposed));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        MemoryEventLog[] logs;
        lock (_gate)
        {
            _disposed = true;
            logs = [.. _logs.Values];
            _logs.Clear();
        }

        foreach (var log in logs)
        {
            await log.DisposeAsync().ConfigureAwait(false);
        }
    }
}
