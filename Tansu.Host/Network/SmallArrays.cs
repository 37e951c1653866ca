using System.Buffers;
using System.Runtime.InteropServices;

namespace Tansu.Host.Network;

/// <summary>
/// The arrays of small requests, used again. So many bytes of them wait for use at most; what is more is left to the garbage collector, first of those lengths that have
/// most. Any thread.
/// </summary>
/// <remarks>
/// The shared pool of .NET keeps 32 of a length for each processor, and doubles a batch of 16 KiB with its header. With a thousand requests waiting for a slow
/// disk most arrays were new and lived long enough to be moved to generation 2, which was collected five times a second.
/// </remarks>
/// <param name="mostBytes">How many bytes may wait for use.</param>
public sealed class SmallArrays(long mostBytes)
{
    /// <summary>The longest array that comes from the pool that all of .NET shares, which is the quickest, and keeps enough of the smallest. 4 KiB.</summary>
    private const int MostShared = 4 * 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, Stack<byte[]>> _free = [];
    private long _bytes;

    /// <summary>How many bytes wait for use here.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
            {
                return _bytes;
            }
        }
    }

    /// <summary>An array for so many bytes with anything in it; of more than 4 KiB, it is up to a quarter longer.</summary>
    public byte[] Rent(int length)
    {
        if (length <= MostShared)
        {
            return ArrayPool<byte>.Shared.Rent(length);
        }

        var rounded = (int)LargeArrays.Rounded(length);
        lock (_lock)
        {
            if (_free.TryGetValue(rounded, out var free) && free.TryPop(out var array))
            {
                _bytes -= array.Length;
                return array;
            }
        }

        return GC.AllocateUninitializedArray<byte>(rounded);
    }

    /// <summary>Takes an array back. To be called once, by its last user.</summary>
    public void Return(byte[] array)
    {
        ArgumentNullException.ThrowIfNull(array);
        if (array.Length <= MostShared)
        {
            ArrayPool<byte>.Shared.Return(array);
            return;
        }

        lock (_lock)
        {
            ref var free = ref CollectionsMarshal.GetValueRefOrAddDefault(_free, array.Length, out _);
            (free ??= new Stack<byte[]>()).Push(array);
            _bytes += array.Length;
            while (_bytes > mostBytes)
            {
                _bytes -= Fullest().Pop().Length;
            }
        }
    }

    /// <summary>Those of the length that has most bytes.</summary>
    private Stack<byte[]> Fullest()
    {
        var most = -1L;
        Stack<byte[]>? fullest = null;
        foreach (var (length, free) in _free)
        {
            var bytes = (long)length * free.Count;
            if (bytes > most)
            {
                (most, fullest) = (bytes, free);
            }
        }

        return fullest!;
    }
}
