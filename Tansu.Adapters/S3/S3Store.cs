using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// A cluster in a bucket (<c>s3://bucket/prefix</c>) of AWS or of any server that honours conditional writes, for any number of brokers. Keys
/// and formats are described in <c>docs/storage-s3.md</c>.
/// </summary>
public sealed class S3Store : IStore, IScratchLogs
{
    private const int MaxClusterBytes = 1024 * 1024;
    private const int MaxClusterAttempts = 8;

    private readonly S3Client _client;
    private readonly StoreOptions _options;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, S3EventLog> _logs = new(StringComparer.Ordinal);
    private readonly string _clusterKey;
    private volatile byte[]? _cluster;
    private bool _disposed;

    private S3Store(S3Client client, StoreOptions options)
    {
        _client = client;
        _options = options;
        _clusterKey = client.Settings.Prefix + "cluster";
        Blobs = new S3Blobs(client);
    }

    /// <inheritdoc/>
    public string Description => $"s3 {_client.Settings.Place} at {_client.Settings.Where}";

    /// <inheritdoc/>
    public StoreLimits Limits { get; } = new(1024 * 1024, TimeSpan.FromMilliseconds(30))
    {
        DataObjectBytes = 8 * 1024 * 1024,
        ReadAheadBytes = 4 * 1024 * 1024,
        NeedsVerification = true,
    };

    /// <inheritdoc/>
    public IBlobStore Blobs { get; }

    /// <summary>How many requests this store has sent.</summary>
    public S3Requests Requests => _client.Requests;

    /// <summary>Connects and reads the cluster's first object, which shows whether the bucket can be used.</summary>
    /// <param name="bucketAndPrefix">The URL's part after <c>s3://</c>. Everything else comes from the environment (<c>AWS_…</c>).</param>
    /// <param name="options">What the caller may choose.</param>
    /// <param name="cancellationToken">Abandons the opening.</param>
    /// <exception cref="StoreRefusedException">URL, environment, credentials, bucket or region are wrong; the message says which.</exception>
    /// <exception cref="StoreUnavailableException">The endpoint does not answer now.</exception>
    public static Task<S3Store> OpenAsync(string bucketAndPrefix, StoreOptions options, CancellationToken cancellationToken) =>
        OpenAsync(bucketAndPrefix, options, Environment.GetEnvironmentVariable, wrap: null, cancellationToken);

    internal static async Task<S3Store> OpenAsync(
        string bucketAndPrefix,
        StoreOptions options,
        Func<string, string?> environment,
        Func<HttpMessageHandler, HttpMessageHandler>? wrap,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(bucketAndPrefix);
        ArgumentNullException.ThrowIfNull(options);
        var client = new S3Client(S3Settings.Parse(bucketAndPrefix, environment), options, wrap);
        var store = new S3Store(client, options);
        try
        {
            store._cluster = await store.ReadFirstAsync(cancellationToken).ConfigureAwait(false);
            return store;
        }
        catch
        {
            await store.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return new ValueTask<IEventLog>(OpenLog(name));
    }

    /// <inheritdoc/>
    public async ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(
        ReadOnlyMemory<byte> proposed,
        CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfZero(proposed.Length, nameof(proposed));
        cancellationToken.ThrowIfCancellationRequested();
        if (_cluster is { } known)
        {
            return known;
        }

        var content = S3Frame.Make(S3Kind.Cluster, 0, new ReadOnlySequence<byte>(proposed), ReadOnlySequence<byte>.Empty);
        for (var attempt = 0; attempt < MaxClusterAttempts; attempt++)
        {
            var put = await _client.CreateAsync(_clusterKey, content, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            if (put.Fault is S3Fault.Denied or S3Fault.NotImplemented && !put.IsDone)
            {
                throw S3Errors.AtOpen(_client.Settings, put.Error!);
            }

            // Read back in any case: an earlier try of ours may have landed, and everybody has to see the same.
            var stored = put.IsDone ? proposed.ToArray() : await ReadClusterAsync(cancellationToken).ConfigureAwait(false);
            if (stored is not null)
            {
                _cluster = stored;
                return stored;
            }

            await S3Jitter.WaitAsync(attempt, cancellationToken).ConfigureAwait(false);
        }

        throw new StoreUnavailableException($"Writing {_clusterKey} failed at {_client.Settings.Where}; it does not confirm.");
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        S3EventLog[] logs;
        lock (_gate)
        {
            _disposed = true;
            logs = [.. _logs.Values];
            _logs.Clear();
        }

        foreach (var log in logs)
        {
            await log.DisposeAsync().ConfigureAwait(false);
        }

        await _client.DisposeAsync().ConfigureAwait(false);
    }

    IEventLog IScratchLogs.OpenScratch(string name)
    {
        var log = OpenLog(name);
        log.AssumeNew();
        return log;
    }

    async Task IScratchLogs.DropAsync(string name, long entries, CancellationToken cancellationToken)
    {
        var keys = new S3Keys(_client.Settings.Prefix, name);
        var doomed = new List<string> { keys.Hint, keys.Scratch };
        for (var number = 1L; number <= entries; number++)
        {
            doomed.Add(keys.Entry(number));
        }

        await _client.DeleteAsync(doomed, cancellationToken).ConfigureAwait(false);
    }

    async Task<bool> IScratchLogs.ReplacesOnlyWhatWasReadAsync(string name, CancellationToken cancellationToken)
    {
        var key = new S3Keys(_client.Settings.Prefix, name).Scratch;
        var eTag = await _client.PutAsync(key, new ReadOnlySequence<byte>("first"u8.ToArray()), cancellationToken).ConfigureAwait(false);
        var second = await _client.ReplaceAsync(key, eTag, "second"u8.ToArray(), cancellationToken).ConfigureAwait(false);
        var stale = await _client.ReplaceAsync(key, eTag, "stale"u8.ToArray(), cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        var failed = second.IsDone ? stale : second;
        return failed.IsDone || failed.Fault is S3Fault.ConditionFailed or S3Fault.AskAgain or S3Fault.NotImplemented
            ? second.IsDone && !stale.IsDone
            : throw S3Errors.Unavailable($"Writing {key}", _client.Settings, failed.Error!);
    }

    private S3EventLog OpenLog(string name)
    {
        StoreNames.CheckLog(name);
        if (name == "blobs")
        {
            throw new ArgumentException("The keys under 'blobs' are those of objects: no log can have this name.", nameof(name));
        }

        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_logs.TryGetValue(name, out var log) || log.IsDisposed)
            {
                log = new S3EventLog(_client, name, _options);
                _logs[name] = log;
            }

            return log;
        }
    }

    /// <summary>Reads the cluster object as the first request of all: it finds out whether the bucket can be used.</summary>
    private async Task<byte[]?> ReadFirstAsync(CancellationToken cancellationToken)
    {
        try
        {
            var found = await _client.GetOrThrowAsync(_clusterKey, 0, MaxClusterBytes, cancellationToken).ConfigureAwait(false);
            return Decode(found);
        }
        catch (Exception error) when (error is not StoreRefusedException && !cancellationToken.IsCancellationRequested)
        {
            return S3Errors.Classify(error) == S3Fault.NoKey ? null : throw S3Errors.AtOpen(_client.Settings, error);
        }
    }

    private async Task<byte[]?> ReadClusterAsync(CancellationToken cancellationToken) =>
        Decode(await _client.GetAsync(_clusterKey, MaxClusterBytes, cancellationToken).ConfigureAwait(false));

    private byte[]? Decode(S3Content? found)
    {
        if (found is null)
        {
            return null;
        }

        if (S3Frame.NewerVersion(found.Bytes, S3Kind.Cluster) is { } newer)
        {
            throw new StoreRefusedException($"{_clusterKey} has format {newer}: a newer Tansu wrote it; start that version.");
        }

        return S3Frame.Open(found.Bytes, S3Kind.Cluster, 0)?.ToArray()
            ?? throw new StoreRefusedException(
                $"{_clusterKey} in bucket {_client.Settings.Bucket} is damaged or not Tansu's; choose another prefix, or restore the object.");
    }
}
