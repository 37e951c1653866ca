using System.Globalization;
using Tansu.Adapters;
using Tansu.Adapters.Compaction;
using Tansu.Host.Network;
using Tansu.Host.Requests;

namespace Tansu.Host.Metrics;

/// <summary>
/// What there is to tell of this broker, and whether it serves. Everything is read when somebody asks; nothing in here holds a secret.
/// Safe to use from any thread, also after the broker was disposed.
/// </summary>
/// <param name="version">The program's version.</param>
/// <param name="startedAt">When the program was entered.</param>
/// <param name="listener">The Kafka listener.</param>
internal sealed class BrokerMetrics(string version, DateTimeOffset startedAt, KafkaListener listener)
{
    private volatile Opened? _opened;
    private volatile bool _isStopping;

    /// <summary>Whether the store is open and the broker is not about to end.</summary>
    public bool IsReady => _opened is not null && !_isStopping;

    /// <summary>The store is open and requests are served.</summary>
    public void Open(Broker broker, ApiTable apis) => _opened = new Opened(broker, apis);

    /// <summary>The broker has begun to stop.</summary>
    public void Stop() => _isStopping = true;

    /// <summary>Everything, as Prometheus reads it; before the store is open only what does not need it.</summary>
    public string Write()
    {
        var text = new PrometheusText();
        if (_opened is { } opened)
        {
            WriteRequests(text, opened.Apis);
            WriteLogs(text, opened.Broker.Cluster);
            WriteStore(text, opened.Broker.StoreRequests);
            WriteCompaction(text, opened.Broker.Cluster);
        }

        text.Counter("tansu_request_errors_total", "Requests that ended their connection: malformed, of an API or version that is not served, or failed.")
            .Sample(listener.RequestErrorCount);
        text.Gauge("tansu_connections", "Open client connections.").Sample(listener.ConnectionCount);
        WriteProcess(text);
        return text.ToString();
    }

    private static void WriteRequests(PrometheusText text, ApiTable apis)
    {
        text.Counter("tansu_requests_total", "Requests received, by API.");
        foreach (var handler in apis.All)
        {
            text.Sample("api", handler.Name, handler.RequestCount);
        }
    }

    private static void WriteLogs(PrometheusText text, Cluster cluster)
    {
        text.Gauge("tansu_log_entry", "The number of the newest entry that this broker knows, by log.");
        text.Sample("log", "catalog", cluster.CatalogEntryNumber);
        foreach (var shard in cluster.Shards)
        {
            text.Sample("log", ClusterShard.LogName(shard.Index), shard.Replica.Current.EntryNumber);
        }
    }

    private static void WriteStore(PrometheusText text, S3RequestCounts? requests)
    {
        if (requests is { } counts)
        {
            text.Counter("tansu_store_requests_total", "Requests sent to S3, by kind; a retry counts again.")
                .Sample("kind", "put", counts.Put)
                .Sample("kind", "get", counts.Get)
                .Sample("kind", "head", counts.Head)
                .Sample("kind", "list", counts.List)
                .Sample("kind", "delete", counts.Delete);
        }
    }

    private static void WriteCompaction(PrometheusText text, Cluster cluster)
    {
        var done = default(CompactionCounts);
        long objects = 0;
        long garbage = 0;
        foreach (var shard in cluster.Shards)
        {
            done += shard.Compactor.Counts;
            objects += shard.Replica.Current.State.Objects.Count;
            garbage += shard.Replica.Current.State.Garbage.Count;
        }

        text.Counter("tansu_compaction_passes_total", "Compaction passes of this broker that found something to do.").Sample(done.Passes);
        text.Counter("tansu_compaction_read_requests_total", "Requests for records that compaction sent to the store.").Sample(done.Reads);
        text.Counter("tansu_compaction_read_bytes_total", "Bytes that compaction read from the store.").Sample(done.ReadBytes);
        text.Counter("tansu_compaction_objects_written_total", "Segments and index pages that compaction wrote.").Sample(done.ObjectsWritten);
        text.Counter("tansu_compaction_written_bytes_total", "Bytes in them.").Sample(done.WrittenBytes);
        text.Counter("tansu_compaction_chunks_replaced_total", "Chunks whose records were written elsewhere.").Sample(done.ChunksReplaced);
        text.Counter("tansu_compaction_records_removed_total", "Records that compaction by key has removed.").Sample(done.RecordsRemoved);
        text.Counter("tansu_retention_partitions_cut_total", "Partitions cut back by retention.ms or retention.bytes, each time.").Sample(done.PartitionsCut);
        text.Counter("tansu_objects_deleted_total", "Objects deleted after nothing referred to them any more.").Sample(done.ObjectsDeleted);
        text.Gauge("tansu_objects", "Data objects, segments and index pages in use.").Sample(objects);
        text.Gauge("tansu_objects_garbage", "Objects that nothing refers to, waiting to be deleted.").Sample(garbage);
    }

    private void WriteProcess(PrometheusText text)
    {
        text.Gauge("tansu_build_info", "The version of the program.").Sample("version", version, 1);
        text.Gauge("process_resident_memory_bytes", "Physical memory that the process uses.").Sample(Environment.WorkingSet);
        text.Gauge("process_start_time_seconds", "When the program was entered, in seconds since 1970.")
            .Sample(startedAt.ToUnixTimeMilliseconds() / 1000.0);
        text.Gauge("dotnet_gc_heap_bytes", "Bytes on the managed heap, with garbage that was not collected yet.").Sample(GC.GetTotalMemory(forceFullCollection: false));
        text.Counter("dotnet_gc_collections_total", "Garbage collections of a generation; those of an older one are counted here as well.");
        for (var generation = 0; generation <= GC.MaxGeneration; generation++)
        {
            text.Sample("generation", generation.ToString(CultureInfo.InvariantCulture), GC.CollectionCount(generation));
        }
    }

    private sealed record Opened(Broker Broker, ApiTable Apis);
}
