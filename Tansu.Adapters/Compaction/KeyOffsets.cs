using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// The newest offset of each record key, in an amount of memory that is fixed when the map is made: a key takes 24 bytes
/// however long it is. The map has room for so many keys and no more; compaction then takes several passes over a partition.
/// Not safe for several threads.
/// </summary>
/// <remarks>
/// A key stands in the map as the first 16 bytes of its SHA-256. Two keys with one hash would be one key here, and the older
/// record of the two would be lost. So the hash is a cryptographic one: among 10^9 keys the chance of such a pair is
/// below 10^-20, and nobody can make one, as one can for MD5 and for the fast hashes of tables.
/// </remarks>
public sealed class KeyOffsets
{
    /// <summary>The memory that one slot takes.</summary>
    public const int BytesPerSlot = 24;

    /// <summary>The least memory of a map: it then has room for one key.</summary>
    public const int LeastBudgetBytes = 2 * BytesPerSlot;

    /// <summary>
    /// The share of the slots that may be filled. Always at least one slot stays empty, at which the search for a key that
    /// is not there ends.
    /// </summary>
    private const double MaxLoad = 0.9;

    private readonly Slot[] _slots;

    /// <summary>
    /// Other in each map, so that a client cannot choose keys that all come to lie in one place, where searches get long.
    /// </summary>
    private readonly ulong _multiplier = (ulong)Random.Shared.NextInt64() | 1;

    /// <summary>Makes an empty map and allocates all its memory.</summary>
    /// <param name="budgetBytes">The memory that the map may take, in bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The budget is less than <see cref="LeastBudgetBytes"/>.</exception>
    public KeyOffsets(long budgetBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(budgetBytes, LeastBudgetBytes);
        _slots = new Slot[(int)Math.Min(budgetBytes / BytesPerSlot, Array.MaxLength)];
        Capacity = (int)(_slots.Length * MaxLoad);
    }

    /// <summary>The number of keys that the map has room for.</summary>
    public int Capacity { get; }

    /// <summary>The number of keys in the map.</summary>
    public int Count { get; private set; }

    /// <summary>Notes that the key has a record at the offset; the largest offset of a key is the one that stays.</summary>
    /// <param name="key">The key, which may be empty.</param>
    /// <param name="offset">The offset of the record, at least 0.</param>
    /// <returns>False if the key is new and the map is full; the map then is as it was.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The offset is negative.</exception>
    public bool TryAdd(ReadOnlySpan<byte> key, long offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        var hash = KeyHash.Of(key);
        ref var slot = ref Find(hash);
        if (!slot.IsEmpty)
        {
            slot.Offset = Math.Max(slot.Offset, offset);
            return true;
        }

        if (Count == Capacity)
        {
            return false;
        }

        slot.Hash = hash;
        slot.Offset = offset;
        Count++;
        return true;
    }

    /// <summary>Finds the newest offset of a key.</summary>
    /// <param name="key">The key, which may be empty.</param>
    /// <param name="offset">Its newest offset, if it is in the map.</param>
    /// <returns>False if the key is not in the map.</returns>
    public bool TryGet(ReadOnlySpan<byte> key, out long offset)
    {
        ref var slot = ref Find(KeyHash.Of(key));
        offset = slot.IsEmpty ? default : slot.Offset;
        return !slot.IsEmpty;
    }

    /// <summary>Forgets all keys and keeps the memory for the next ones.</summary>
    public void Clear()
    {
        Array.Clear(_slots);
        Count = 0;
    }

    /// <summary>The slot that has the hash, or the empty one where it would go.</summary>
    private ref Slot Find(in KeyHash hash)
    {
        var index = (int)Math.BigMul(hash.High * _multiplier, (ulong)_slots.Length, out _);
        while (true)
        {
            ref var slot = ref _slots[index];
            if (slot.IsEmpty || slot.Hash == hash)
            {
                return ref slot;
            }

            index = index + 1 == _slots.Length ? 0 : index + 1;
        }
    }

    private readonly record struct KeyHash(ulong High, ulong Low)
    {
        [SkipLocalsInit]
        public static KeyHash Of(ReadOnlySpan<byte> key)
        {
            Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
            SHA256.HashData(key, hash);
            return MemoryMarshal.Read<KeyHash>(hash);
        }
    }

    private struct Slot
    {
        public KeyHash Hash;

        /// <summary>One more than the offset, so that a cleared slot is an empty one.</summary>
        private long _next;

        public readonly bool IsEmpty => _next == 0;

        public long Offset
        {
            readonly get => _next - 1;
            set => _next = value + 1;
        }
    }
}
