using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using Amazon.S3;
using Amazon.S3.Model;
using Tansu.Adapters.Ports;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>An object, or the beginning of it.</summary>
/// <param name="Bytes">What was read.</param>
/// <param name="Length">Length of the whole object.</param>
/// <param name="ETag">What a conditional write names this version by.</param>
/// <param name="LastModified">When it was written, by the store's clock.</param>
internal sealed record S3Content(byte[] Bytes, long Length, string ETag, DateTimeOffset LastModified);

/// <summary>What became of a PUT.</summary>
/// <param name="Error">What the driver said; null when it was done.</param>
/// <param name="Fault">What that means; meaningless when it was done.</param>
/// <param name="ETag">Of the new object when it was done.</param>
internal readonly record struct S3PutResult(Exception? Error, S3Fault Fault, string ETag)
{
    public bool IsDone => Error is null;
}

/// <summary>
/// The requests that the store is made of: one attempt each, with a deadline, over the vendor's driver. Errors come out as the port's.
/// </summary>
internal sealed class S3Client : IAsyncDisposable
{
    /// <summary>The slowest connection that is waited for, on top of the request timeout.</summary>
    private const double SlowestBytesPerSecond = 1024 * 1024;

    private const int KeysPerDeletion = 1000;

    /// <summary>How many connections the reading of records takes.</summary>
    private const int MaxReads = S3Http.MaxConnections / 4 * 3;

    private readonly S3Driver _driver;
    private readonly S3Http _http;
    private readonly StoreOptions _options;
    private readonly S3Ranges _ranges;
    private readonly ReadGate _reads;
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _requests = 1; // one for not being disposed
    private volatile bool _disposed;

    public S3Client(S3Settings settings, StoreOptions options, Func<HttpMessageHandler, HttpMessageHandler>? wrap)
    {
        HttpMessageHandler connections = S3Http.Connections(options.RequestTimeout);
        _http = new S3Http(wrap is null ? connections : wrap(connections));
        _options = options;
        _ranges = new S3Ranges(this);
        _reads = new ReadGate(MaxReads, options.RequestTimeout, TimeProvider.System);
        (_driver, Settings) = settings.Connect(new S3HttpClientFactory(_http));
    }

    public S3Settings Settings { get; }

    public S3Requests Requests => _http.Requests;

    /// <summary>The store's clock in its latest response.</summary>
    public DateTimeOffset StoreTime => _http.StoreTime;

    public void Notice(string message) => _options.OnNotice?.Invoke(message);

    /// <summary>The first <paramref name="bytes"/> of an object, or all of it when it is shorter; null when there is none.</summary>
    public Task<S3Content?> GetAsync(string key, long bytes, CancellationToken cancellationToken) =>
        GetAsync(key, 0, bytes, cancellationToken);

    /// <summary>A range of an object, or as much of it as there is; null when there is no such object.</summary>
    public async Task<S3Content?> GetAsync(string key, long position, long bytes, CancellationToken cancellationToken)
    {
        try
        {
            return await GetOrThrowAsync(key, position, bytes, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (!IsCallers(error, cancellationToken))
        {
            return S3Errors.Classify(error) == S3Fault.NoKey ? null : throw S3Errors.Unavailable($"Reading {key}", Settings, error);
        }
    }

    /// <summary>The same, with the driver's own error.</summary>
    public Task<S3Content?> GetOrThrowAsync(string key, long position, long bytes, CancellationToken cancellationToken) =>
        RunAsync(Math.Min(bytes, 1 << 30), async token =>
        {
            // How much comes, and so how long it may take, only the answer tells where all of an object is asked for.
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(token);
            deadline.CancelAfter(TimeFor(bytes < long.MaxValue ? bytes : 0));
            var request = new GetObjectRequest { BucketName = Settings.Bucket, Key = key };
            if (position > 0 || bytes < long.MaxValue)
            {
                request.ByteRange = new ByteRange(position, position + bytes - 1);
            }

            using var response = await _driver.GetObjectAsync(request, deadline.Token).ConfigureAwait(false);
            deadline.CancelAfter(TimeFor(response.ContentLength));
            var content = GC.AllocateUninitializedArray<byte>(checked((int)response.ContentLength));
            await response.ResponseStream.ReadExactlyAsync(content, deadline.Token).ConfigureAwait(false);
            var modified = new DateTimeOffset(response.LastModified.GetValueOrDefault().ToUniversalTime());
            return (S3Content?)new S3Content(content, LengthOf(response), Unquoted(response.ETag), modified);
        }, cancellationToken);

    /// <summary>Fills as much of the destination as there is, with one request for all who want something of the object at the same time.</summary>
    /// <returns>How many bytes; -1 when there is no such object.</returns>
    public Task<int> ReadAsync(string key, long position, Memory<byte> destination, CancellationToken cancellationToken) =>
        _ranges.ReadAsync(key, position, destination, cancellationToken);

    /// <summary>Fills as much of the destinations as there is, with one request.</summary>
    /// <param name="key">The object.</param>
    /// <param name="ranges">In order, none beginning before the one before it ends.</param>
    /// <param name="cancellationToken">Abandons it.</param>
    /// <returns>How many bytes there are from the first one's position on, up to the last one's end; -1 when there is no such object.</returns>
    public Task<int> ReadAsync(string key, IReadOnlyList<S3Range> ranges, CancellationToken cancellationToken)
    {
        var length = checked((int)(ranges[^1].End - ranges[0].Position));
        return GatedAsync(key, length, () => ReadNowAsync(key, ranges, length, cancellationToken), cancellationToken);
    }

    /// <summary>Reads what belongs to records when it is its turn.</summary>
    public Task<T> GatedAsync<T>(string key, int bytes, Func<Task<T>> read, CancellationToken cancellationToken) =>
        _reads.RunAsync($"Reading {key}", bytes, read, cancellationToken);

    private async Task<int> ReadNowAsync(string key, IReadOnlyList<S3Range> ranges, int length, CancellationToken cancellationToken)
    {
        try
        {
            var start = ranges[0].Position;
            return await RunAsync(length, async token =>
            {
                var request = new GetObjectRequest { BucketName = Settings.Bucket, Key = key, ByteRange = new ByteRange(start, start + length - 1) };
                using var response = await _driver.GetObjectAsync(request, token).ConfigureAwait(false);
                var available = (int)Math.Min(response.ContentLength, length);
                var read = 0;
                foreach (var range in ranges)
                {
                    var from = (int)Math.Min(range.Position - start, available);
                    await SkipAsync(response.ResponseStream, from - read, token).ConfigureAwait(false);
                    var filled = range.Filled(available, start);
                    await response.ResponseStream.ReadExactlyAsync(range.Destination[..filled], token).ConfigureAwait(false);
                    read = from + filled;
                }

                return available;
            }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (!IsCallers(error, cancellationToken))
        {
            return S3Errors.Classify(error) switch
            {
                S3Fault.NoKey => -1,
                S3Fault.NoRange => 0,
                _ => throw S3Errors.Unavailable($"Reading {key}", Settings, error),
            };
        }
    }

    /// <summary>The length of an object; -1 when there is none.</summary>
    public async Task<long> LengthAsync(string key, CancellationToken cancellationToken)
    {
        try
        {
            var request = new GetObjectMetadataRequest { BucketName = Settings.Bucket, Key = key };
            return await RunAsync(
                0,
                async token => (await _driver.GetObjectMetadataAsync(request, token).ConfigureAwait(false)).ContentLength,
                cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (!IsCallers(error, cancellationToken))
        {
            return S3Errors.IsNoKeyWithoutBody(error) ? -1 : throw S3Errors.Unavailable($"Looking for {key}", Settings, error);
        }
    }

    /// <summary>Writes an object if no object has its name.</summary>
    public Task<S3PutResult> CreateAsync(string key, byte[] content, CancellationToken cancellationToken) =>
        PutAsync(new PutObjectRequest { Key = key, IfNoneMatch = "*" }, new ReadOnlySequence<byte>(content), cancellationToken);

    /// <summary>Writes an object in place of the version that was read; null: if there is none.</summary>
    public Task<S3PutResult> ReplaceAsync(string key, string? eTag, byte[] content, CancellationToken cancellationToken) =>
        eTag is null
            ? CreateAsync(key, content, cancellationToken)
            : PutAsync(new PutObjectRequest { Key = key, IfMatch = eTag }, new ReadOnlySequence<byte>(content), cancellationToken);

    /// <summary>Writes an object, whether it exists or not.</summary>
    /// <exception cref="StoreUnavailableException">It may be written or not.</exception>
    public async Task<string> PutAsync(string key, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        var put = await PutAsync(new PutObjectRequest { Key = key }, content, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        return put.IsDone ? put.ETag : throw S3Errors.Unavailable($"Writing {key}", Settings, put.Error!);
    }

    /// <summary>Deletes objects; those that do not exist are fine.</summary>
    public async Task DeleteAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken)
    {
        for (var start = 0; start < keys.Count; start += KeysPerDeletion)
        {
            var batch = keys.Skip(start).Take(KeysPerDeletion).ToList();
            try
            {
                await DeleteBatchAsync(batch, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (!IsCallers(error, cancellationToken))
            {
                throw S3Errors.Unavailable($"Deleting {batch[0]}", Settings, error);
            }
        }
    }

    /// <summary>Objects by the ordinal order of their keys, page by page.</summary>
    /// <param name="prefix">What the keys begin with.</param>
    /// <param name="startAfter">Only keys after this one; null for all.</param>
    /// <param name="pageKeys">How many keys one request asks for, at most 1000.</param>
    /// <param name="cancellationToken">Stops the listing.</param>
    public async IAsyncEnumerable<S3Object> ListAsync(
        string prefix,
        string? startAfter,
        int pageKeys,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? continuation = null;
        do
        {
            var page = await ListPageAsync(prefix, startAfter, pageKeys, continuation, cancellationToken).ConfigureAwait(false);
            foreach (var found in page.S3Objects ?? [])
            {
                yield return found;
            }

            continuation = page.IsTruncated == true ? page.NextContinuationToken : null;
        }
        while (continuation is not null);
    }

    /// <summary>Takes no more requests and waits for those under way.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_disposed)
        {
            _disposed = true;
            End();
            await _idle.Task.ConfigureAwait(false);
            _driver.Dispose();
            _http.Dispose();
        }
    }

    private static long LengthOf(GetObjectResponse response)
    {
        // "bytes 0-65535/100000"
        var range = response.ContentRange.AsSpan();
        var slash = range.LastIndexOf('/');
        return slash >= 0 && long.TryParse(range[(slash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var length)
            ? length
            : response.ContentLength;
    }

    private static async Task SkipAsync(Stream stream, int bytes, CancellationToken cancellationToken)
    {
        if (bytes > 0)
        {
            var rented = ArrayPool<byte>.Shared.Rent(bytes);
            await stream.ReadExactlyAsync(rented.AsMemory(0, bytes), cancellationToken).ConfigureAwait(false);
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static string Unquoted(string? eTag) => (eTag ?? string.Empty).Trim('"');

    /// <summary>Whether this is not for the port's errors: it is one, or the caller cancelled, or has disposed the store.</summary>
    private bool IsCallers(Exception error, CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested
        || error is StoreUnavailableException or StoreRefusedException
        || (error is ObjectDisposedException && _disposed);

    private static string ChecksumOf(in ReadOnlySequence<byte> content)
    {
        Span<byte> bigEndian = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bigEndian, Crc32C.Compute(content));
        return Convert.ToBase64String(bigEndian);
    }

    private async Task<S3PutResult> PutAsync(PutObjectRequest request, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        await using var stream = new SequenceStream(content);
        request.InputStream = stream;
        request.BucketName = Settings.Bucket;
        request.UseChunkEncoding = false;
        request.AutoCloseStream = false;
        request.ContentType = "application/octet-stream";
        if (Settings.SendsChecksums)
        {
            // Some servers (Ceph 19) look for the algorithm's name before they look for its value.
            request.ChecksumAlgorithm = ChecksumAlgorithm.CRC32C;
            request.ChecksumCRC32C = ChecksumOf(content);
        }

        try
        {
            var response = await SendAsync(content.Length, token => _driver.PutObjectAsync(request, token), cancellationToken).ConfigureAwait(false);
            return new S3PutResult(null, default, Unquoted(response.ETag));
        }
        catch (Exception error) when (error is not ObjectDisposedException || !_disposed)
        {
            return new S3PutResult(error, S3Errors.Classify(error), string.Empty);
        }
    }

    private async Task DeleteBatchAsync(List<string> keys, CancellationToken cancellationToken)
    {
        if (keys.Count > 1)
        {
            try
            {
                var request = new DeleteObjectsRequest
                {
                    BucketName = Settings.Bucket,
                    Objects = [.. keys.Select(static key => new KeyVersion { Key = key })],
                    Quiet = true,
                };
                await RunAsync(0, token => _driver.DeleteObjectsAsync(request, token), cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (AmazonS3Exception error) when (error.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.NotImplemented)
            {
                // A server that cannot delete many at once can delete one.
            }
        }

        foreach (var key in keys)
        {
            var request = new DeleteObjectRequest { BucketName = Settings.Bucket, Key = key };
            await RunAsync(0, token => _driver.DeleteObjectAsync(request, token), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<ListObjectsV2Response> ListPageAsync(
        string prefix,
        string? startAfter,
        int pageKeys,
        string? continuation,
        CancellationToken cancellationToken)
    {
        var request = new ListObjectsV2Request
        {
            BucketName = Settings.Bucket,
            Prefix = prefix,
            StartAfter = startAfter,
            MaxKeys = pageKeys,
            ContinuationToken = continuation,
        };
        try
        {
            return await RunAsync(0, token => _driver.ListObjectsV2Async(request, token), cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (!IsCallers(error, cancellationToken))
        {
            throw S3Errors.Unavailable($"Listing {prefix}", Settings, error);
        }
    }

    private TimeSpan TimeFor(long bytes) => _options.RequestTimeout + TimeSpan.FromSeconds(bytes / SlowestBytesPerSecond);

    /// <summary>Sends a request of which nobody asks what became of it once the caller has given it up: it ends as given up then, however it failed.</summary>
    private async Task<T> RunAsync<T>(long bytes, Func<CancellationToken, Task<T>> send, CancellationToken cancellationToken)
    {
        try
        {
            return await SendAsync(bytes, send, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (cancellationToken.IsCancellationRequested && error is not OperationCanceledException)
        {
            throw new OperationCanceledException(error.Message, error, cancellationToken);
        }
    }

    private async Task<T> SendAsync<T>(long bytes, Func<CancellationToken, Task<T>> send, CancellationToken cancellationToken)
    {
        Begin();
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            deadline.CancelAfter(TimeFor(bytes));
            return await send(deadline.Token).ConfigureAwait(false);
        }
        finally
        {
            End();
        }
    }

    private void Begin()
    {
        Interlocked.Increment(ref _requests);
        if (_disposed)
        {
            End();
            ObjectDisposedException.ThrowIf(true, typeof(S3Store));
        }
    }

    private void End()
    {
        if (Interlocked.Decrement(ref _requests) == 0)
        {
            _idle.TrySetResult();
        }
    }
}
