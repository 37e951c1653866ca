using System.Diagnostics.CodeAnalysis;

namespace Tansu.Adapters.Reading;

/// <summary>
/// What this broker wrote or read lately, in memory, within a bound. The blocks are immutable once added (base offsets are
/// already in place) and belong to the garbage collector, so a reply may still be sending one that was evicted.
/// </summary>
/// <param name="capacityBytes">The bound (<c>--cache-bytes</c>); 0 keeps nothing.</param>
public sealed class RecordCache(long capacityBytes)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<CacheKey, LinkedListNode<Block>> _blocks = [];

    /// <summary>Least recently used first.</summary>
    private readonly LinkedList<Block> _byUse = new();

    private long _bytes;
    private long _hits;
    private long _misses;

    /// <summary>How often a block was asked for and there.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>How often a block was asked for and not there.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>The sum of the blocks' lengths, in bytes; never above the bound.</summary>
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

    /// <summary>Whether a block of this length can be kept at all.</summary>
    public bool Accepts(int length) => length <= capacityBytes;

    /// <summary>Finds a block and makes it the most recently used.</summary>
    public bool TryGet(CacheKey key, [MaybeNullWhen(false)] out byte[] bytes)
    {
        lock (_lock)
        {
            if (!_blocks.TryGetValue(key, out var node))
            {
                bytes = null;
                _misses++;
                return false;
            }

            _hits++;
            _byUse.Remove(node);
            _byUse.AddLast(node);
            bytes = node.Value.Bytes;
            return true;
        }
    }

    /// <summary>Adds a block, evicting the least recently used. A key that is there already keeps its block.</summary>
    public void Add(CacheKey key, byte[] bytes)
    {
        if (!Accepts(bytes.Length))
        {
            return;
        }

        lock (_lock)
        {
            if (_blocks.ContainsKey(key))
            {
                return;
            }

            while (_bytes + bytes.Length > capacityBytes && _byUse.First is { } oldest)
            {
                _byUse.RemoveFirst();
                _blocks.Remove(oldest.Value.Key);
                _bytes -= oldest.Value.Bytes.Length;
            }

            _blocks.Add(key, _byUse.AddLast(new Block(key, bytes)));
            _bytes += bytes.Length;
        }
    }

    private readonly record struct Block(CacheKey Key, byte[] Bytes);
}
