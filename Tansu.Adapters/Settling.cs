using System.Runtime.CompilerServices;

namespace Tansu.Adapters;

/// <summary>Waiting for the end of what goes on, whatever comes of it.</summary>
public static class Settling
{
    /// <summary>
    /// Until the task has ended. Its failure is told to who asks the task for it. The caller goes on where it was: what runs in the simulation stays there.
    /// </summary>
    public static ConfiguredTaskAwaitable Settled(this Task task)
    {
        ArgumentNullException.ThrowIfNull(task);
        return task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
    }
}
