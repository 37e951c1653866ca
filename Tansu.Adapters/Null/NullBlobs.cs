using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Objects that are forgotten.</summary>
internal sealed class NullBlobs : IBlobStore
{
    public ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        return ValueTask.CompletedTask;
    }

    public ValueTask ReadAsync(string name, long position, Memory<byte> destination, CancellationToken cancellationToken) =>
        throw new BlobMissingException(name, $"The object {name} was not kept.");

    public ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, CancellationToken cancellationToken) => AsyncEnumerable.Empty<BlobInfo>();
}
