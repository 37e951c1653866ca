using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>The entries and snapshots of one log in memory. Every member takes the lock: entries are few, and tests are many.</summary>
internal sealed class MemoryLogContent(string name)
{
    private const int SnapshotsKept = 2;

    private readonly Lock _gate = new();
    private readonly List<Entry> _entries = [];
    private readonly SortedList<long, byte[]> _snapshots = [];

    /// <summary>The number of the first entry that has not been trimmed.</summary>
    private long _first = 1;

    public string Name => name;

    public AppendOutcome TryAppend(long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload)
    {
        lock (_gate)
        {
            if (number != _first + _entries.Count)
            {
                return AppendOutcome.Conflict;
            }

            _entries.Add(new Entry(head.ToArray(), payload.ToArray()));
            return AppendOutcome.Appended;
        }
    }

    public EntryHeads ReadHeads(long after, int maxEntries)
    {
        lock (_gate)
        {
            if (after + 1 < _first)
            {
                throw new EntryMissingException(name, after + 1);
            }

            var start = after + 1 - _first;
            if (start >= _entries.Count)
            {
                return new EntryHeads([], isEnd: true);
            }

            var heads = new EntryHead[(int)Math.Min(maxEntries, _entries.Count - start)];
            for (var i = 0; i < heads.Length; i++)
            {
                var entry = _entries[(int)start + i];
                heads[i] = new EntryHead(after + 1 + i, entry.Head, entry.Payload.Length);
            }

            return new EntryHeads(heads, isEnd: start + heads.Length == _entries.Count);
        }
    }

    public void ReadPayload(long number, int position, Span<byte> destination)
    {
        byte[] payload;
        lock (_gate)
        {
            if (number < _first || number >= _first + _entries.Count)
            {
                throw new EntryMissingException(name, number);
            }

            payload = _entries[(int)(number - _first)].Payload;
        }

        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, payload.Length - destination.Length);
        payload.AsSpan(position, destination.Length).CopyTo(destination);
    }

    public void SaveSnapshot(long number, ReadOnlySequence<byte> content)
    {
        lock (_gate)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(number, _first + _entries.Count);
            _snapshots[number] = content.ToArray();
            if (_snapshots.Count > SnapshotsKept)
            {
                _snapshots.RemoveAt(0);
            }
        }
    }

    public Snapshot? LoadSnapshot(long belowNumber)
    {
        lock (_gate)
        {
            for (var i = _snapshots.Count - 1; i >= 0; i--)
            {
                if (_snapshots.GetKeyAtIndex(i) < belowNumber)
                {
                    return new Snapshot(_snapshots.GetKeyAtIndex(i), _snapshots.GetValueAtIndex(i));
                }
            }

            return null;
        }
    }

    public void Trim(long below)
    {
        lock (_gate)
        {
            var count = (int)Math.Clamp(below - _first, 0, _entries.Count);
            _entries.RemoveRange(0, count);
            _first += count;
        }
    }

    private readonly record struct Entry(byte[] Head, byte[] Payload);
}
