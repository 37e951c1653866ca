using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>The index file of a sealed log file. It only saves a scan: one that is missing, damaged or of another length is made again.</summary>
internal static class SealedIndex
{
    public static void Save(FileStoreContext context, LogFile file, EntryIndex index) =>
        context.Write(() => ChecksummedFile.Write(
            context.TemporaryDirectory,
            file.IndexPath,
            FileKind.Index,
            file.FirstNumber,
            index.End,
            new ReadOnlySequence<byte>(index.ToBytes())));

    /// <summary>How many entries a sealed file has, by its index's header; null when that cannot be trusted.</summary>
    public static long? TryCount(LogFile file)
    {
        var header = ChecksummedFile.ReadHeader(file.IndexPath, FileKind.Index);
        return header is { } found && found.Number == file.FirstNumber && found.Covers == new FileInfo(file.Path).Length
            ? EntryIndex.CountIn(found.ContentLength)
            : null;
    }

    /// <summary>The index of a sealed file, from its index file or else by a scan of the heads.</summary>
    /// <exception cref="Ports.StoreRefusedException">The log file is damaged.</exception>
    public static EntryIndex Load(FileStoreContext context, string logName, LogFile file, SafeFileHandle handle)
    {
        if (TryCount(file) is not null && ChecksummedFile.Read(file.IndexPath, FileKind.Index) is { } read)
        {
            return EntryIndex.FromBytes(read.Content);
        }

        var scan = LogFileScan.Read(file.Path, handle, file.FirstNumber, withPayloads: false);
        if (scan.Behind != Behind.Zeros)
        {
            throw FileErrors.Damaged(file.Path, scan.Index.End, $"entry {file.FirstNumber + scan.Index.Count} is not whole");
        }

        if (context.Options.IsReadOnly)
        {
            return scan.Index;
        }

        Save(context, file, scan.Index);
        context.Notice($"Log {logName}: the index {file.IndexPath} was missing or damaged and has been made again.");
        return scan.Index;
    }
}
