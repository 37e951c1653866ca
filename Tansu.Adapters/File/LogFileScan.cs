using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>What comes after the last whole entry of a file.</summary>
internal enum Behind
{
    /// <summary>Nothing but the zeros that an entry is yet to be written over.</summary>
    Zeros,

    /// <summary>What the file had before it was given to the log again (<see cref="SpareLogFiles"/>).</summary>
    Older,

    /// <summary>Something else: an entry that is not whole.</summary>
    Torn,
}

/// <summary>What a check of a log file found.</summary>
/// <param name="Index">The whole entries from the file's start.</param>
/// <param name="FileId">The id of the file's entries; null when neither its beginning nor the head of its first entry tells it.</param>
/// <param name="Length">The file's length.</param>
/// <param name="Behind">What comes after the index's end.</param>
internal sealed record LogFileScan(EntryIndex Index, ulong? FileId, long Length, Behind Behind)
{
    /// <summary>Checks the entries of a file from its start to the first that is not whole.</summary>
    /// <param name="path">For error messages.</param>
    /// <param name="handle">The file.</param>
    /// <param name="firstNumber">The number the first entry must have.</param>
    /// <param name="withPayloads">Whether payloads are checked too, which reads all of the file.</param>
    /// <exception cref="Ports.StoreRefusedException">An entry is whole and yet not one that can be here.</exception>
    public static LogFileScan Read(string path, SafeFileHandle handle, long firstNumber, bool withPayloads)
    {
        var window = new FileWindow(handle);
        var isOver = EntryFrame.IsBeginning(window.At(0, EntryFrame.Size), out var beginning);
        if (isOver && beginning.Number != firstNumber)
        {
            throw FileErrors.Damaged(path, 0, $"it begins as one whose first entry is {beginning.Number}");
        }

        var index = new EntryIndex(isOver ? EntryFrame.BeginningBytes : 0);
        ulong? fileId = isOver ? beginning.FileId : null;
        while (TryReadEntry(window, index.End, out var frame))
        {
            var position = index.End;
            if (isOver && frame.FileId != fileId)
            {
                break;
            }

            if (frame.Version != EntryFrame.CurrentVersion)
            {
                throw new Ports.StoreRefusedException(
                    $"{path} holds an entry of format {frame.Version} at byte {position}, which this version cannot read; use the newer version that wrote it.");
            }

            if (frame.Number != firstNumber + index.Count || (fileId ?? frame.FileId) != frame.FileId)
            {
                throw FileErrors.Damaged(path, position, $"it holds entry {frame.Number} where entry {firstNumber + index.Count} belongs");
            }

            var location = new EntryLocation(position, frame.HeadLength, frame.PayloadLength);
            if (withPayloads && window.Crc(0, location.PayloadPosition, location.PayloadLength) != frame.PayloadCrc)
            {
                break;
            }

            fileId = frame.FileId;
            index.Add(location);
        }

        // A first entry that is not whole still tells the file's id, if its head is: what its payload holds, by chance or by intent, is not taken for what came after it.
        if (fileId is null && TryReadHead(window, index.End, out var torn) && torn.Number == firstNumber)
        {
            fileId = torn.FileId;
        }

        return new LogFileScan(index, fileId, window.Length, LookBehind(window, index.End, isOver ? fileId : null));
    }

    /// <summary>
    /// Looks for a whole head after the place where the whole entries end. Entries are written one at a time, each only after the
    /// one before it is durable: a write that never completed has nothing after it, damage has. A first entry that is where it would be after a beginning is there because
    /// the beginning was, and is damaged.
    /// </summary>
    /// <returns>Number and position of the entry found, or null.</returns>
    public (long Number, long Position)? FindEntryAfterDamage(SafeFileHandle handle, long firstNumber)
    {
        var window = new FileWindow(handle);
        var damagedNumber = firstNumber + Index.Count;
        var position = Index.End + 1;
        while (position < window.Length)
        {
            var part = window.From(position, EntryFrame.Size);
            var offset = part.IndexOf(EntryFrame.Magic);
            if (offset < 0)
            {
                // The magic may lie across the end of this part.
                position += Math.Max(1, part.Length - EntryFrame.Magic.Length + 1);
                continue;
            }

            position += offset;
            if (EntryFrame.TryRead(window.At(position, EntryFrame.Size), out var frame)
                && (frame.Number > damagedNumber || (frame.Number == damagedNumber && Index.Count == 0 && position == EntryFrame.BeginningBytes))
                && (FileId ?? frame.FileId) == frame.FileId
                && TryReadEntry(window, position, out _))
            {
                return (frame.Number, position);
            }

            position++;
        }

        return null;
    }

    /// <param name="window">The file.</param>
    /// <param name="end">Where its whole entries end.</param>
    /// <param name="overId">The id of the file's entries if it is written over.</param>
    private static Behind LookBehind(FileWindow window, long end, ulong? overId)
    {
        if (window.IsZeroFrom(end))
        {
            return Behind.Zeros;
        }

        var isOwn = EntryFrame.TryRead(window.At(end, EntryFrame.Size), out var frame) && frame.FileId == overId;
        return overId is null || isOwn ? Behind.Torn : Behind.Older;
    }

    /// <summary>Whether a frame with a whole head is at a position, and the entry is not longer than the file.</summary>
    private static bool TryReadEntry(FileWindow window, long position, out EntryFrame frame) =>
        TryReadHead(window, position, out frame) && frame.EntryBytes <= window.Length - position;

    /// <summary>Whether a frame with a whole head is at a position.</summary>
    private static bool TryReadHead(FileWindow window, long position, out EntryFrame frame)
    {
        var bytes = window.At(position, EntryFrame.Size);
        return EntryFrame.TryRead(bytes, out frame)
            && frame.HeadLength <= window.Length - position - EntryFrame.Size
            && window.Crc(EntryFrame.BeginHeadCrc(bytes), position + EntryFrame.Size, frame.HeadLength) == frame.HeadCrc;
    }
}
