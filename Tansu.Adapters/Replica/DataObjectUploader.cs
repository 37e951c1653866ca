using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters.Replica;

/// <summary>
/// Puts data objects into the store, any number side by side and ahead of the commits that will refer to them. Names begin with
/// the time, so that a listing is in order and the collector can tell old from new.
/// </summary>
/// <param name="blobs">Where they go.</param>
/// <param name="logName">The log whose entries will refer to them.</param>
/// <param name="writerNonce">Makes the names unique.</param>
/// <param name="earliestMs">No object may be named before this time: the log's, which may be ahead of this machine's clock.</param>
/// <param name="options">Clock and backoff.</param>
/// <param name="stopping">Abandons the uploads.</param>
internal sealed class DataObjectUploader(
    IBlobStore blobs,
    string logName,
    Guid writerNonce,
    Func<long> earliestMs,
    ReplicaOptions options,
    CancellationToken stopping)
{
    private long _number;

    /// <summary>Starts to upload; the batches must stay as they are until it is done.</summary>
    public void Start(DataObject content) => content.Upload = UploadAsync(content);

    private async Task UploadAsync(DataObject content)
    {
        var nowMs = Math.Max(options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds(), earliestMs());
        content.NamedAtMs = nowMs;
        content.Name = DataObjectName.Make(logName, nowMs, writerNonce, Interlocked.Increment(ref _number));

        // Whoever starts it may hold a lock.
        await Task.Yield();
        var backoff = new Backoff(options, options.MaxBackoff);
        while (content.IsWanted)
        {
            try
            {
                await blobs.PutAsync(content.Name, Sequences.Of(content.Slices), stopping);
                return;
            }
            catch (StoreUnavailableException unavailable)
            {
                options.OnNotice?.Invoke($"cannot upload {content.Name}: {unavailable.Message}; trying again");
                await backoff.WaitAsync(stopping);
            }
        }
    }
}
