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

    /// <summary>Parts them: what does not touch does not become one chunk.</summary>
    private static readonly byte[] Gap = [0];

    private static readonly int[] FirstPosition = [0];

    private readonly int[] _positions;

    private PayloadLayout(ReadOnlyMemory<byte>[] slices, int[] positions, int length)
    {
        Slices = slices;
        _positions = positions;
        Length = length;
    }

    /// <summary>Nothing at all.</summary>
    public static PayloadLayout Empty { get; } = new([], [], 0);

    /// <summary>The slices and the gaps, from the first byte to the last.</summary>
    public ReadOnlyMemory<byte>[] Slices { get; }

    /// <summary>The sum of their lengths, in bytes.</summary>
    public int Length { get; }

    /// <summary>Lays out the payloads of those commands for which <paramref name="isPlaced"/> says so, in their order.</summary>
    public static PayloadLayout Of<TCommand, TReply>(
        List<PendingCommand<TCommand, TReply>> commands,
        Predicate<PendingCommand<TCommand, TReply>> isPlaced)
    {
        var count = 0;
        foreach (var command in commands)
        {
            count += isPlaced(command) ? command.Payload.Slices.Length : 0;
        }

        if (count == 0)
        {
            return Empty;
        }

        var given = new ReadOnlyMemory<byte>[count];
        var order = new long[count];
        var next = 0;
        foreach (var command in commands)
        {
            var payload = isPlaced(command) ? command.Payload : Payload.None;
            for (var index = 0; index < payload.Slices.Length; index++)
            {
                given[next] = payload.Slices[index];
                order[next] = ((long)payload.GroupOf(index) << 32) | (uint)next;
                next++;
            }
        }

        if (count == 1)
        {
            return new PayloadLayout(given, FirstPosition, given[0].Length);
        }

        Array.Sort(order);
        return Of(given, order);
    }

    /// <summary>Where the slices of a command begin, in bytes.</summary>
    /// <param name="first">How many slices the commands before it have.</param>
    /// <param name="count">How many slices it has.</param>
    public ReadOnlyMemory<int> PositionsOf(int first, int count) => _positions.AsMemory(first, count);

    /// <param name="given">The slices in the order of their commands.</param>
    /// <param name="order">Which of them comes next, in the lower half; the upper half is its group.</param>
    private static PayloadLayout Of(ReadOnlyMemory<byte>[] given, long[] order)
    {
        var slices = new ReadOnlyMemory<byte>[given.Length];
        var positions = new int[given.Length];
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

        return new PayloadLayout(slices, positions, length);
    }
}
