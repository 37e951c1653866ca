using System.Buffers;
using System.Runtime.CompilerServices;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Objects outside of the logs: keys <c>blobs/&lt;name&gt;</c>, content as it is.</summary>
internal sealed class S3Blobs(S3Client client) : IBlobStore
{
    private const int KeysPerPage = 1000;

    private string Prefix { get; } = client.Settings.Prefix + "blobs/";

    public async ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        cancellationToken.ThrowIfCancellationRequested();
        await client.PutAsync(Prefix + name, content, cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask ReadAsync(string name, long position, Memory<byte> destination, CancellationToken cancellationToken)
    {
        StoreNames.CheckBlob(name);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        cancellationToken.ThrowIfCancellationRequested();
        if (destination.IsEmpty)
        {
            // No range is empty in HTTP.
            var length = await client.LengthAsync(Prefix + name, cancellationToken).ConfigureAwait(false);
            ThrowIfMissing(name, length < 0);
            ThrowIfShort(name, position > length);
            return;
        }

        var filled = await client.ReadAsync(Prefix + name, position, destination, cancellationToken).ConfigureAwait(false);
        ThrowIfMissing(name, filled < 0);
        ThrowIfShort(name, filled < destination.Length);
    }

    public async ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken)
    {
        foreach (var name in names)
        {
            StoreNames.CheckBlob(name);
        }

        cancellationToken.ThrowIfCancellationRequested();
        await client.DeleteAsync([.. names.Select(name => Prefix + name)], cancellationToken).ConfigureAwait(false);
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(
        string prefix,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var found in client.ListAsync(Prefix + prefix, null, KeysPerPage, cancellationToken).ConfigureAwait(false))
        {
            var modified = new DateTimeOffset(found.LastModified.GetValueOrDefault().ToUniversalTime());
            yield return new BlobInfo(found.Key[Prefix.Length..], found.Size.GetValueOrDefault(), modified);
        }
    }

    private static void ThrowIfMissing(string name, bool isMissing)
    {
        if (isMissing)
        {
            throw new BlobMissingException(name, $"There is no object {name}.");
        }
    }

    private static void ThrowIfShort(string name, bool isShort)
    {
        if (isShort)
        {
            throw new BlobMissingException(name, $"Object {name} ends before the range that was to be read.");
        }
    }
}
