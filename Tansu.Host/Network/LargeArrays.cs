using System.Numerics;
using System.Runtime.InteropServices;

namespace Tansu.Host.Network;

/// <summary>
/// The arrays of large requests, used again. Those that wait for use are held weakly, so that the garbage collector takes them when
/// it looks for memory: how many there are is bounded by what may be in use, and none are kept for nothing. Any thread.
/// </summary>
/// <remarks>The shared pool of .NET would double the length of a request of a little more than 1 MiB, and keep many of them.</remarks>
public sealed class LargeArrays
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, Stack<WeakReference<byte[]>>> _free = [];

    /// <summary>The length of the array for so many bytes: up to a quarter more, so that arrays fit more than one request.</summary>
    public static long Rounded(int length)
    {
        var step = Math.Max(1L, (long)BitOperations.RoundUpToPowerOf2((uint)length) / 8);
        return (length + step - 1) / step * step;
    }

    /// <summary>An array of that rounded length, with anything in it.</summary>
    public byte[] Rent(int length)
    {
        var rounded = (int)Rounded(length);
        lock (_lock)
        {
            if (_free.TryGetValue(rounded, out var free))
            {
                while (free.TryPop(out var candidate))
                {
                    if (candidate.TryGetTarget(out var array))
                    {
                        return array;
                    }
                }
            }
        }

        return GC.AllocateUninitializedArray<byte>(rounded);
    }

    /// <summary>Takes an array back. To be called once, by its last user.</summary>
    public void Return(byte[] array)
    {
        ArgumentNullException.ThrowIfNull(array);
        lock (_lock)
        {
            ref var free = ref CollectionsMarshal.GetValueRefOrAddDefault(_free, array.Length, out _);
            (free ??= new Stack<WeakReference<byte[]>>()).Push(new WeakReference<byte[]>(array));
        }
    }
}
