using System.Runtime.InteropServices;

namespace Tansu.Host.Commands;

/// <summary>For commands that somebody may stop who then still wants to see something.</summary>
public static class Interruption
{
    /// <summary>Runs something that is told when SIGINT or SIGTERM comes, rather than being ended by it.</summary>
    /// <param name="run">What to run.</param>
    public static async Task<int> HeedAsync(Func<CancellationToken, Task<int>> run)
    {
        ArgumentNullException.ThrowIfNull(run);
        using var stop = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        return await run(stop.Token).ConfigureAwait(false);

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
    }
}
