namespace Tansu.Adapters;

/// <summary>A moment by both of a machine's clocks, either of which may stand still or jump while it is suspended.</summary>
internal readonly record struct S3Moment(DateTimeOffset Wall, long Timestamp);

/// <summary>
/// Remembers up to when it is certain that garbage collection empties no entry number that this broker works at, without asking the store.
/// </summary>
/// <remarks>
/// An entry is deleted no sooner than the trim grace (1 h) after the hint has announced it. So whoever knows of a moment at which numbers from
/// <c>n</c> on were not announced knows that none of them is emptied for an hour. It is relied on for 10 s, by whichever clock says more.
/// </remarks>
internal sealed class S3Protection(TimeProvider clock)
{
    /// <summary>How long a look at the store is relied on.</summary>
    public static readonly TimeSpan Lasts = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private long _from = long.MaxValue;
    private S3Moment _since;

    public S3Moment Now => new(clock.GetUtcNow(), clock.GetTimestamp());

    /// <summary>Notes that at <paramref name="asked"/> or later no number from <paramref name="from"/> on was announced as trimmed.</summary>
    /// <param name="from">The lowest of these numbers.</param>
    /// <param name="asked">Before the request was sent that says so.</param>
    public void Learn(long from, S3Moment asked)
    {
        lock (_gate)
        {
            if (_from == long.MaxValue || asked.Timestamp >= _since.Timestamp)
            {
                _from = from;
                _since = asked;
            }
        }
    }

    /// <summary>Whether it is certain that nobody has emptied <paramref name="number"/>.</summary>
    public bool Covers(long number)
    {
        var now = Now;
        lock (_gate)
        {
            var wall = now.Wall - _since.Wall;
            return number >= _from
                && wall >= TimeSpan.Zero
                && wall <= Lasts
                && clock.GetElapsedTime(_since.Timestamp, now.Timestamp) <= Lasts;
        }
    }
}
