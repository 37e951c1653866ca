namespace Tansu.Host;

/// <summary>How much memory this process may use, and how much of it is the garbage collector's.</summary>
internal static class MemoryLimit
{
    /// <summary>What is not the heap's: code, the runtime's own structures, stacks of threads, buffers of libraries, records that are compacted. 128 MiB.</summary>
    private const long MostOutsideHeapBytes = 128L * 1024 * 1024;

    /// <summary>How much of that is for records that are compacted: what compaction may use unless it is told otherwise. 32 MiB.</summary>
    internal const long UsualCompactionBytes = 32L * 1024 * 1024;

    /// <summary>.NET gives the heap three quarters of a container's memory.</summary>
    private const double RuntimesShare = 0.75;

    /// <summary>
    /// Limits the heap, from now on: the garbage collector works harder as the limit comes near, instead of letting the process grow until it
    /// is killed.
    /// </summary>
    /// <param name="limitBytes">What the process may use (<c>--memory-limit</c>); 0 for the container's or the machine's memory.</param>
    /// <param name="compactionBytes">What compaction may use (<c>--compaction-memory</c>); -1 for the usual.</param>
    /// <returns>The limit of the heap in bytes.</returns>
    public static long Apply(long limitBytes, long compactionBytes)
    {
        var available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        var heapBytes = Math.Min(HeapBytes(limitBytes > 0 ? limitBytes : Found(available), compactionBytes), available);
        // Documented for exactly this; works with native ahead-of-time compilation, too.
        AppContext.SetData("GCHeapHardLimit", (ulong)heapBytes);
        GC.RefreshMemoryLimit();
        return heapBytes;
    }

    /// <summary>The heap's share: all but <see cref="MostOutsideHeapBytes"/>, more of them if compaction may use more than usual, but at least half.</summary>
    internal static long HeapBytes(long limitBytes, long compactionBytes) =>
        limitBytes - Math.Min(limitBytes / 2, MostOutsideHeapBytes + Math.Max(0, compactionBytes - UsualCompactionBytes));

    private static long Found(long availableBytes)
    {
        var isContainer = GC.GetConfigurationVariables().TryGetValue("GCHeapHardLimit", out var limit) && limit is > 0L;
        return isContainer ? (long)(availableBytes / RuntimesShare) : availableBytes;
    }
}
