using System.Buffers;
using System.Runtime.CompilerServices;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>The objects of a <see cref="MemorySpace"/>, as one broker sees them.</summary>
internal sealed class MemoryBlobs(MemoryBlobs.Content objects, TimeProvider timeProvider) : IBlobStore
{
    public ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        cancellationToken.ThrowIfCancellationRequested();
        var blob = new Blob(content.ToArray(), timeProvider.GetUtcNow());
        lock (objects.Gate)
        {
            objects.Blobs[name] = blob;
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask ReadAsync(string name, long position, Memory<byte> destination, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        cancellationToken.ThrowIfCancellationRequested();
        Blob blob;
        lock (objects.Gate)
        {
            if (!objects.Blobs.TryGetValue(name, out blob))
            {
                throw new BlobMissingException(name, $"There is no object {name}.");
            }
        }

        if (position > blob.Bytes.Length - destination.Length)
        {
            throw new BlobMissingException(name, $"Object {name} has {blob.Bytes.Length} bytes, fewer than were to be read.");
        }

        blob.Bytes.AsSpan((int)position, destination.Length).CopyTo(destination.Span);
        return ValueTask.CompletedTask;
    }

    public ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken)
    {
        for (var i = 0; i < names.Count; i++)
        {
            StoreNames.CheckBlob(names[i]);
        }

        cancellationToken.ThrowIfCancellationRequested();
        lock (objects.Gate)
        {
            for (var i = 0; i < names.Count; i++)
            {
                objects.Blobs.Remove(names[i]);
            }
        }

        return ValueTask.CompletedTask;
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(
        string prefix,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var found = new List<BlobInfo>();
        lock (objects.Gate)
        {
            foreach (var (name, blob) in objects.Blobs)
            {
                if (name.StartsWith(prefix, StringComparison.Ordinal))
                {
                    found.Add(new BlobInfo(name, blob.Bytes.Length, blob.LastModified));
                }
            }
        }

        foreach (var info in found)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return info;
        }

        await ValueTask.CompletedTask.ConfigureAwait(false);
    }

    internal readonly record struct Blob(byte[] Bytes, DateTimeOffset LastModified);

    /// <summary>What is shared between the brokers on one space.</summary>
    internal sealed class Content
    {
        public Lock Gate { get; } = new();

        public SortedDictionary<string, Blob> Blobs { get; } = new(StringComparer.Ordinal);
    }
}
