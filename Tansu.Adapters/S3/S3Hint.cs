using System.Buffers;
using System.Buffers.Binary;

namespace Tansu.Adapters;

/// <summary>What <c>&lt;log&gt;/hint</c> says. It only ever grows: it is replaced by compare-and-swap alone.</summary>
/// <param name="Newest">Number of the newest snapshot; 0 when there is none.</param>
/// <param name="Older">Number of the one before; 0 when there is none.</param>
/// <param name="Oldest">Number of the one before that; 0 when there is none.</param>
/// <param name="TrimBelow">Entries below this number are trimmed: nobody may read or create them, and they get deleted. At least 1.</param>
/// <param name="AnnouncedMs">
/// When that was announced, by the store's clock, in milliseconds since 1970; 0: by this very version of the object, whose last-modified time
/// is the answer. So the time is always the store's own and never earlier than the announcement, even if its writer was paused.
/// </param>
internal sealed record S3Hint(long Newest, long Older, long Oldest, long TrimBelow, long AnnouncedMs)
{
    private const int Size = 5 * sizeof(long);

    /// <summary>What holds while there is no hint.</summary>
    public static S3Hint None { get; } = new(0, 0, 0, 1, 0);

    /// <summary>The snapshots it names, newest first.</summary>
    public IEnumerable<long> Snapshots => new[] { Newest, Older, Oldest }.Where(static number => number > 0);

    /// <summary>The same with one more snapshot, of which only the newest three stay.</summary>
    public S3Hint WithSnapshot(long number)
    {
        long[] kept = [.. Snapshots.Append(number).Distinct().OrderDescending(), 0, 0, 0];
        return this with { Newest = kept[0], Older = kept[1], Oldest = kept[2] };
    }

    public byte[] Encode()
    {
        var head = new byte[Size];
        long[] fields = [Newest, Older, Oldest, TrimBelow, AnnouncedMs];
        for (var i = 0; i < fields.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(head.AsSpan(i * sizeof(long)), fields[i]);
        }

        return S3Frame.Make(S3Kind.Hint, Newest, new ReadOnlySequence<byte>(head), ReadOnlySequence<byte>.Empty);
    }

    /// <summary>Null when it is damaged, or of a format that is not known.</summary>
    public static S3Hint? Decode(byte[] content)
    {
        if (S3Frame.Open(content, S3Kind.Hint, null) is not { Length: Size } head)
        {
            return null;
        }

        long Field(int index) => BinaryPrimitives.ReadInt64LittleEndian(head.Span[(index * sizeof(long))..]);
        return new S3Hint(Field(0), Field(1), Field(2), Field(3), Field(4));
    }
}
