using System.Buffers;
using System.Runtime.CompilerServices;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Objects as files under <c>objects</c>, the parts of their names as directories.</summary>
internal sealed class FileBlobs(FileStoreContext context) : IBlobStore
{
    private readonly string _directory = Path.Combine(context.Directory, "objects");

    public async ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        var path = PathOf(name);
        await context.SharedIo
            .RunAsync(
                $"Writing {path}",
                () =>
                {
                    DurableFile.CreateDirectory(Path.GetDirectoryName(path)!);
                    context.Write(() => DurableFile.Replace(context.TemporaryDirectory, path, ReadOnlyMemory<byte>.Empty, content));
                    return true;
                },
                cancellationToken)
            .ConfigureAwait(false);
    }

    public async ValueTask ReadAsync(
        string name,
        long position,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        var path = PathOf(name);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            using var handle = File.OpenHandle(path);

            // The length afterwards: where pages are large, the end of a file that gets shorter, since it has been deleted, may be read as zeros.
            if (!await DurableFile.FillAsync(context.Readers, handle, destination, position, cancellationToken).ConfigureAwait(false)
                || position > RandomAccess.GetLength(handle) - destination.Length)
            {
                throw new BlobMissingException(name, $"Object {path} has fewer bytes than were to be read.");
            }
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BlobMissingException(name, $"There is no object {path}.");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw FileErrors.Translate($"Reading {path}", error);
        }
    }

    public async ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken)
    {
        var paths = new string[names.Count];
        for (var i = 0; i < paths.Length; i++)
        {
            paths[i] = PathOf(names[i]);
        }

        await context.SharedIo
            .RunAsync($"Deleting objects in {_directory}", () => Delete(paths, cancellationToken), cancellationToken)
            .ConfigureAwait(false);
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(
        string prefix,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        var found = await context.SharedIo
            .RunAsync(
                $"Listing {_directory}",
                () =>
                {
                    var list = new List<BlobInfo>();
                    Collect(_directory, string.Empty, prefix, list);
                    list.Sort(static (left, right) => string.CompareOrdinal(left.Name, right.Name));
                    return list;
                },
                cancellationToken)
            .ConfigureAwait(false);
        foreach (var info in found)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return info;
        }
    }

    // Not made durable: an object that comes back after a crash is found again by whoever sweeps.
    private bool Delete(string[] paths, CancellationToken cancellationToken)
    {
        foreach (var path in paths)
        {
            cancellationToken.ThrowIfCancellationRequested();
            context.FreedSpace.Take(UnlinkedFile.Delete(path));
        }

        return true;
    }

    private static void Collect(string directory, string namePrefix, string prefix, List<BlobInfo> list)
    {
        foreach (var entry in new DirectoryInfo(directory).EnumerateFileSystemInfos())
        {
            var name = namePrefix + entry.Name;
            if (entry is FileInfo file)
            {
                if (name.StartsWith(prefix, StringComparison.Ordinal))
                {
                    Add(list, name, file);
                }
            }
            else if (CanHold(name + "/", prefix))
            {
                Collect(entry.FullName, name + "/", prefix, list);
            }
        }
    }

    private static bool CanHold(string directoryName, string prefix) =>
        directoryName.StartsWith(prefix, StringComparison.Ordinal) || prefix.StartsWith(directoryName, StringComparison.Ordinal);

    private static void Add(List<BlobInfo> list, string name, FileInfo file)
    {
        try
        {
            list.Add(new BlobInfo(name, file.Length, new DateTimeOffset(file.LastWriteTimeUtc, TimeSpan.Zero)));
        }
        catch (FileNotFoundException)
        {
            // Deleted during the listing.
        }
    }

    private string PathOf(string name)
    {
        StoreNames.CheckBlob(name);
        return Path.Combine(_directory, name);
    }
}
