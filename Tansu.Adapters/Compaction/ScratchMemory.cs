namespace Tansu.Adapters.Compaction;

/// <summary>
/// Memory for records that a compactor reads, writes and forgets, a megabyte at a time. One thread.
/// </summary>
/// <param name="blocks">Where it comes from and goes to.</param>
internal sealed class ScratchMemory(NativeBlocks blocks) : IDisposable
{
    /// <summary>What is taken at once when more is expected.</summary>
    private const int SlabBytes = 1024 * 1024;

    /// <summary>What is longer has a block to itself, so that at most a quarter of a slab stays unused.</summary>
    private const int MostInSlabBytes = SlabBytes / 4;

    private readonly List<NativeBlock> _blocks = [];
    private Memory<byte> _free;
    private long _expectedBytes;

    /// <summary>Says how much will be taken from now on, so that a little does not take a megabyte.</summary>
    public void Expect(long bytes) => _expectedBytes = bytes;

    /// <summary>Memory that is the caller's until this is disposed, with anything in it.</summary>
    /// <exception cref="OutOfMemoryException">There is none.</exception>
    public Memory<byte> Take(int length)
    {
        var expected = _expectedBytes;
        _expectedBytes = Math.Max(0, _expectedBytes - length);
        if (length > MostInSlabBytes)
        {
            return Add(length)[..length];
        }

        if (_free.Length < length)
        {
            _free = Add((int)Math.Max(length, Math.Min(expected, SlabBytes)));
        }

        var taken = _free[..length];
        _free = _free[length..];
        return taken;
    }

    /// <summary>Gives everything back; nothing that was taken may be used any more.</summary>
    public void Dispose()
    {
        foreach (var block in _blocks)
        {
            blocks.Return(block);
        }

        _blocks.Clear();
        _free = default;
    }

    private Memory<byte> Add(int length)
    {
        var block = blocks.Rent(length);
        _blocks.Add(block);
        return block.Memory;
    }
}
