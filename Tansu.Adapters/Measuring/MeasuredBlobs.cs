using System.Buffers;
using System.Runtime.CompilerServices;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters.Measuring;

/// <summary>Objects, measured.</summary>
internal sealed class MeasuredBlobs(IBlobStore inner, StoreMeasures measures) : IBlobStore
{
    public ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.PutObject, content.Length, () => inner.PutAsync(name, content, cancellationToken));

    public ValueTask ReadAsync(string name, long position, Memory<byte> destination, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.ReadObject, destination.Length, () => inner.ReadAsync(name, position, destination, cancellationToken));

    public ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.DeleteObjects, 0, () => inner.DeleteAsync(names, cancellationToken));

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // What the caller does with each of them is no time of the store's, so each step is measured for itself.
        var listed = inner.ListAsync(prefix, cancellationToken).GetAsyncEnumerator(cancellationToken);
        await using var scope = listed.ConfigureAwait(false);
        while (await measures.TimeAsync(StoreRequestKind.ListObjects, 0, () => listed.MoveNextAsync()).ConfigureAwait(false))
        {
            yield return listed.Current;
        }
    }
}
