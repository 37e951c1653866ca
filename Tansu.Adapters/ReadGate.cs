using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Lets only so many reads of records run at a time, of a store that has a number of connections, first come first served. Consumers may ask for
/// thousands of chunks at once: a commit is not to wait for them, and on a slow line they are not to share it until none comes in time. Any thread.
/// </summary>
/// <param name="most">How many.</param>
/// <param name="patience">Who has waited so long, and no read has succeeded meanwhile, does not try as well.</param>
/// <param name="time">The clock for that.</param>
internal sealed class ReadGate(int most, TimeSpan patience, TimeProvider time)
{
    /// <summary>How much is read at a time, at most: it comes in time on a line of 4 MB/s, and is as much as eight readers of a fast store have under way.</summary>
    private const int MaxBytes = 32 * 1024 * 1024;

    private readonly ByteBudget _budget = new(MaxBytes);
    private long _succeeded;

    /// <summary>Reads when it is its turn.</summary>
    /// <param name="what">What is read, for the message of an error.</param>
    /// <param name="bytes">How much.</param>
    /// <param name="read">Reads it.</param>
    /// <param name="cancellationToken">Abandons the wait.</param>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<T> RunAsync<T>(string what, int bytes, Func<Task<T>> read, CancellationToken cancellationToken)
    {
        var begun = time.GetTimestamp();
        var held = Math.Max(bytes, MaxBytes / most);
        await _budget.HoldAsync(held, cancellationToken).ConfigureAwait(false);
        try
        {
            if (time.GetElapsedTime(Math.Max(begun, Volatile.Read(ref _succeeded))) > patience)
            {
                throw new StoreUnavailableException($"{what} failed: no read has succeeded for {patience.TotalSeconds:0.#} s");
            }

            var found = await read().ConfigureAwait(false);
            Volatile.Write(ref _succeeded, time.GetTimestamp());
            return found;
        }
        finally
        {
            _budget.Release(held);
        }
    }
}
