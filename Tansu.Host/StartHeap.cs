using System.Runtime;

namespace Tansu.Host;

/// <summary>
/// The collector while the broker reads its state. Nearly all that is made then stays: to mark it over and over took two thirds of a start with a
/// large state. So it does not collect until the state is read, if that fits into three quarters of the heap, and then gives back what is left over, before the first request.
/// </summary>
/// <param name="heapBytes">What the heap may grow to.</param>
public sealed class StartHeap(long heapBytes)
{
    /// <summary>A state is read without much ado if its snapshot is smaller, in bytes.</summary>
    public const long LeastSnapshotBytes = 4 * 1024 * 1024;

    /// <summary>What is made of a byte of a snapshot: of the snapshot itself 8 bytes, of as many events as may follow it 6, and some to spare.</summary>
    private const int HeapBytesPerSnapshotByte = 18;

    /// <summary>The share of arrays of 85 KB and more, such as the snapshots that are read meanwhile, which have a heap of their own: 1 in this many.</summary>
    private const int LargeShare = 6;

    private readonly Lock _lock = new();
    private readonly GCLatencyMode _modeAfter = GCSettings.LatencyMode;
    private bool _mayPause;

    private static bool IsPaused => GCSettings.LatencyMode == GCLatencyMode.NoGCRegion;

    /// <summary>Reading begins. A collection beside it, on another thread, would take longer than one that stops it.</summary>
    public void Begin()
    {
        _mayPause = true;
        GCSettings.LatencyMode = GCLatencyMode.Batch;
    }

    /// <summary>Snapshots of so many bytes are about to be made into states. Only the first that are large count. Safe to call from any thread and at any time.</summary>
    public void Expect(long snapshotBytes)
    {
        lock (_lock)
        {
            if (!_mayPause || snapshotBytes < LeastSnapshotBytes)
            {
                return;
            }

            _mayPause = false;
            var bytes = Math.Min(snapshotBytes * HeapBytesPerSnapshotByte, (heapBytes / 4 * 3) - GC.GetTotalMemory(forceFullCollection: false));
            try
            {
                if (bytes >= LeastSnapshotBytes * HeapBytesPerSnapshotByte)
                {
                    GC.TryStartNoGCRegion(bytes, bytes / LargeShare);
                }
            }
            catch (ArgumentOutOfRangeException)
            {
                // More than the collector can promise on this machine: it collects as it always does.
            }
        }
    }

    /// <summary>The state is read, or will not be.</summary>
    public void End()
    {
        lock (_lock)
        {
            _mayPause = false;
            if (IsPaused)
            {
                try
                {
                    GC.EndNoGCRegion();
                }
                catch (InvalidOperationException)
                {
                    // It has just ended: what was promised is used up.
                }

                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }

            GCSettings.LatencyMode = _modeAfter;
        }
    }
}
