using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Deletes old objects that nothing refers to: those whose records have been written anew or deleted, and those of commits that were refused or never
/// came. First the log says that no entry may newly refer to an object so old; only then is it certain which ones nobody needs (decision 0004).
/// </summary>
internal sealed class GarbageCollector(string logName, CompactionScope scope, CompactorOptions options)
{
    /// <summary>The lengths of the objects older than the grace period that are needed, if they were listed.</summary>
    public Dictionary<string, long> NeededBytes { get; } = new(StringComparer.Ordinal);

    /// <summary>Deletes what is older than the grace period.</summary>
    /// <param name="listsStrays">Whether to look for objects that no entry ever named, which takes a listing of the store.</param>
    /// <param name="cancellationToken">Stops between two steps.</param>
    public async Task CollectAsync(bool listsStrays, CancellationToken cancellationToken)
    {
        var beforeMs = options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds() - (long)options.Grace.TotalMilliseconds;
        var doomed = new List<string>();
        foreach (var (name, sinceMs) in scope.State.Garbage)
        {
            if (sinceMs < beforeMs && IsOld(name, beforeMs))
            {
                doomed.Add(name);
            }
        }

        var strays = listsStrays ? await ListStraysAsync(beforeMs, cancellationToken) : [];
        if (doomed.Count + strays.Count == 0)
        {
            return;
        }

        await scope.SubmitAsync(ShardCommand.NewCollectObjects(beforeMs));
        doomed.RemoveAll(name => !scope.State.Garbage.ContainsKey(name));
        strays.RemoveAll(name => !IsStray(name));
        doomed.Sort(StringComparer.Ordinal);
        await scope.Blobs.DeleteAsync([.. doomed, .. strays], cancellationToken);
        scope.Count(new CompactionCounts { ObjectsDeleted = doomed.Count + strays.Count });
        if (doomed.Count > 0)
        {
            await scope.SubmitAsync(ShardCommand.NewForgetGarbage([.. doomed]));
        }
    }

    private async ValueTask<List<string>> ListStraysAsync(long beforeMs, CancellationToken cancellationToken)
    {
        var strays = new List<string>();
        await foreach (var found in scope.Blobs.ListAsync(DataObjectName.Prefix(logName), cancellationToken))
        {
            // In the order of their times.
            if (!IsOld(found.Name, beforeMs))
            {
                break;
            }

            if (IsStray(found.Name))
            {
                strays.Add(found.Name);
            }
            else
            {
                NeededBytes[found.Name] = found.Length;
            }
        }

        return strays;
    }

    private bool IsOld(string name, long beforeMs) => DataObjectName.TryGetTime(logName, name, out var namedAtMs) && namedAtMs < beforeMs;

    /// <summary>Whether the state knows nothing of an object.</summary>
    private bool IsStray(string name) => !scope.State.Objects.ContainsKey(name) && !scope.State.Garbage.ContainsKey(name);
}
