using System.Globalization;
using Tansu.Adapters;
using Tansu.Adapters.Compaction;
using Tansu.Adapters.Measuring;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Codec;
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

    /// <summary>How long the store may take to show that it is there.</summary>
    private static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(3);

    /// <summary>
    /// Why the broker is not ready, in a few words; null if it is: the store is open and answers, this broker has read all logs to their ends, and is not about
    /// to end.
    /// </summary>
    public async Task<string?> ProblemAsync()
    {
        if (_isStopping)
        {
            return "stopping";
        }

        if (_opened is not { } opened)
        {
            return "starting";
        }

        try
        {
            await opened.Broker.Cluster.CatchUpAsync(ProbeTimeout);
            return _isStopping ? "stopping" : null;
        }
        catch (Exception failure) when (failure is TimeoutException or StoreRefusedException)
        {
            return "the store does not answer";
        }
    }

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
            WriteLogs(text, [.. opened.Broker.Cluster.Logs]);
            WriteStore(text, opened.Broker.StoreMeasures, opened.Broker.StoreRequests);
            WriteCache(text, opened.Broker.Cluster.Cache);
            ContentMetrics.Write(text, opened.Broker);
            WriteCompaction(text, opened.Broker.Cluster);
        }

        text.Counter("tansu_request_errors_total", "Requests that ended their connection: malformed, of an API or version that is not served, or failed.")
            .Sample(listener.RequestErrorCount);
        text.Counter("tansu_malformed_requests_total", "Of these, bytes that are no request; the log names the addresses, at a bounded rate.")
            .Sample(listener.MalformedRequestCount);
        text.Counter("tansu_slow_clients_total", "Connections closed because the client took too little of its replies for too long (--slow-client-ms).")
            .Sample(listener.SlowClientCount);
        text.Counter("tansu_connections_refused_total", "Connections closed at once because there were too many (--max-connections, --max-connections-per-ip).")
            .Sample(listener.RefusedConnectionCount);
        text.Gauge("tansu_connections", "Open client connections.").Sample(listener.ConnectionCount);
        WriteProcess(text);
        return text.ToString();
    }

    private static void WriteRequests(PrometheusText text, ApiTable apis)
    {
        var used = apis.All.Where(static handler => handler.RequestCount > 0).ToArray();
        text.Counter("tansu_requests_total", "Requests received, by API.");
        foreach (var handler in apis.All)
        {
            text.Sample(handler.RequestCount, ("api", handler.Name));
        }

        text.Counter("tansu_request_bytes_total", "Bytes of the requests, by API.");
        foreach (var handler in used)
        {
            text.Sample(handler.RequestBytes, ("api", handler.Name));
        }

        text.Counter("tansu_response_bytes_total", "Bytes of the responses, by API.");
        foreach (var handler in used)
        {
            text.Sample(handler.ResponseBytes, ("api", handler.Name));
        }

        text.Counter("tansu_response_errors_total", "Error codes in responses, by API: one for each partition or the like that failed.");
        foreach (var handler in used)
        {
            foreach (var (error, count) in handler.ErrorCounts)
            {
                text.Sample(count, ("api", handler.Name), ("error", error.KafkaName()));
            }
        }

        text.Histogram("tansu_request_seconds", "Time from reading a request until its reply is ready, by API; what Fetch and JoinGroup wait for is in it.");
        foreach (var handler in used)
        {
            text.Sample(handler.Latency, PrometheusText.MicrosecondsPerSecond, ("api", handler.Name));
        }
    }

    private static void WriteLogs(PrometheusText text, LogStatus[] logs)
    {
        Each(text.Gauge("tansu_log_entry", "The newest entry that this broker knows, by log."), static log => log.EntryNumber);
        Each(
            text.Gauge("tansu_log_age_seconds", "Time since this broker last knew that it had read all of a log; a log that nobody asks for is not read."),
            static log => log.Age.TotalSeconds);
        Each(text.Counter("tansu_commit_commands_total", "Commands in the entries that this broker committed, by log."), static log => log.Commits.Commands);
        Each(text.Counter("tansu_commit_conflicts_total", "Entries decided again because another broker's came first, by log."), static log => log.Commits.Conflicts);
        Each(
            text.Counter("tansu_commit_retries_total", "Attempts repeated because the store failed or did not say what became of an entry, by log."),
            static log => log.Commits.Retries);
        Each(
            text.Counter("tansu_commit_undecidable_total", "Entries of which nobody can tell any more whether they were committed, by log."),
            static log => log.Commits.Undecidable);
        Sizes(text.Histogram("tansu_commit_seconds", "Time that the store took for an entry of this broker's, retries and all."), static log => log.Commits.Latency, PrometheusText.MicrosecondsPerSecond);
        Sizes(text.Histogram("tansu_commit_wait_seconds", "Time from a command's arrival to its commit's end."), static log => log.Commits.Wait, PrometheusText.MicrosecondsPerSecond);
        Sizes(text.Histogram("tansu_commit_bytes", "Size of an entry of this broker's, with what it put into data objects."), static log => log.Commits.Bytes, 1);

        void Each(PrometheusText metric, Func<LogStatus, double> value) => Array.ForEach(logs, log => metric.Sample(value(log), ("log", log.Name)));

        void Sizes(PrometheusText metric, Func<LogStatus, Histogram> value, double divisor) =>
            Array.ForEach(logs, log => metric.Sample(value(log), divisor, ("log", log.Name)));
    }

    private static void WriteStore(PrometheusText text, StoreMeasures? measures, S3RequestCounts? requests)
    {
        if (measures is not null)
        {
            text.Histogram("tansu_store_seconds", "Time that the store took, by what it was asked for; failures are not in it.");
            foreach (var kind in StoreMeasures.Kinds)
            {
                text.Sample(measures.Of(kind).Latency, PrometheusText.MicrosecondsPerSecond, ("operation", NameOf(kind)));
            }

            text.Counter("tansu_store_bytes_total", "Bytes written to and read from the store, by what it was asked for.");
            foreach (var kind in StoreMeasures.Kinds)
            {
                text.Sample(measures.Of(kind).Bytes, ("operation", NameOf(kind)));
            }

            text.Counter("tansu_store_errors_total", "Failures of the store, by what it was asked for; nearly all are tried again.");
            foreach (var kind in StoreMeasures.Kinds)
            {
                text.Sample(measures.Of(kind).Errors, ("operation", NameOf(kind)));
            }
        }

        if (requests is { } counts)
        {
            text.Counter("tansu_store_requests_total", "Requests sent to S3, by kind; a retry counts again.")
                .Sample(counts.Put, ("kind", "put"))
                .Sample(counts.Get, ("kind", "get"))
                .Sample(counts.Head, ("kind", "head"))
                .Sample(counts.List, ("kind", "list"))
                .Sample(counts.Delete, ("kind", "delete"));
        }
    }

    private static void WriteCache(PrometheusText text, RecordCache cache)
    {
        text.Counter("tansu_cache_hits_total", "Blocks of records that were found in memory.").Sample(cache.Hits);
        text.Counter("tansu_cache_misses_total", "Blocks of records that were not, and had to be read.").Sample(cache.Misses);
        text.Gauge("tansu_cache_bytes", "Records in memory.").Sample(cache.Bytes);
    }

    private static string NameOf(StoreRequestKind kind) => kind switch
    {
        StoreRequestKind.Append => "append",
        StoreRequestKind.ReadEntries => "read_entries",
        StoreRequestKind.ReadRecords => "read_records",
        StoreRequestKind.SaveSnapshot => "save_snapshot",
        StoreRequestKind.LoadSnapshot => "load_snapshot",
        StoreRequestKind.Trim => "trim",
        StoreRequestKind.PutObject => "put_object",
        StoreRequestKind.ReadObject => "read_object",
        StoreRequestKind.DeleteObjects => "delete_objects",
        StoreRequestKind.ListObjects => "list_objects",
        _ => "other",
    };

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
        text.Gauge("tansu_build_info", "The version of the program.").Sample(1, ("version", version));
        text.Gauge("process_resident_memory_bytes", "Physical memory that the process uses.").Sample(Environment.WorkingSet);
        text.Gauge("process_start_time_seconds", "When the program was entered, in seconds since 1970.")
            .Sample(startedAt.ToUnixTimeMilliseconds() / 1000.0);
        text.Gauge("dotnet_gc_heap_bytes", "Bytes on the managed heap, with garbage that was not collected yet.").Sample(GC.GetTotalMemory(forceFullCollection: false));
        text.Counter("dotnet_gc_collections_total", "Garbage collections of a generation; those of an older one are counted here as well.");
        for (var generation = 0; generation <= GC.MaxGeneration; generation++)
        {
            text.Sample(GC.CollectionCount(generation), ("generation", generation.ToString(CultureInfo.InvariantCulture)));
        }

        text.Counter("dotnet_gc_allocated_bytes_total", "Bytes allocated on the managed heap.").Sample(GC.GetTotalAllocatedBytes());
        text.Counter("dotnet_gc_pause_seconds_total", "Time for which garbage collections stopped the program.").Sample(GC.GetTotalPauseDuration().TotalSeconds);
        text.Counter("process_cpu_seconds_total", "Processor time, user and system.").Sample(Environment.CpuUsage.TotalTime.TotalSeconds);
    }

    private sealed record Opened(Broker Broker, ApiTable Apis);
}
