namespace Tansu.Adapters;

/// <summary>How many requests were sent to S3, by kind, as S3 prices them. A retry counts again.</summary>
/// <param name="Put">PUT of an object, whatever its outcome.</param>
/// <param name="Get">GET of an object or a range of it.</param>
/// <param name="Head">HEAD of an object.</param>
/// <param name="List">A page of a listing.</param>
/// <param name="Delete">A deletion, of one object or of many at once.</param>
public readonly record struct S3RequestCounts(long Put, long Get, long Head, long List, long Delete)
{
    /// <summary>All kinds together.</summary>
    public long Total => Put + Get + Head + List + Delete;

    /// <summary>What was sent between two moments.</summary>
    /// <param name="later">Counts at the later moment.</param>
    /// <param name="earlier">Counts at the earlier moment.</param>
    public static S3RequestCounts operator -(S3RequestCounts later, S3RequestCounts earlier) => later.Minus(earlier);

    /// <summary>What was sent since an earlier moment.</summary>
    /// <param name="earlier">Counts at that moment.</param>
    public S3RequestCounts Minus(S3RequestCounts earlier) => new(
        Put - earlier.Put,
        Get - earlier.Get,
        Head - earlier.Head,
        List - earlier.List,
        Delete - earlier.Delete);
}

/// <summary>Counts the requests of one <see cref="S3Store"/>. Safe to use from any thread.</summary>
public sealed class S3Requests
{
    private long _put;
    private long _get;
    private long _head;
    private long _list;
    private long _delete;

    /// <summary>The counts up to now.</summary>
    public S3RequestCounts Snapshot() => new(
        Interlocked.Read(ref _put),
        Interlocked.Read(ref _get),
        Interlocked.Read(ref _head),
        Interlocked.Read(ref _list),
        Interlocked.Read(ref _delete));

    internal void Count(HttpRequestMessage request)
    {
        if (request.Method == HttpMethod.Put)
        {
            Interlocked.Increment(ref _put);
        }
        else if (request.Method == HttpMethod.Head)
        {
            Interlocked.Increment(ref _head);
        }
        else if (request.Method == HttpMethod.Get)
        {
            var isList = request.RequestUri?.Query.Contains("list-type=", StringComparison.Ordinal) == true;
            Interlocked.Increment(ref isList ? ref _list : ref _get);
        }
        else
        {
            // DELETE, and the POST that deletes many: no other POST is sent.
            Interlocked.Increment(ref _delete);
        }
    }
}
