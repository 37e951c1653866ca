using System.Collections.Concurrent;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Reads the entries of one log.</summary>
internal sealed class S3Entries(S3Client client, S3Keys keys, string logName)
{
    /// <summary>One ranged GET brings at most this much: most heads whole, with the payload when the entry is small.</summary>
    private const int FirstBytes = 64 * 1024;

    /// <summary>Some 80 bytes each, in each log; what is not remembered takes one request more.</summary>
    private const int MaxLayouts = 8_192;

    private readonly ConcurrentDictionary<long, S3Frame> _layouts = new();
    private readonly ConcurrentDictionary<long, Lazy<Task<(S3Frame Frame, byte[] Bytes)?>>> _starts = new();

    /// <summary>Remembers where an entry's payload is, so that reading it takes one request.</summary>
    public void Remember(in S3Frame frame)
    {
        if (_layouts.Count >= MaxLayouts)
        {
            _layouts.Clear();
        }

        _layouts[frame.Number] = frame;
    }

    /// <summary>The head of an entry; null when there is no such entry.</summary>
    public async Task<EntryHead?> ReadHeadAsync(long number, CancellationToken cancellationToken)
    {
        if (await ReadStartAsync(number, cancellationToken).ConfigureAwait(false) is not var (frame, bytes))
        {
            return null;
        }

        var headEnd = S3Frame.Size + frame.HeadLength;
        if (bytes.Length < headEnd)
        {
            var rest = await client
                .GetAsync(keys.Entry(number), bytes.Length, headEnd - bytes.Length, cancellationToken)
                .ConfigureAwait(false);
            if (rest is null)
            {
                return null;
            }

            bytes = [.. bytes, .. rest.Bytes];
        }

        // A copy of the head alone: the caller may keep it, and the payload with it would be much.
        return S3Frame.IsWhole(bytes, frame)
            ? new EntryHead(number, bytes.AsSpan(S3Frame.Size, frame.HeadLength).ToArray(), frame.PayloadLength)
            : throw Damaged(number, "its checksum does not match");
    }

    /// <summary>The heads of consecutive entries, read at once, up to the first that is not there.</summary>
    /// <exception cref="EntryMissingException">
    /// Entries after that one are there, and it was before them: it was trimmed, or lost (a copy of a bucket that was incomplete). To write under its number
    /// would mix two histories.
    /// </exception>
    public async Task<List<EntryHead>> ReadHeadsAsync(long first, int count, CancellationToken cancellationToken)
    {
        var reads = new Task<EntryHead?>[count];
        for (var i = 0; i < count; i++)
        {
            reads[i] = ReadHeadAsync(first + i, cancellationToken);
        }

        var found = await Task.WhenAll(reads).ConfigureAwait(false);
        var heads = new List<EntryHead>(count);
        var last = Array.FindLastIndex(found, static head => head is not null);
        for (var i = 0; i <= last; i++)
        {
            // One that is not there may have been written after it was looked for, but before those behind it.
            heads.Add(found[i]
                ?? await ReadHeadAsync(first + i, cancellationToken).ConfigureAwait(false)
                ?? throw new EntryMissingException(logName, first + i));
        }

        return heads;
    }

    public async Task<bool> ExistsAsync(long number, CancellationToken cancellationToken) =>
        await client.LengthAsync(keys.Entry(number), cancellationToken).ConfigureAwait(false) >= 0;

    public async Task ReadPayloadAsync(long number, int position, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (number < 1)
        {
            throw new EntryMissingException(logName, number);
        }

        if (!_layouts.TryGetValue(number, out var frame))
        {
            if (await SharedStartAsync(number).WaitAsync(cancellationToken).ConfigureAwait(false) is not var (read, bytes))
            {
                throw new EntryMissingException(logName, number);
            }

            frame = read;
            CheckRange(frame, position, destination.Length);
            var start = S3Frame.Size + frame.HeadLength + position;
            if (start + destination.Length <= bytes.Length)
            {
                bytes.AsMemory(start, destination.Length).CopyTo(destination);
                return;
            }
        }

        CheckRange(frame, position, destination.Length);
        if (destination.IsEmpty)
        {
            return;
        }

        var at = (long)S3Frame.Size + frame.HeadLength + position;
        var filled = await client.ReadAsync(keys.Entry(number), at, destination, cancellationToken).ConfigureAwait(false);
        if (filled < 0)
        {
            throw new EntryMissingException(logName, number);
        }

        if (filled < destination.Length)
        {
            throw Damaged(number, "it is shorter than it says");
        }
    }

    private static void CheckRange(in S3Frame frame, int position, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, frame.PayloadLength - length);
    }

    /// <summary>The same for all who want something of the entry's payload at the same time: it has a little of each of many partitions.</summary>
    private Task<(S3Frame Frame, byte[] Bytes)?> SharedStartAsync(long number) =>
        _starts.GetOrAdd(number, static (number, entries) => new(() => entries.ReadOnceAsync(number)), this).Value;

    private async Task<(S3Frame Frame, byte[] Bytes)?> ReadOnceAsync(long number)
    {
        try
        {
            return await client
                .GatedAsync(keys.Entry(number), FirstBytes, () => ReadStartAsync(number, CancellationToken.None), CancellationToken.None)
                .ConfigureAwait(false);
        }
        finally
        {
            _starts.TryRemove(number, out _);
        }
    }

    /// <summary>Frame and first bytes of an entry; null when there is no such entry.</summary>
    private async Task<(S3Frame Frame, byte[] Bytes)?> ReadStartAsync(long number, CancellationToken cancellationToken)
    {
        var start = await client.GetAsync(keys.Entry(number), FirstBytes, cancellationToken).ConfigureAwait(false);
        if (start is null)
        {
            return null;
        }

        if (!S3Frame.TryRead(start.Bytes, out var frame) || frame.Kind != S3Kind.Entry || frame.Number != number)
        {
            throw Damaged(number, "it does not begin like this entry");
        }

        if (frame.Version != S3Frame.CurrentVersion)
        {
            throw new StoreRefusedException($"{keys.Entry(number)} has format {frame.Version}: a newer Tansu wrote it; start that version.");
        }

        if (frame.ObjectBytes != start.Length)
        {
            throw Damaged(number, $"it has {start.Length} bytes in place of {frame.ObjectBytes}");
        }

        Remember(frame);
        return (frame, start.Bytes);
    }

    private StoreRefusedException Damaged(long number, string finding) =>
        new($"{keys.Entry(number)} in bucket {client.Settings.Bucket} is damaged: {finding}. Restore the object from a copy or an older version of it.");
}
