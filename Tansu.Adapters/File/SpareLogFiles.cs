using Microsoft.Win32.SafeHandles;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// The files of one log whose entries have all been trimmed (<c>&lt;number of the first of them&gt;.spare</c>), for the log to go on in: entries that are written over older bytes
/// take no new space, so that their fdatasync has nothing to note down in the file system, and none is freed, of which the disk would have to be told. As many are kept as the
/// log has filled lately. Any thread.
/// </summary>
/// <remarks>
/// Such a file begins with a frame that has the number of its first entry and a new file id (<see cref="EntryFrame.WriteBeginning"/>), durable before the file gets its name. What
/// it had before has other ids, and cannot be taken for an entry, whatever clients have written.
/// </remarks>
internal sealed class SpareLogFiles : IDisposable
{
    /// <summary>What "lately" is.</summary>
    public static readonly TimeSpan Lately = TimeSpan.FromMinutes(5);

    private const string Suffix = ".spare";

    private readonly Lock _gate = new();
    private readonly FileStoreContext _context;
    private readonly TimeProvider _clock;
    private readonly ITimer _timer;

    /// <summary>The paths; the last is used first, since most of it is likely to be in the kernel's memory.</summary>
    private readonly List<string> _paths = [];

    /// <summary>When files were filled, as timestamps.</summary>
    private readonly Queue<long> _filled = new();

    private (string Path, ulong FileId)? _given;

    /// <param name="context">The store.</param>
    /// <param name="directory">The log's. What was left there before is kept as if it had been filled now.</param>
    public SpareLogFiles(FileStoreContext context, string directory)
    {
        _context = context;
        _clock = context.Options.TimeProvider;
        _timer = _clock.CreateTimer(_ => Begin(DropSurplus), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (context.Options.IsReadOnly)
        {
            return;
        }

        foreach (var path in Directory.EnumerateFiles(directory, "*" + Suffix))
        {
            if (!IsInLog(path))
            {
                _paths.Add(path);
                NoteFilled();
            }
        }

        _paths.Sort(StringComparer.Ordinal);
        LookAgainLater();
        context.Full += OnFull;
    }

    /// <summary>The log goes on in another file.</summary>
    public void NoteFilled()
    {
        lock (_gate)
        {
            _filled.Enqueue(_clock.GetTimestamp());
            ForgetEarlier();
        }
    }

    /// <summary>Takes its name from a file that no longer belongs to the log. It becomes a spare file with <see cref="Add"/>.</summary>
    /// <returns>Its path; null if it is of no use, and as it was.</returns>
    public string? TryRename(LogFile file)
    {
        if (!IsWanted() || !IsUsable(file.Path))
        {
            return null;
        }

        var spare = Path.ChangeExtension(file.Path, Suffix);
        try
        {
            File.Move(file.Path, spare, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A longer name takes room in the directory; to delete it takes none.
            return null;
        }

        // After a power failure a file may have had both names, and has both still.
        return File.Exists(file.Path) ? null : spare;
    }

    /// <summary>Keeps a file whose new name is durable: until then, a power failure may give it back to the log.</summary>
    public void Add(string spare)
    {
        lock (_gate)
        {
            _paths.Add(spare);
        }

        LookAgainLater();
    }

    /// <summary>Gives the log a file as its next one, ready for its first entry.</summary>
    /// <returns>The id for the file's entries; null if there is none. The same again if what came after that has failed.</returns>
    public ulong? TryGive(LogFile next)
    {
        if (_given?.Path == next.Path)
        {
            return _given.Value.FileId;
        }

        while (!File.Exists(next.Path) && TryTake() is { } spare)
        {
            var fileId = FileLogWriter.NewFileId();
            if (IsUsable(spare) && TryBegin(spare, next, fileId))
            {
                _given = (next.Path, fileId);
                return fileId;
            }

            Drop(spare);
        }

        return null;
    }

    /// <summary>Leaves those that there are where they are.</summary>
    public void Dispose()
    {
        _context.Full -= OnFull;
        _timer.Dispose();
    }

    /// <summary>
    /// Whether a file is neither too short nor too long. One that has a second name, such as a copy of the store made with hard links, must keep what it has.
    /// </summary>
    private bool IsUsable(string path)
    {
        try
        {
            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var length = RandomAccess.GetLength(handle);
            return length >= Math.Max(_context.Options.FileRollBytes / 2, 2 * EntryFrame.BeginningBytes)
                && length <= _context.Options.FileRollBytes
                && Libc.CountNames(handle) == 1;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>
    /// Whether a file is one of the log's as well, by the name that it had or by the one that it was to get: some file systems may have both names after a power failure.
    /// </summary>
    private static bool IsInLog(string spare)
    {
        if (File.Exists(Path.ChangeExtension(spare, LogFile.Suffix)))
        {
            return true;
        }

        using var handle = File.OpenHandle(spare, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        Span<byte> bytes = stackalloc byte[EntryFrame.Size];
        return DurableFile.Fill(handle, bytes, 0)
            && EntryFrame.IsBeginning(bytes, out var beginning)
            && File.Exists(new LogFile(Path.GetDirectoryName(spare)!, beginning.Number).Path);
    }

    private bool TryBegin(string spare, LogFile next, ulong fileId)
    {
        try
        {
            using (SafeFileHandle handle = FileLogWriter.OpenForWriting(spare))
            {
                _context.Disk.Write(handle, [EntryFrame.WriteBeginning(next.FirstNumber, fileId)], 0);
                _context.Disk.SyncData(handle);
            }

            File.Move(spare, next.Path, overwrite: true);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private void Drop(string spare)
    {
        try
        {
            _context.FreedSpace.Take(UnlinkedFile.Delete(spare));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            _context.Notice($"{spare} is not needed any more and cannot be deleted: {error.Message}");
        }
    }

    private void OnFull() => Begin(DropAll);

    private void Begin(Action dropping)
    {
        try
        {
            // Does not fail: what cannot be deleted is left, with a notice.
            _ = _context.SharedIo.RunAsync(
                "Deleting log files that are not needed any more",
                () =>
                {
                    dropping();
                    return true;
                },
                CancellationToken.None);
        }
        catch (Exception error) when (error is ObjectDisposedException or StoreUnavailableException)
        {
            // The store is being closed, or there is no thread: the next start finds them.
        }
    }

    /// <summary>Deletes what has not been used for so long that the log does not seem to need it.</summary>
    private void DropSurplus()
    {
        while (TryTakeSurplus() is { } spare)
        {
            Drop(spare);
        }

        LookAgainLater();
    }

    /// <summary>What else is to be written needs the room more; none is kept until more files have been filled.</summary>
    private void DropAll()
    {
        lock (_gate)
        {
            _filled.Clear();
        }

        DropSurplus();
    }

    private bool IsWanted()
    {
        lock (_gate)
        {
            ForgetEarlier();
            return _paths.Count < _filled.Count;
        }
    }

    private string? TryTake()
    {
        lock (_gate)
        {
            return _paths.Count == 0 ? null : RemoveAt(_paths.Count - 1);
        }
    }

    private string? TryTakeSurplus()
    {
        lock (_gate)
        {
            ForgetEarlier();
            return _paths.Count <= _filled.Count ? null : RemoveAt(0);
        }
    }

    private string RemoveAt(int index)
    {
        var path = _paths[index];
        _paths.RemoveAt(index);
        return path;
    }

    private void ForgetEarlier()
    {
        while (_filled.TryPeek(out var filled) && _clock.GetElapsedTime(filled) >= Lately)
        {
            _filled.Dequeue();
        }
    }

    private void LookAgainLater()
    {
        lock (_gate)
        {
            if (_paths.Count > 0)
            {
                _timer.Change(Lately, Timeout.InfiniteTimeSpan);
            }
        }
    }
}
