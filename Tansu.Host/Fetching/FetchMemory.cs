using Tansu.Adapters;
using Tansu.Host.Network;

namespace Tansu.Host.Fetching;

/// <summary>What one fetch holds of the memory for replies, until its reply has been sent.</summary>
internal sealed class FetchMemory(ByteBudget budget) : IDisposable
{
    /// <summary>How much is held.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>Holds this much, or the whole budget if that is less; nothing if there is no room in time or the broker stops.</summary>
    /// <exception cref="OperationCanceledException">Nobody waits for the reply any more.</exception>
    public async ValueTask TryHoldAsync(
        long bytes,
        TimeSpan patience,
        TimeProvider timeProvider,
        CancellationToken stopping,
        CancellationToken cancellationToken)
    {
        var wanted = Math.Min(bytes, budget.LimitBytes);
        if (wanted == 0)
        {
            return;
        }

        if (!budget.TryHold(wanted))
        {
            using var late = new CancellationTokenSource(patience, timeProvider);
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stopping, cancellationToken);
            try
            {
                await budget.HoldAsync(wanted, ended.Token);
            }
            catch (OperationCanceledException)
            {
                cancellationToken.ThrowIfCancellationRequested();
                return;
            }
        }

        HeldBytes = wanted;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        budget.Release(HeldBytes);
        HeldBytes = 0;
    }
}
