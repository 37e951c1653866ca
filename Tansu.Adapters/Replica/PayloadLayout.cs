using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>
/// Where the record batches of several commands come to lie in an entry's payload or a data object: those of one group side by side, in the order of their
/// commands, so that what a partition gets becomes one chunk, or a few. Which offsets the batches get does not depend on it.
/// </summary>
internal sealed class PayloadLayout
{
    /// <summary>Longer runs are parted, as compactors part them: a chunk is read as a whole, and several of them side by side.</summary>
    private static readonly int MaxRunBytes = CompactionLimits.Default.MaxChunkBytes;

    private PayloadLayout(ReadOnlyMemory<byte>[] slices, int length)
    {
        Slices = slices;
        Length = length;
    }

    /// <summary>Parts what must not become one chunk, because it touches.</summary>
    public static ReadOnlyMemory<byte> Gap { get; } = new byte[1];

    /// <summary>Nothing at all.</summary>
    public static PayloadLayout Empty { get; } = new([], 0);

    /// <summary>The slices and the gaps, from the first byte to the last.</summary>
    public ReadOnlyMemory<byte>[] Slices { get; }

    /// <summary>The sum of their lengths, in bytes.</summary>
    public int Length { get; }

    /// <summary>Lays out the payloads of those commands that are to have a place, and tells each of them where its slices begin.</summary>
    public static PayloadLayout Of<TCommand, TReply>(List<PendingCommand<TCommand, TReply>> commands)
    {
        var count = 0;
        foreach (var command in commands)
        {
            count += command.IsPlaced ? command.Payload.Slices.Length : 0;
        }

        if (count == 0)
        {
            return Empty;
        }

        var given = new ReadOnlyMemory<byte>[count];
        var order = new long[count];
        var positions = new int[count];
        var next = 0;
        foreach (var command in commands)
        {
            if (!command.IsPlaced)
            {
                continue;
            }

            var payload = command.Payload;
            command.Positions = positions.AsMemory(next, payload.Slices.Length);
            for (var index = 0; index < payload.Slices.Length; index++)
            {
                given[next] = payload.Slices[index];
                order[next] = ((long)payload.GroupOf(index) << 32) | (uint)next;
                next++;
            }
        }

        if (count == 1)
        {
            return new PayloadLayout(given, given[0].Length);
        }

        Array.Sort(order);
        return Of(given, order, positions);
    }

    /// <param name="given">The slices in the order of their commands.</param>
    /// <param name="order">Which of them comes next, in the lower half; the upper half is its group.</param>
    /// <param name="positions">Where each of them begins: to be filled.</param>
    private static PayloadLayout Of(ReadOnlyMemory<byte>[] given, long[] order, int[] positions)
    {
        var slices = new ReadOnlyMemory<byte>[given.Length];
        var count = 0;
        var length = 0;
        var run = 0;
        for (var index = 0; index < order.Length; index++)
        {
            var from = (int)order[index];
            var isOfRun = index > 0 && order[index] >> 32 == order[index - 1] >> 32;
            if (isOfRun && run + given[from].Length > MaxRunBytes)
            {
                Array.Resize(ref slices, slices.Length + 1);
                slices[count++] = Gap;
                length++;
                isOfRun = false;
            }

            slices[count++] = given[from];
            positions[from] = length;
            length = checked(length + given[from].Length);
            run = (isOfRun ? run : 0) + given[from].Length;
        }

        return new PayloadLayout(slices, length);
    }
}
