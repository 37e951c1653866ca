using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// The store that takes everything and keeps nothing but the numbers of entries (<c>null://</c>): for measuring what a broker could do on a store
/// that costs nothing. Records can be read as long as they are in the cache; retention drops them soon after.
/// </summary>
public sealed class NullStore : IStore
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, NullEventLog> _logs = new(StringComparer.Ordinal);
    private ReadOnlyMemory<byte> _cluster;

    /// <inheritdoc/>
    public string Description => "null (everything is forgotten at once)";

    /// <inheritdoc/>
    public StoreLimits Limits { get; } = new(8 * 1024 * 1024, TimeSpan.Zero) { IsShared = false, SnapshotEveryEntries = 4096, Forgets = true };

    /// <inheritdoc/>
    public IBlobStore Blobs { get; } = new NullBlobs();

    /// <inheritdoc/>
    public ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken)
    {
        StoreNames.CheckLog(name);
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            if (!_logs.TryGetValue(name, out var log))
            {
                _logs[name] = log = new NullEventLog(name);
            }

            return new ValueTask<IEventLog>(log);
        }
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(ReadOnlyMemory<byte> proposed, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfZero(proposed.Length, nameof(proposed));
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            _cluster = _cluster.IsEmpty ? proposed.ToArray() : _cluster;
            return new ValueTask<ReadOnlyMemory<byte>>(_cluster);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
