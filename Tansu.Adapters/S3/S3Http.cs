using System.Net;
using Amazon.Runtime;

namespace Tansu.Adapters;

/// <summary>Sends the driver's requests: counts them and remembers what time it is at the store.</summary>
internal sealed class S3Http : DelegatingHandler
{
    /// <summary>How many connections there are at a time; what needs another one waits for it.</summary>
    public const int MaxConnections = 256;

    private long _storeTimeTicks;

    public S3Http(HttpMessageHandler inner)
        : base(inner)
    {
    }

    public S3Requests Requests { get; } = new();

    /// <summary>The store's clock in its latest response, in whole seconds; <see cref="DateTimeOffset.MinValue"/> before the first.</summary>
    public DateTimeOffset StoreTime => new(Interlocked.Read(ref _storeTimeTicks), TimeSpan.Zero);

    /// <summary>The real connections. The connection's end before a reply is not hidden by trying again.</summary>
    public static SocketsHttpHandler Connections(TimeSpan connectTimeout) => new()
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectTimeout = connectTimeout,
        MaxConnectionsPerServer = MaxConnections,

        // S3 closes idle connections after about 20 s: closing them first means that no PUT is sent into a dead one.
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(15),

        // S3's addresses change.
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
    };

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        // It would cost every PUT a round trip.
        request.Headers.ExpectContinue = false;
        Requests.Count(request);
        var response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        if (response.Headers.Date is { } date)
        {
            Advance(date.UtcTicks);
        }

        return response;
    }

    private void Advance(long ticks)
    {
        var known = Interlocked.Read(ref _storeTimeTicks);
        while (ticks > known)
        {
            var seen = Interlocked.CompareExchange(ref _storeTimeTicks, ticks, known);
            if (seen == known)
            {
                return;
            }

            known = seen;
        }
    }
}

/// <summary>Makes the driver use our <see cref="S3Http"/>.</summary>
internal sealed class S3HttpClientFactory(S3Http http) : HttpClientFactory
{
    public override HttpClient CreateHttpClient(IClientConfig clientConfig) =>
        new(http, disposeHandler: false) { Timeout = Timeout.InfiniteTimeSpan };

    public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

    public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;
}
