using Tansu.Adapters.Ports;

namespace Tansu.Adapters.Measuring;

/// <summary>A store whose requests are measured; otherwise it is the one inside. Disposing it disposes that one.</summary>
/// <param name="inner">The store.</param>
/// <param name="measures">Where to count.</param>
public sealed class MeasuredStore(IStore inner, StoreMeasures measures) : IStore, ILogSignal
{
    /// <summary>Where its requests are counted.</summary>
    public StoreMeasures Measures => measures;

    /// <inheritdoc/>
    public string Description => inner.Description;

    /// <inheritdoc/>
    public StoreLimits Limits => inner.Limits;

    /// <inheritdoc/>
    public IBlobStore Blobs { get; } = new MeasuredBlobs(inner.Blobs, measures);

    /// <inheritdoc/>
    public async ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken) =>
        new MeasuredLog(await inner.OpenLogAsync(name, cancellationToken).ConfigureAwait(false), measures);

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(ReadOnlyMemory<byte> proposed, CancellationToken cancellationToken) =>
        inner.GetOrCreateClusterAsync(proposed, cancellationToken);

    /// <inheritdoc/>
    public IDisposable Subscribe(Action<string> onAppended) => inner is ILogSignal signal ? signal.Subscribe(onAppended) : NoSubscription.Instance;

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private sealed class NoSubscription : IDisposable
    {
        public static readonly NoSubscription Instance = new();

        public void Dispose()
        {
        }
    }
}
