using System.Net;
using System.Runtime.InteropServices;

namespace Tansu.Host.Network;

/// <summary>How many connections each address has open. May be used from any thread.</summary>
/// <param name="limit">How many one address may have.</param>
internal sealed class AddressCounts(int limit)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<IPAddress, int> _counts = [];

    /// <summary>Counts a connection, unless its address has as many as it may have.</summary>
    public bool TryAdd(IPAddress address)
    {
        lock (_lock)
        {
            ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_counts, address, out _);
            if (count >= limit)
            {
                return false;
            }

            count++;
            return true;
        }
    }

    /// <summary>A connection that was counted has ended.</summary>
    public void Remove(IPAddress address)
    {
        lock (_lock)
        {
            ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_counts, address, out _);
            if (--count <= 0)
            {
                _counts.Remove(address);
            }
        }
    }
}
