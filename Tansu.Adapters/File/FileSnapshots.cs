using System.Buffers;
using System.Globalization;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>The snapshots of one log: files named <c>snapshot-&lt;number, 20 digits&gt;</c>, of which the two newest are kept.</summary>
internal sealed class FileSnapshots(FileStoreContext context, string logName, string directory)
{
    private const int Kept = 2;
    private const int NumberDigits = 20;
    private const string Prefix = "snapshot-";

    private readonly Lock _gate = new();

    public bool Save(long number, ReadOnlySequence<byte> content)
    {
        lock (_gate)
        {
            context.Write(() => ChecksummedFile.Write(context.TemporaryDirectory, PathOf(number), FileKind.Snapshot, number, 0, content));
            var numbers = Numbers();
            for (var i = Kept; i < numbers.Count; i++)
            {
                context.FreedSpace.Take(UnlinkedFile.Delete(PathOf(numbers[i])));
            }

            return true;
        }
    }

    public Snapshot? Load(long belowNumber)
    {
        lock (_gate)
        {
            foreach (var number in Numbers())
            {
                if (number >= belowNumber)
                {
                    continue;
                }

                if (ChecksummedFile.Read(PathOf(number), FileKind.Snapshot) is { } read && read.Header.Number == number)
                {
                    return new Snapshot(number, read.Content);
                }

                context.Notice($"Log {logName}: the snapshot {PathOf(number)} is damaged; an older one is used, or the log from its start.");
            }

            return null;
        }
    }

    /// <summary>The number of the newest snapshot, damaged or not; 0 when there is none.</summary>
    public long NewestNumber()
    {
        var numbers = Numbers();
        return numbers.Count == 0 ? 0 : numbers[0];
    }

    private string PathOf(long number) =>
        Path.Combine(directory, Prefix + number.ToString(CultureInfo.InvariantCulture).PadLeft(NumberDigits, '0'));

    /// <summary>Newest first.</summary>
    private List<long> Numbers()
    {
        var numbers = new List<long>();
        foreach (var path in Directory.EnumerateFiles(directory, Prefix + "*"))
        {
            var digits = Path.GetFileName(path.AsSpan())[Prefix.Length..];
            if (digits.Length == NumberDigits
                && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                numbers.Add(number);
            }
        }

        numbers.Sort(static (left, right) => right.CompareTo(left));
        return numbers;
    }
}
