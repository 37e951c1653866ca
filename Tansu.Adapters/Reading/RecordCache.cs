namespace Tansu.Adapters.Reading;

/// <summary>
/// What this broker wrote or read lately, in memory, within a bound. Blocks lie one after another in a few large regions, which are used again
/// in a ring, the oldest first: records are read in the order in which they were written, and nothing is allocated for them. Blocks never change once
/// they are published (base offsets are already in place). Any thread.
/// </summary>
/// <param name="capacityBytes">The bound (<c>--cache-bytes</c>); 0 keeps nothing.</param>
public sealed class RecordCache(long capacityBytes)
{
    /// <summary>A region is this share of the cache, so that little is forgotten at once, …</summary>
    private const int Regions = 8;

    /// <summary>… but not larger than this: the largest commits and some.</summary>
    private const int MaxRegionBytes = 8 * 1024 * 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<CacheKey, Block> _blocks = [];

    /// <summary>The oldest first. Blocks are added to the newest.</summary>
    private readonly Queue<Region> _regions = new();

    private readonly int _regionBytes = (int)Math.Clamp(capacityBytes / Regions, 0, MaxRegionBytes);

    /// <summary>The memory of evicted regions that nobody reads any more, for the next ones.</summary>
    private readonly Stack<byte[]> _spares = new();

    /// <summary>What evicted regions take that somebody still reads, at most half of the bound; with spares, not more than that either.</summary>
    private long _leasedBytes;
    private Region? _newest;
    private long _bytes;
    private long _hits;
    private long _misses;

    /// <summary>How often a block was asked for and there.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>How often a block was asked for and not there.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>The memory of all regions, in bytes; never above the bound.</summary>
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

    /// <summary>The bound.</summary>
    public long CapacityBytes => capacityBytes;

    /// <summary>What is being read in advance: a quarter of the bound at most, so that what is wanted finds a place.</summary>
    internal ByteBudget Ahead { get; } = new(Math.Max(1, capacityBytes / 4));

    /// <summary>Finds a block.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="lease">Keeps the bytes as they are until it is disposed; after that they must not be read.</param>
    /// <param name="bytes">The block.</param>
    public bool TryGet(CacheKey key, RecordLease lease, out ReadOnlyMemory<byte> bytes)
    {
        ArgumentNullException.ThrowIfNull(lease);
        lock (_lock)
        {
            if (!_blocks.TryGetValue(key, out var block))
            {
                bytes = default;
                _misses++;
                return false;
            }

            _hits++;
            lease.Take(this, block.Region);
            bytes = block.Region.Bytes.AsMemory(block.Start, block.Length);
            return true;
        }
    }

    /// <summary>Adds a block that has memory of its own, which nobody changes any more. A key that is there already keeps its block.</summary>
    public void Add(CacheKey key, byte[] bytes)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        if (!Accepts(bytes.Length))
        {
            return;
        }

        lock (_lock)
        {
            if (!_blocks.ContainsKey(key) && TryMakeRoom(bytes.Length))
            {
                var region = new Region(bytes, isRing: false) { Used = bytes.Length };
                Include(region);
                Publish(key, new Block(region, 0, bytes.Length));
            }
        }
    }

    /// <summary>
    /// Memory for a block that is about to be written, in the newest region; null if there is none to be had. It stays as it is until the lease is
    /// disposed, whether it is published or not.
    /// </summary>
    internal Block? Reserve(int length, RecordLease lease)
    {
        if (!Accepts(length))
        {
            return null;
        }

        lock (_lock)
        {
            if (_newest is null || _newest.Bytes.Length - _newest.Used < length)
            {
                var size = Math.Max(_regionBytes, length);
                if (!TryMakeRoom(size) || TryTakeMemory(size) is not { } bytes)
                {
                    return null;
                }

                _newest = new Region(bytes, isRing: true);
                Include(_newest);
            }

            var block = new Block(_newest, _newest.Used, length);
            _newest.Used += length;
            lease.Take(this, _newest);
            return block;
        }
    }

    /// <summary>Lets readers find a block that was reserved and has been written. A key that is there already keeps its block.</summary>
    internal void Publish(CacheKey key, Block block)
    {
        lock (_lock)
        {
            // The region may have been evicted while the block was written.
            if (!block.Region.IsEvicted && _blocks.TryAdd(key, block))
            {
                block.Region.Keys.Add(key);
            }
        }
    }

    /// <summary>Gives the memory of a block that is leased to others as well.</summary>
    internal void Share(Block block, List<RecordLease> leases)
    {
        lock (_lock)
        {
            foreach (var lease in leases)
            {
                lease.Take(this, block.Region);
            }
        }
    }

    /// <summary>Nobody reads these for a lease any more.</summary>
    internal void Release(List<Region> regions)
    {
        lock (_lock)
        {
            foreach (var region in regions)
            {
                region.Leases--;
                if (region.Leases == 0 && region.IsEvicted)
                {
                    _leasedBytes -= region.Bytes.Length;
                    Spare(region);
                    DropSpares();
                }
            }
        }
    }

    /// <summary>Whether a block of this length can be kept at all.</summary>
    private bool Accepts(int length) => length <= capacityBytes;

    /// <summary>Memory for what is only good to have; null if there is none. The commit it belongs to has been made and must be told.</summary>
    private byte[]? TryTakeMemory(int length)
    {
        if (length == _regionBytes && _spares.TryPop(out var spare))
        {
            return spare;
        }

        try
        {
            var memory = GC.AllocateUninitializedArray<byte>(length);
            Libc.PreferLargePages(memory);
            return memory;
        }
        catch (OutOfMemoryException)
        {
            return null;
        }
    }

    private void Include(Region region)
    {
        _regions.Enqueue(region);
        _bytes += region.Bytes.Length;
        DropSpares();
    }

    /// <summary>Evicts the oldest regions until so many bytes fit. False if too much of what was evicted is still being read.</summary>
    private bool TryMakeRoom(int length)
    {
        while (_bytes + length > capacityBytes)
        {
            var oldest = _regions.Peek();
            if (oldest.Leases > 0 && _leasedBytes + oldest.Bytes.Length > capacityBytes / 2)
            {
                return false;
            }

            _regions.Dequeue();
            Evict(oldest);
            if (oldest.Leases > 0)
            {
                _leasedBytes += oldest.Bytes.Length;
            }
            else
            {
                Spare(oldest);
            }
        }

        return true;
    }

    /// <summary>Keeps the memory of an evicted region that nobody reads.</summary>
    private void Spare(Region region)
    {
        if (region.IsRing && region.Bytes.Length == _regionBytes)
        {
            _spares.Push(region.Bytes);
        }
    }

    /// <summary>Forgets those that are beyond the bound, once it is known how many are needed now.</summary>
    private void DropSpares()
    {
        while (_spares.Count > 0 && _leasedBytes + (_spares.Count * (long)_regionBytes) > capacityBytes / 2)
        {
            _spares.Pop();
        }
    }

    private void Evict(Region region)
    {
        region.IsEvicted = true;
        _bytes -= region.Bytes.Length;
        foreach (var key in region.Keys)
        {
            _blocks.Remove(key);
        }

        if (region == _newest)
        {
            _newest = null;
        }
    }

    /// <summary>Where a block lies.</summary>
    internal readonly record struct Block(Region Region, int Start, int Length)
    {
        /// <summary>To be written before the block is published.</summary>
        public Memory<byte> Memory => Region.Bytes.AsMemory(Start, Length);
    }

    /// <summary>The memory of blocks that come and go together.</summary>
    /// <param name="bytes">The memory.</param>
    /// <param name="isRing">Whether it is only read for a lease, so that it may be used again.</param>
    internal sealed class Region(byte[] bytes, bool isRing)
    {
        public byte[] Bytes => bytes;

        public bool IsRing => isRing;

        /// <summary>The blocks that have been published.</summary>
        public List<CacheKey> Keys { get; } = [];

        /// <summary>The bytes at the beginning that belong to blocks.</summary>
        public int Used { get; set; }

        /// <summary>How many leases there are.</summary>
        public int Leases { get; set; }

        /// <summary>Whether it no longer belongs to the cache.</summary>
        public bool IsEvicted { get; set; }
    }
}
