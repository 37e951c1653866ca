using Tansu.Adapters.Ports;

namespace Tansu.Adapters.Measuring;

/// <summary>What a store was asked for, how long that took, how much it was, and how often it failed. Safe to use from any thread.</summary>
/// <param name="clock">What durations are measured by.</param>
public sealed class StoreMeasures(TimeProvider clock)
{
    private readonly StoreRequestMeasures[] _kinds = [.. Enumerable.Range(0, Kinds.Length).Select(static _ => new StoreRequestMeasures())];

    /// <summary>Every kind of request.</summary>
    public static ReadOnlySpan<StoreRequestKind> Kinds =>
    [
        StoreRequestKind.Append,
        StoreRequestKind.ReadEntries,
        StoreRequestKind.ReadRecords,
        StoreRequestKind.SaveSnapshot,
        StoreRequestKind.LoadSnapshot,
        StoreRequestKind.Trim,
        StoreRequestKind.PutObject,
        StoreRequestKind.ReadObject,
        StoreRequestKind.DeleteObjects,
        StoreRequestKind.ListObjects,
    ];

    /// <summary>Those of one kind.</summary>
    public StoreRequestMeasures Of(StoreRequestKind kind) => _kinds[(int)kind];

    /// <summary>Measures one request.</summary>
    internal async ValueTask<TResult> TimeAsync<TResult>(StoreRequestKind kind, long bytes, Func<ValueTask<TResult>> request)
    {
        var begun = clock.GetTimestamp();
        try
        {
            var result = await request().ConfigureAwait(false);
            _kinds[(int)kind].Add(clock.GetElapsedTime(begun), bytes);
            return result;
        }
        catch (Exception failure) when (IsOfTheStore(failure))
        {
            _kinds[(int)kind].AddError();
            throw;
        }
    }

    /// <summary>Measures one request.</summary>
    internal async ValueTask TimeAsync(StoreRequestKind kind, long bytes, Func<ValueTask> request)
    {
        var begun = clock.GetTimestamp();
        try
        {
            await request().ConfigureAwait(false);
            _kinds[(int)kind].Add(clock.GetElapsedTime(begun), bytes);
        }
        catch (Exception failure) when (IsOfTheStore(failure))
        {
            _kinds[(int)kind].AddError();
            throw;
        }
    }

    /// <summary>What is missing because it was deleted is an answer.</summary>
    private static bool IsOfTheStore(Exception failure) => failure is StoreUnavailableException or StoreRefusedException;
}
