using System.Diagnostics;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace Tansu.Benchmarks;

/// <summary>
/// PUTs of objects of the same sizes, side by side as the broker had them in flight: nothing is signed or hashed meanwhile, since the URLs are
/// signed beforehand.
/// </summary>
internal static class S3Floor
{
    /// <param name="sizes">Kinds of objects: how many, and how many bytes they have together.</param>
    /// <param name="concurrency">How many PUTs at once.</param>
    /// <returns>Bytes per second.</returns>
    public static async Task<double> MeasureAsync((long Count, double Bytes)[] sizes, int concurrency)
    {
        using var signer = Connect();
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = concurrency });
        var run = Guid.NewGuid().ToString("N");
        var puts = sizes.SelectMany((kind, index) => Objects(kind.Count, kind.Bytes).Select((put, number) => (
            Url: Sign(signer, $"floor/{run}/{index}-{number}"),
            put.At,
            put.Content))).OrderBy(static put => put.At).ToArray();
        var warmUp = Enumerable.Range(0, concurrency).Select(number => (Sign(signer, $"floor/{run}/warm-{number}"), 0.0, new byte[1024])).ToArray();
        await PutAsync(http, warmUp, concurrency);
        var clock = Stopwatch.StartNew();
        await PutAsync(http, puts, concurrency);
        return sizes.Sum(static kind => kind.Bytes) / clock.Elapsed.TotalSeconds;
    }

    /// <summary>The records of all requests that have come are one object.</summary>
    public static GroupedFloor Grouped(int frameBytes, int recordBytes)
    {
        var signer = Connect();
        var http = new HttpClient();
        var run = Guid.NewGuid().ToString("N");
        var number = 0;
        return GroupedFloor.Start(frameBytes, Commit, http, signer);

        void Commit(int count)
        {
            using var put = new HttpRequestMessage(HttpMethod.Put, Sign(signer, $"floor/{run}/{number++}")) { Content = new ByteArrayContent(new byte[count * recordBytes]) };
            using var reply = http.Send(put);
            reply.EnsureSuccessStatusCode();
        }
    }

    /// <summary>GETs of all objects whose keys begin so, whole, and of none that is smaller than 64 KiB: those hold no records.</summary>
    /// <param name="prefix">What the keys begin with.</param>
    /// <param name="concurrency">How many GETs at once.</param>
    /// <returns>Bytes per second.</returns>
    public static async Task<double> MeasureReadingAsync(string prefix, int concurrency)
    {
        using var signer = Connect();
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = concurrency });
        var urls = new List<string>();
        await foreach (var found in signer.Paginators.ListObjectsV2(new ListObjectsV2Request { BucketName = "test", Prefix = prefix }).S3Objects)
        {
            if (found.Size >= 64 * 1024)
            {
                urls.Add(Sign(signer, found.Key, HttpVerb.GET));
            }
        }

        var bytes = 0L;
        var clock = Stopwatch.StartNew();
        await Parallel.ForEachAsync(urls, new ParallelOptions { MaxDegreeOfParallelism = concurrency }, async (url, stopping) =>
            Interlocked.Add(ref bytes, (await http.GetByteArrayAsync(new Uri(url), stopping)).Length));
        return bytes / clock.Elapsed.TotalSeconds;
    }

    private static AmazonS3Client Connect() => new(
        new BasicAWSCredentials(Environment.GetEnvironmentVariable("AWS_ACCESS_KEY_ID"), Environment.GetEnvironmentVariable("AWS_SECRET_ACCESS_KEY")),
        new AmazonS3Config { ServiceURL = Environment.GetEnvironmentVariable("AWS_ENDPOINT_URL"), ForcePathStyle = true, AuthenticationRegion = "us-east-1" });

    /// <summary>Objects of one size, spread evenly over the run.</summary>
    private static IEnumerable<(double At, byte[] Content)> Objects(long count, double bytes)
    {
        var content = new byte[(int)(bytes / Math.Max(1, count))];
        Random.Shared.NextBytes(content);
        for (var number = 0; number < count; number++)
        {
            yield return ((number + 0.5) / count, content);
        }
    }

    private static string Sign(AmazonS3Client signer, string key, HttpVerb verb = HttpVerb.PUT) => signer.GetPreSignedURL(new GetPreSignedUrlRequest
    {
        BucketName = "test",
        Key = key,
        Verb = verb,
        Protocol = Protocol.HTTP,
        Expires = DateTime.UtcNow.AddHours(1),
    });

    private static async Task PutAsync(HttpClient http, (string Url, double At, byte[] Content)[] puts, int concurrency)
    {
        var next = -1;
        await Task.WhenAll(Enumerable.Range(0, concurrency).Select(_ => Task.Run(async () =>
        {
            for (var index = Interlocked.Increment(ref next); index < puts.Length; index = Interlocked.Increment(ref next))
            {
                using var content = new ByteArrayContent(puts[index].Content);
                using var reply = await http.PutAsync(new Uri(puts[index].Url), content);
                reply.EnsureSuccessStatusCode();
            }
        })));
    }
}
