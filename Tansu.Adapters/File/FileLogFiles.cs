using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// The files of one log, oldest first; the last is the one written to. Readers take the array as it is at that moment; the writer adds
/// at its end and trimming takes from its start.
/// </summary>
internal sealed class FileLogFiles(FileStoreContext context, string name, string directory, LogFile[] initial, SpareLogFiles spares)
{
    private readonly Lock _gate = new();
    private readonly Lock _trimGate = new();
    private LogFile[] _files = initial;

    /// <summary>One that has been taken from the files, and could not be taken away. A younger one must not go before it.</summary>
    private LogFile? _unfinished;

    public string Name => name;

    public string Directory => directory;

    /// <summary>The number that the next entry will get.</summary>
    public long NextNumber => Volatile.Read(ref _files)[^1].NextNumber;

    /// <summary>The number of the first entry that has not been trimmed.</summary>
    public long FirstNumber => Volatile.Read(ref _files)[0].FirstNumber;

    public void Add(LogFile file)
    {
        lock (_gate)
        {
            Volatile.Write(ref _files, [.. _files, file]);
        }

        spares.NoteFilled();
    }

    /// <summary>Rents the file that has, or would have, an entry; null when the entry is not in the log.</summary>
    public async ValueTask<OpenLogFile?> RentAsync(long number, CancellationToken cancellationToken)
    {
        var files = Volatile.Read(ref _files);
        if (number < files[0].FirstNumber || number >= files[^1].NextNumber)
        {
            return null;
        }

        var file = files[IndexOf(files, number)];
        if (context.OpenFiles.TryRent(file) is { } open)
        {
            return open;
        }

        try
        {
            return await context.SharedIo
                .RunAsync($"Opening {file.Path}", () => context.OpenFiles.AddAndRent(OpenSealed(file)), cancellationToken)
                .ConfigureAwait(false);
        }
        catch (StoreRefusedException) when (number < FirstNumber)
        {
            // Trimmed since the look at the files: it is gone, or getting shorter.
            return null;
        }
    }

    /// <summary>Takes the sealed files away all of whose entries are below a number, oldest first.</summary>
    public bool Trim(long below, CancellationToken cancellationToken)
    {
        lock (_trimGate)
        {
            while ((_unfinished ?? TakeFirst(below)) is { } file)
            {
                _unfinished = file;
                context.OpenFiles.Drop(file);
                Remove(file);
                _unfinished = null;
                cancellationToken.ThrowIfCancellationRequested();
            }
        }

        return true;
    }

    private void Remove(LogFile file)
    {
        var spare = spares.TryRename(file);
        var deleted = spare is null ? UnlinkedFile.Delete(file.Path) : null;
        try
        {
            File.Delete(file.IndexPath);

            // One by one, so that a crash cannot leave an older file without a younger one: a gap.
            Libc.SyncDirectory(directory);
        }
        catch
        {
            deleted?.Dispose();
            throw;
        }

        if (spare is not null)
        {
            spares.Add(spare);
        }

        if (deleted is not null)
        {
            context.FreedSpace.Take(deleted);
        }
    }

    /// <summary>Closes all files.</summary>
    public void Close()
    {
        spares.Dispose();
        foreach (var file in Volatile.Read(ref _files))
        {
            context.OpenFiles.Drop(file);
        }
    }

    private LogFile? TakeFirst(long below)
    {
        lock (_gate)
        {
            if (_files.Length < 2 || _files[0].NextNumber > below)
            {
                return null;
            }

            var first = _files[0];
            Volatile.Write(ref _files, _files[1..]);
            return first;
        }
    }

    private OpenLogFile OpenSealed(LogFile file)
    {
        var handle = File.OpenHandle(file.Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            var index = SealedIndex.Load(context, name, file, handle);
            return index.Count == file.Count
                ? new OpenLogFile(file, handle, index)
                : throw FileErrors.Damaged(file.Path, index.End, $"it ends after entry {file.FirstNumber + index.Count - 1}");
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static int IndexOf(LogFile[] files, long number)
    {
        var low = 0;
        var high = files.Length - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (files[middle].FirstNumber <= number)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return low;
    }
}
