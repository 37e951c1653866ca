using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Gives the space of deleted files back, little by little, on a thread of its own. A file system that frees much at once holds up whoever waits for its journal, the append to a log for
/// example: a hundred megabytes take tens of milliseconds where the disk is told as well (<c>discard</c>).
/// </summary>
internal sealed class FreedSpace : IAsyncDisposable
{
    /// <summary>Each that waits has a file descriptor. Who brings more waits instead.</summary>
    private const int MostWaiting = 256;

    private readonly IoThreads _thread = new("tansu file space", 1);
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationToken _hurry;
    private int _waiting;

    public FreedSpace() => _hurry = _stopping.Token;

    /// <summary>Takes a file over, whose deletion is durable if it has to be.</summary>
    public void Take(UnlinkedFile file)
    {
        if (Interlocked.Increment(ref _waiting) <= MostWaiting)
        {
            try
            {
                // Does not fail: what cannot be given back little by little goes when the file is closed.
                _ = _thread.RunAsync("Giving back space", () => GiveBack(file), CancellationToken.None);
                return;
            }
            catch (Exception error) when (error is StoreUnavailableException or ObjectDisposedException)
            {
                // There is no thread, or not any more.
            }
        }

        _ = GiveBack(file);
    }

    /// <summary>From now on everything is given back at once.</summary>
    public void Hurry() => _stopping.Cancel();

    /// <summary>Ends the thread. Nothing may be taken over any more.</summary>
    public async ValueTask DisposeAsync()
    {
        Hurry();
        await _thread.DisposeAsync().ConfigureAwait(false);
        _stopping.Dispose();
    }

    private bool GiveBack(UnlinkedFile file)
    {
        using (file)
        {
            file.GiveBack(_hurry);
            Interlocked.Decrement(ref _waiting);
            return true;
        }
    }
}
