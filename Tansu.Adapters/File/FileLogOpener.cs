using Microsoft.Win32.SafeHandles;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Opens a log: checks that its files follow one another without gaps, and that the last is whole, of which the end of a write that
/// never completed is cut.
/// </summary>
internal sealed class FileLogOpener(FileStoreContext context, string name)
{
    private readonly string _directory = Path.Combine(context.Directory, name);

    public FileEventLog Open()
    {
        var files = List();

        // First of all: what follows may need the room that they take.
        var spares = new SpareLogFiles(context, _directory);
        try
        {
            return Open(files, spares);
        }
        catch
        {
            spares.Dispose();
            throw;
        }
    }

    private List<LogFile> List()
    {
        if (!context.Options.IsReadOnly)
        {
            DurableFile.CreateDirectory(_directory);
            LogFile.DeleteOrphanIndexes(_directory);
        }
        else if (!Directory.Exists(_directory) || LogFile.List(_directory).Count == 0)
        {
            throw new StoreRefusedException($"There is no log {name} in {context.Directory}.");
        }

        return LogFile.List(_directory);
    }

    private FileEventLog Open(List<LogFile> found, SpareLogFiles spares)
    {
        for (var i = 0; i < found.Count - 1; i++)
        {
            CheckSealed(found[i], found[i + 1]);
        }

        var (active, scan) = OpenActive(found);
        try
        {
            var snapshots = new FileSnapshots(context, name, _directory);
            CheckSnapshots(snapshots, active.File);
            if (found.Count == 0)
            {
                found.Add(active.File);
            }

            context.OpenFiles.AddActive(active);
            var files = new FileLogFiles(context, name, _directory, [.. found], spares);
            return new FileEventLog(context, files, new FileLogWriter(context, files, spares, active, scan), snapshots);
        }
        catch
        {
            context.OpenFiles.Drop(active.File);
            active.Handle.Dispose();
            throw;
        }
    }

    private void CheckSealed(LogFile file, LogFile next)
    {
        file.Count = SealedIndex.TryCount(file) ?? Scan(file);
        if (file.NextNumber != next.FirstNumber)
        {
            throw new StoreRefusedException(
                $"Log {name} has a gap: {file.Path} ends with entry {file.NextNumber - 1} and the next file begins with {next.FirstNumber}. Restore the log's directory from a copy.");
        }
    }

    private long Scan(LogFile file)
    {
        using var handle = File.OpenHandle(file.Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        return SealedIndex.Load(context, name, file, handle).Count;
    }

    private (OpenLogFile Active, LogFileScan? Scan) OpenActive(List<LogFile> found)
    {
        if (found.Count == 0)
        {
            return (FileLogWriter.Create(context, new LogFile(_directory, 1)), null);
        }

        var file = found[^1];
        var handle = FileLogWriter.OpenForWriting(file.Path);
        try
        {
            // A broker that was killed may have left the newest entry in the kernel's memory only, or, after a failed sync, in pages
            // that the kernel wrongly calls clean. What is checked here must be what the disk has.
            context.Disk.SyncData(handle);
            Libc.DropCache(handle);
            var scan = LogFileScan.Read(file.Path, handle, file.FirstNumber, withPayloads: true);
            if (scan.Behind != Behind.Zeros)
            {
                LookBehindEnd(file, handle, scan);
            }

            file.Count = scan.Index.Count;
            return (new OpenLogFile(file, handle, scan.Index), scan);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Cuts what is behind the last whole entry, unless that is what the file had before.</summary>
    private void LookBehindEnd(LogFile file, SafeFileHandle handle, LogFileScan scan)
    {
        var end = scan.Index.End;
        var damagedNumber = file.FirstNumber + scan.Index.Count;
        if (scan.FindEntryAfterDamage(handle, file.FirstNumber) is { } after)
        {
            throw FileErrors.Damaged(
                file.Path,
                end,
                $"entry {damagedNumber} is not whole, and entry {after.Number} at byte {after.Position} after it is");
        }

        if (scan.Behind == Behind.Older)
        {
            return;
        }

        if (context.Options.IsReadOnly)
        {
            context.Notice($"Log {name}: entry {damagedNumber} in {file.Path} is not whole: its write was never completed, and a broker will cut it.");
            return;
        }

        context.Disk.Truncate(handle, end);
        context.Disk.SyncData(handle);
        context.Notice(
            $"Log {name}: cut {scan.Length - end} bytes from {file.Path} after byte {end}: the write of entry {damagedNumber} was never completed.");
    }

    private void CheckSnapshots(FileSnapshots snapshots, LogFile active)
    {
        var newest = snapshots.NewestNumber();
        if (newest >= active.NextNumber)
        {
            throw new StoreRefusedException(
                $"Log {name} in {_directory} ends with entry {active.NextNumber - 1}, but there is a snapshot of the state after entry {newest}: log files are missing or were cut. Restore the log's directory from a copy.");
        }
    }
}
