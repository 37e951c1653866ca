namespace Tansu.Adapters.Compaction;

/// <summary>
/// Memory for records that a compactor reads, writes and forgets, a megabyte at a time. One thread.
/// </summary>
internal sealed class RentedMemory : IDisposable
{
    /// <summary>What is taken at once when more is expected.</summary>
    private const int LargestSlabBytes = 1024 * 1024;

    private readonly List<NativeBlock> _slabs = [];
    private long _expectedBytes;
    private int _used;

    /// <summary>Says how much will be taken from now on, so that no more is taken from the system than that.</summary>
    public void Expect(long bytes) => _expectedBytes = bytes;

    /// <summary>Memory that is the caller's until this is disposed. What is in it is left from others.</summary>
    public Memory<byte> Take(int length)
    {
        if (_slabs.Count == 0 || _slabs[^1].Memory.Length - _used < length)
        {
            _slabs.Add(new NativeBlock((int)Math.Max(length, Math.Min(_expectedBytes, LargestSlabBytes))));
            _used = 0;
        }

        var taken = _slabs[^1].Memory.Slice(_used, length);
        _used += length;
        _expectedBytes = Math.Max(0, _expectedBytes - length);
        return taken;
    }

    /// <summary>Gives everything back; nothing that was taken may be used any more.</summary>
    public void Dispose()
    {
        foreach (var slab in _slabs)
        {
            ((IDisposable)slab).Dispose();
        }

        _slabs.Clear();
        _used = 0;
    }
}
