using System.Buffers;

namespace Tansu.Adapters.Replica;

/// <summary>Lays slices end to end without copying them.</summary>
internal static class Sequences
{
    public static ReadOnlySequence<byte> Of(ReadOnlySpan<ReadOnlyMemory<byte>> slices)
    {
        if (slices.IsEmpty)
        {
            return ReadOnlySequence<byte>.Empty;
        }

        if (slices.Length == 1)
        {
            return new ReadOnlySequence<byte>(slices[0]);
        }

        var first = new Segment(slices[0], 0);
        var last = first;
        foreach (var slice in slices[1..])
        {
            last = last.Append(slice);
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long runningIndex)
        {
            Memory = memory;
            RunningIndex = runningIndex;
        }

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Segment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
