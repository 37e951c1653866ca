using Tansu.Adapters.Ports;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>Reads heads of consecutive entries from one file, past their payloads.</summary>
internal static class HeadReader
{
    /// <summary>After this many bytes of heads a caller has to ask again.</summary>
    private const long MaxBytesPerCall = 16 * 1024 * 1024;

    /// <summary>Heads this close together are read at once: the disk reads whole blocks anyway.</summary>
    private const int MaxGapBytes = 4096;

    private const int MaxBytesPerRead = 256 * 1024;

    /// <param name="readers">Where the disk is waited for.</param>
    /// <param name="open">The file, rented by the caller.</param>
    /// <param name="firstNumber">The number of an entry in the file.</param>
    /// <param name="maxEntries">How many at most.</param>
    /// <param name="cancellationToken">Abandons the read.</param>
    public static async ValueTask<IReadOnlyList<EntryHead>> ReadAsync(
        IoThreads readers,
        OpenLogFile open,
        long firstNumber,
        int maxEntries,
        CancellationToken cancellationToken)
    {
        var begin = (int)(firstNumber - open.File.FirstNumber);
        var end = (int)Math.Min(open.File.Count, (long)begin + maxEntries);
        var heads = new List<EntryHead>(end - begin);
        long bytes = 0;
        while (begin < end && bytes < MaxBytesPerCall)
        {
            var runEnd = RunEnd(open.Index, begin, end);
            bytes += await ReadRunAsync(readers, open, begin, runEnd, heads, cancellationToken).ConfigureAwait(false);
            begin = runEnd;
        }

        return heads;
    }

    /// <summary>How far entries can be read with one read: at least the first.</summary>
    private static int RunEnd(EntryIndex index, int begin, int end)
    {
        var start = index[begin].Position;
        var next = begin + 1;
        while (next < end
            && index[next - 1].PayloadLength <= MaxGapBytes
            && index[next].PayloadPosition - start <= MaxBytesPerRead)
        {
            next++;
        }

        return next;
    }

    private static async ValueTask<int> ReadRunAsync(
        IoThreads readers,
        OpenLogFile open,
        int begin,
        int end,
        List<EntryHead> heads,
        CancellationToken cancellationToken)
    {
        var start = open.Index[begin].Position;
        var buffer = GC.AllocateUninitializedArray<byte>((int)(open.Index[end - 1].PayloadPosition - start));
        var filled = await DurableFile.FillAsync(readers, open.Handle, buffer, start, cancellationToken).ConfigureAwait(false);
        for (var i = begin; i < end; i++)
        {
            var location = open.Index[i];
            var number = open.File.FirstNumber + i;
            var entry = buffer.AsMemory((int)(location.Position - start), EntryFrame.Size + location.HeadLength);
            if (!filled || !IsHeadOf(number, location, entry.Span))
            {
                throw FileErrors.Damaged(open.File.Path, location.Position, $"the head of entry {number} is not whole");
            }

            heads.Add(new EntryHead(number, entry[EntryFrame.Size..], location.PayloadLength));
        }

        return buffer.Length;
    }

    private static bool IsHeadOf(long number, EntryLocation location, ReadOnlySpan<byte> entry) =>
        EntryFrame.TryRead(entry, out var frame)
        && frame.Number == number
        && frame.HeadLength == location.HeadLength
        && frame.PayloadLength == location.PayloadLength
        && Crc32C.Append(EntryFrame.BeginHeadCrc(entry), entry[EntryFrame.Size..]) == frame.HeadCrc;
}
