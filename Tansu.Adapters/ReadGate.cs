using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Lets only so many reads of records run at a time, of a store that has a number of connections: consumers may ask for thousands of chunks at
/// once, and a commit is not to wait for them. Any thread.
/// </summary>
/// <param name="most">How many.</param>
/// <param name="patience">How long another one waits for its turn.</param>
#pragma warning disable CA1001 // A semaphore whose wait handle nobody asks for holds nothing.
internal sealed class ReadGate(int most, TimeSpan patience)
#pragma warning restore CA1001
{
    private readonly SemaphoreSlim _places = new(most);

    /// <summary>Reads when it is its turn.</summary>
    /// <param name="what">What is read, for the message of an error.</param>
    /// <param name="read">Reads it.</param>
    /// <param name="cancellationToken">Abandons the wait.</param>
    /// <exception cref="StoreUnavailableException">Its turn has not come in time.</exception>
    public async Task<T> RunAsync<T>(string what, Func<Task<T>> read, CancellationToken cancellationToken)
    {
        if (!await _places.WaitAsync(patience, cancellationToken).ConfigureAwait(false))
        {
            throw new StoreUnavailableException($"{what} failed: {most} other reads have taken more than {patience.TotalSeconds:0.#} s");
        }

        try
        {
            return await read().ConfigureAwait(false);
        }
        finally
        {
            _places.Release();
        }
    }
}
