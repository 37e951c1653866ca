namespace Tansu.Adapters;

/// <summary>
/// Reads ranges of objects with fewer requests than there are ranges. An object holds a little of each of many partitions, and who reads them all wants all of it at once:
/// what comes while two requests for the same object are under way waits for one of them, and what then lies close together is asked for as one.
/// </summary>
internal sealed class S3Ranges(S3Client client)
{
    /// <summary>While so many requests for one object are under way, further ranges of it gather.</summary>
    private const int MaxAtOnce = 2;

    /// <summary>What is larger never waits: a connection of its own brings it sooner.</summary>
    private const int MaxSmallBytes = 256 * 1024;

    /// <summary>The most that is asked for as one.</summary>
    private const int MaxBytes = 4 * 1024 * 1024;

    /// <summary>So much is read in vain between two ranges rather than asking twice: it takes less time than a request does.</summary>
    private const int MaxGapBytes = 64 * 1024;

    private readonly Lock _gate = new();

    /// <summary>Those that somebody reads, by their keys.</summary>
    private readonly Dictionary<string, Reads> _objects = new(StringComparer.Ordinal);

    /// <summary>Fills as much of the destination as there is.</summary>
    /// <returns>How many bytes; -1 when there is no such object.</returns>
    public async Task<int> ReadAsync(string key, long position, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var range = new S3Range(position, destination);
        if (destination.Length > MaxSmallBytes)
        {
            return await client.ReadAsync(key, [range], cancellationToken).ConfigureAwait(false);
        }

        if (Gathers(key, range))
        {
            // Once it is asked for it is the store's until the answer is there.
            using (cancellationToken.UnsafeRegister(_ => Abandon(key, range, cancellationToken), null))
            {
                return await range.Task.ConfigureAwait(false);
            }
        }

        try
        {
            return await client.ReadAsync(key, [range], cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            End(key);
        }
    }

    /// <summary>In the order of their positions, those together that one request had better read.</summary>
    private static List<List<S3Range>> Together(List<S3Range> ranges)
    {
        ranges.Sort(static (one, other) => one.Position.CompareTo(other.Position));
        var all = new List<List<S3Range>>();
        foreach (var range in ranges)
        {
            // Markers of several partitions can share their bytes; who reads them twice asks twice.
            if (all is [.., var last]
                && range.Position >= last[^1].End
                && range.Position - last[^1].End <= MaxGapBytes
                && range.End - last[0].Position <= MaxBytes)
            {
                last.Add(range);
            }
            else
            {
                all.Add([range]);
            }
        }

        return all;
    }

    /// <summary>Whether the range waits; if not, the caller asks for it and calls <see cref="End"/>.</summary>
    private bool Gathers(string key, S3Range range)
    {
        lock (_gate)
        {
            if (!_objects.TryGetValue(key, out var reads))
            {
                _objects.Add(key, reads = new Reads());
            }

            if (reads.Running < MaxAtOnce)
            {
                reads.Running++;
                return false;
            }

            reads.Gathered.Add(range);
            return true;
        }
    }

    private void Abandon(string key, S3Range range, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (!_objects.TryGetValue(key, out var reads) || !reads.Gathered.Remove(range))
            {
                return;
            }
        }

        range.TrySetCanceled(cancellationToken);
    }

    /// <summary>A request has ended: what has gathered meanwhile is asked for.</summary>
    private void End(string key)
    {
        List<List<S3Range>> requests;
        lock (_gate)
        {
            var reads = _objects[key];
            requests = Together(reads.Gathered);
            reads.Gathered.Clear();
            reads.Running += requests.Count - 1;
            if (reads.Running == 0)
            {
                _objects.Remove(key);
            }
        }

        foreach (var ranges in requests)
        {
            _ = ReadTogetherAsync(key, ranges);
        }
    }

    private async Task ReadTogetherAsync(string key, List<S3Range> ranges)
    {
        try
        {
            var available = await client.ReadAsync(key, ranges, CancellationToken.None).ConfigureAwait(false);
            ranges.ForEach(range => range.SetResult(available < 0 ? available : range.Filled(available, ranges[0].Position)));
        }
        catch (Exception error)
        {
            ranges.ForEach(range => range.SetException(error));
        }
        finally
        {
            End(key);
        }
    }

    private sealed class Reads
    {
        public int Running { get; set; }

        public List<S3Range> Gathered { get; } = [];
    }
}

/// <summary>A range of an object that somebody wants.</summary>
/// <param name="position">Where it begins.</param>
/// <param name="destination">Where its bytes go; not empty.</param>
internal sealed class S3Range(long position, Memory<byte> destination) : TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    public long Position => position;

    public Memory<byte> Destination => destination;

    public long End => position + destination.Length;

    /// <summary>How much of it there is.</summary>
    /// <param name="available">How many bytes the object has …</param>
    /// <param name="from">… from that position on.</param>
    public int Filled(int available, long from) => (int)Math.Clamp(available - (position - from), 0, destination.Length);
}
