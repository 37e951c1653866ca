using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// A cluster in a local directory (<c>file:///var/lib/tansu</c>, <c>file://./tansu-data</c>), for one broker process, which a lock file sees
/// to. The format is described in <c>docs/storage-file.md</c>.
/// </summary>
public sealed class FileStore : IStore
{
    private const string ClusterFile = "cluster";

    private readonly FileStoreContext _context;
    private readonly DirectoryLock _lock;
    private readonly Lock _clusterGate = new();
    private readonly Lock _logsGate = new();
    private readonly Dictionary<string, Task<FileEventLog>> _logs = new(StringComparer.Ordinal);
    private bool _disposed;

    private FileStore(FileStoreContext context, DirectoryLock directoryLock)
    {
        _context = context;
        _lock = directoryLock;
        Blobs = new FileBlobs(context);
    }

    /// <inheritdoc/>
    public string Description => $"file {_context.Directory}";

    /// <inheritdoc/>
    public StoreLimits Limits { get; } = new(8 * 1024 * 1024, TimeSpan.Zero)
    {
        IsShared = false,

        // The start has gone over the newest file anyway, and each snapshot's syncs are felt by the commits of that moment.
        SnapshotEveryEntries = 4096,
    };

    /// <inheritdoc/>
    public IBlobStore Blobs { get; }

    /// <summary>Opens a directory, creating it if need be, and locks it until the store is disposed.</summary>
    /// <param name="directory">Absolute, or relative to the working directory.</param>
    /// <param name="options">What the caller may choose.</param>
    /// <param name="cancellationToken">Abandons the opening.</param>
    /// <exception cref="StoreRefusedException">Another broker holds it, or it cannot be written to.</exception>
    public static Task<FileStore> OpenAsync(string directory, StoreOptions options, CancellationToken cancellationToken) =>
        OpenAsync(directory, options, new Disk(), cancellationToken);

    internal static async Task<FileStore> OpenAsync(
        string directory,
        StoreOptions options,
        Disk disk,
        CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentNullException.ThrowIfNull(options);
        var context = new FileStoreContext(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)), options, disk);
        try
        {
            return await context.SharedIo
                .RunAsync($"Opening {context.Directory}", () => Open(context), cancellationToken)
                .ConfigureAwait(false);
        }
        catch
        {
            await context.StopThreadsAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken)
    {
        StoreNames.CheckLog(name);
        Task<FileEventLog> opening;
        lock (_logsGate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_logs.TryGetValue(name, out opening!) || IsGone(opening))
            {
                // Not with the caller's token: others may be waiting for the same log.
                opening = _context.SharedIo.RunAsync(
                    $"Opening log {name} in {_context.Directory}",
                    () => new FileLogOpener(_context, name).Open(),
                    CancellationToken.None);
                _logs[name] = opening;
            }
        }

        return await opening.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(
        ReadOnlyMemory<byte> proposed,
        CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfZero(proposed.Length, nameof(proposed));
        var path = Path.Combine(_context.Directory, ClusterFile);
        return new ValueTask<ReadOnlyMemory<byte>>(_context.SharedIo.RunAsync(
            $"Reading or creating {path}",
            () => GetOrCreateCluster(path, proposed),
            cancellationToken));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task<FileEventLog>[] logs;
        lock (_logsGate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            logs = [.. _logs.Values];
        }

        await _context.StopThreadsAsync().ConfigureAwait(false);
        foreach (var opening in logs)
        {
            // All of them have ended, with the threads they ran on.
            if (opening.IsCompletedSuccessfully)
            {
                await (await opening.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
            }
        }

        _context.OpenFiles.DropSealed();
        _lock.Dispose();
    }

    private static FileStore Open(FileStoreContext context)
    {
        if (File.Exists(context.Directory))
        {
            throw new StoreRefusedException($"{context.Directory} is a file; name a directory, which is created if need be.");
        }

        if (context.Options.IsReadOnly)
        {
            return File.Exists(Path.Combine(context.Directory, ClusterFile))
                ? new FileStore(context, DirectoryLock.Take(context.Directory, isReadOnly: true))
                : throw new StoreRefusedException($"{context.Directory} holds no cluster.");
        }

        DurableFile.CreateDirectory(context.Directory);
        var directoryLock = DirectoryLock.Take(context.Directory);
        try
        {
            DurableFile.CreateDirectory(Path.Combine(context.Directory, "objects"));
            DurableFile.CreateDirectory(context.TemporaryDirectory);
            foreach (var leftover in Directory.EnumerateFiles(context.TemporaryDirectory))
            {
                File.Delete(leftover);
            }

            return new FileStore(context, directoryLock);
        }
        catch
        {
            directoryLock.Dispose();
            throw;
        }
    }

    /// <summary>Whether a log has to be opened anew: it failed to open, or has been disposed.</summary>
    private static bool IsGone(Task<FileEventLog> opening) =>
        opening.IsCompleted && (!opening.IsCompletedSuccessfully || opening.GetAwaiter().GetResult().IsClosed);

    private ReadOnlyMemory<byte> GetOrCreateCluster(string path, ReadOnlyMemory<byte> proposed)
    {
        // Within this process the gate, and against others the directory's lock, makes reading and creating one step.
        lock (_clusterGate)
        {
            if (!File.Exists(path))
            {
                ChecksummedFile.Write(
                    _context.TemporaryDirectory,
                    path,
                    FileKind.Cluster,
                    0,
                    0,
                    new ReadOnlySequence<byte>(proposed));
            }

            return ChecksummedFile.Read(path, FileKind.Cluster) is { } read
                ? read.Content
                : throw FileErrors.Damaged(path, 0, "its checksum does not match");
        }
    }
}
