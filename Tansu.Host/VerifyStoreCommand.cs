using System.Diagnostics;
using Tansu.Adapters;
using Tansu.Adapters.Ports;
using Tansu.Host.Commands;

namespace Tansu.Host;

/// <summary>`tansu verify-store`: races writers against each other until the store has broken its promise, or often enough.</summary>
public static class VerifyStoreCommand
{
    private const int RoundsPerLine = 10;

    /// <summary>Checks a store, with a line of progress every now and then.</summary>
    /// <param name="storageEngine">The store's URL.</param>
    /// <param name="rounds">How many races.</param>
    /// <param name="json">Whether to answer with one JSON document and no lines of progress.</param>
    /// <param name="output">For progress and the result.</param>
    /// <param name="errors">For what is wrong.</param>
    /// <returns>The exit code: 0 if every promise was kept, 1 if not or if nothing could be found out.</returns>
    public static async Task<int> RunAsync(string storageEngine, int rounds, bool json, TextWriter output, TextWriter errors)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(errors);
        var answer = new CommandOutput(output, errors, json);
        var begun = Stopwatch.GetTimestamp();
        var done = 0;
        var description = "";
        string? problem = null;
        try
        {
            var options = new StoreOptions { OnNotice = errors.WriteLine };
            var store = await StoreUrl.OpenAsync(storageEngine, options, CancellationToken.None).ConfigureAwait(false);
            await using var scope = store.ConfigureAwait(false);
            description = store.Description;
            answer.Line($"Checking {description}: {rounds} races of 32 writers each");
            while (done < rounds)
            {
                var next = Math.Min(RoundsPerLine, rounds - done);
                await StoreVerifier.VerifyAsync(store, next, waitsForCleanUp: true, CancellationToken.None).ConfigureAwait(false);
                done += next;
                answer.Line($"{done} of {rounds} races: exactly one winner each, {Stopwatch.GetElapsedTime(begun).TotalSeconds:F1} s");
            }

            answer.Line("The store keeps its promises.");
        }
        catch (Exception failure) when (failure is StoreRefusedException or StoreUnavailableException)
        {
            problem = failure.Message;
            answer.Fail(problem);
        }

        answer.Document(document =>
        {
            document.WriteString("store", description);
            document.WriteNumber("rounds", rounds);
            document.WriteNumber("races", done);
            document.WriteNumber("seconds", Math.Round(Stopwatch.GetElapsedTime(begun).TotalSeconds, 3));
            document.WriteBoolean("keepsItsPromises", problem is null);
            document.WriteString("problem", problem);
        });
        return answer.HasFailed ? 1 : 0;
    }
}
