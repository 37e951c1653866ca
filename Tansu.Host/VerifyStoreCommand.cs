using System.Diagnostics;
using Tansu.Adapters;
using Tansu.Adapters.Ports;

namespace Tansu.Host;

/// <summary>`tansu verify-store`: races writers against each other until the store has broken its promise, or often enough.</summary>
public static class VerifyStoreCommand
{
    private const int RoundsPerLine = 10;

    /// <summary>Checks a store, with a line of progress every now and then.</summary>
    /// <param name="storageEngine">The store's URL.</param>
    /// <param name="rounds">How many races.</param>
    /// <param name="output">For progress and the result.</param>
    /// <param name="errors">For what is wrong.</param>
    /// <returns>The exit code: 0 if every promise was kept, 1 if not or if nothing could be found out.</returns>
    public static async Task<int> RunAsync(string storageEngine, int rounds, TextWriter output, TextWriter errors)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(errors);
        try
        {
            var options = new StoreOptions { OnNotice = errors.WriteLine };
            var store = await StoreUrl.OpenAsync(storageEngine, options, CancellationToken.None).ConfigureAwait(false);
            await using var scope = store.ConfigureAwait(false);
            await output.WriteLineAsync($"Checking {store.Description}: {rounds} races of 32 writers each").ConfigureAwait(false);
            var begun = Stopwatch.GetTimestamp();
            for (var done = 0; done < rounds;)
            {
                var next = Math.Min(RoundsPerLine, rounds - done);
                await StoreVerifier.VerifyAsync(store, next, waitsForCleanUp: true, CancellationToken.None).ConfigureAwait(false);
                done += next;
                await output.WriteLineAsync($"{done} of {rounds} races: exactly one winner each, {Stopwatch.GetElapsedTime(begun).TotalSeconds:F1} s")
                    .ConfigureAwait(false);
            }

            await output.WriteLineAsync("The store keeps its promises.").ConfigureAwait(false);
            return 0;
        }
        catch (Exception failure) when (failure is StoreRefusedException or StoreUnavailableException)
        {
            await errors.WriteLineAsync($"tansu: {failure.Message}").ConfigureAwait(false);
            return 1;
        }
    }
}
