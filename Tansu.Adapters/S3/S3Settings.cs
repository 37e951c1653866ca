using System.Buffers;
using System.Net;
using Amazon;
using Amazon.Runtime;
using Amazon.Runtime.Credentials;
using Amazon.S3;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Where the store is and who we are there: the URL and the environment, understood.</summary>
/// <param name="Bucket">The bucket.</param>
/// <param name="Prefix">What every key begins with: empty, or ending in <c>/</c>.</param>
/// <param name="Endpoint">Scheme, host and port of a server that is not AWS; null for AWS.</param>
/// <param name="Region">The region requests are signed for; null: the driver looks where it knows to look.</param>
/// <param name="Credentials">From the environment; null: the driver's default chain (profile, container, instance).</param>
internal sealed record S3Settings(string Bucket, string Prefix, Uri? Endpoint, string? Region, AWSCredentials? Credentials)
{
    private const string Form = "s3://bucket or s3://bucket/prefix";

    private static readonly SearchValues<char> BucketChars = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789.-_");

    /// <summary>Bucket and prefix, for people.</summary>
    public string Place => (Bucket + "/" + Prefix).TrimEnd('/');

    /// <summary>
    /// Whether a PUT carries a checksum of its content: over http, where the connection has none of its own. Not over https, as some servers
    /// that are reached only so refuse it.
    /// </summary>
    public bool SendsChecksums => Endpoint?.Scheme == "http";

    /// <summary>The endpoint, for people.</summary>
    public string Where => Endpoint is null ? $"AWS {Region}" : Endpoint.GetLeftPart(UriPartial.Authority);

    /// <summary>Reads the part of the URL after <c>s3://</c>, and the environment.</summary>
    /// <exception cref="StoreRefusedException">One of them is wrong; the message says which and how.</exception>
    public static S3Settings Parse(string bucketAndPrefix, Func<string, string?> environment)
    {
        var slash = bucketAndPrefix.IndexOf('/', StringComparison.Ordinal);
        var bucket = slash < 0 ? bucketAndPrefix : bucketAndPrefix[..slash];
        var prefix = slash < 0 ? string.Empty : bucketAndPrefix[(slash + 1)..].TrimEnd('/');
        if (bucketAndPrefix.AsSpan().ContainsAny('@', ':', '?'))
        {
            // Not repeated: it may hold a password.
            throw new StoreRefusedException(
                $"The storage engine s3:// takes a bucket and no host, credentials or parameters: {Form}; set AWS_ENDPOINT_URL and AWS_ACCESS_KEY_ID.");
        }

        if (bucket.Length is < 3 or > 63 || bucket.AsSpan().ContainsAnyExcept(BucketChars))
        {
            throw new StoreRefusedException(
                $"The storage engine s3://{bucketAndPrefix} names no bucket that can exist (3 to 63 lower-case letters, digits, '.' and '-'); give {Form}.");
        }

        if (prefix.Length > 0 && !StoreNames.IsBlob(prefix))
        {
            throw new StoreRefusedException(
                $"The prefix in s3://{bucketAndPrefix} is not allowed: use letters, digits, '-', '_', '.' and '/'; give {Form}.");
        }

        var endpoint = EndpointOf(environment);
        var region = Get(environment, "AWS_REGION") ?? Get(environment, "AWS_DEFAULT_REGION") ?? (endpoint is null ? null : "us-east-1");
        return new S3Settings(bucket, prefix.Length == 0 ? string.Empty : prefix + "/", endpoint, region, CredentialsOf(environment));
    }

    /// <summary>Makes the driver's client.</summary>
    /// <exception cref="StoreRefusedException">No credentials or no region can be found.</exception>
    public (S3Driver Driver, S3Settings Settings) Connect(HttpClientFactory http)
    {
        var config = new AmazonS3Config
        {
            MaxErrorRetry = 0,
            Timeout = Timeout.InfiniteTimeSpan,
            HttpClientFactory = http,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            IgnoreConfiguredEndpointUrls = true,

            // What is sent at once.
            BufferSize = 128 * 1024,
        };
        var region = Region;
        try
        {
            if (Endpoint is null)
            {
                var found = region is null ? FallbackRegionFactory.GetRegionEndpoint() : RegionEndpoint.GetBySystemName(region);
                config.RegionEndpoint = found ?? throw new StoreRefusedException("No AWS region is known; set AWS_REGION to the bucket's region.");
                region = found.SystemName;
            }
            else
            {
                config.ServiceURL = Endpoint.AbsoluteUri;
                config.ForcePathStyle = true;
                config.AuthenticationRegion = region;
            }

            var credentials = Credentials ?? DefaultAWSCredentialsIdentityResolver.GetCredentials(config);
            return (new S3Driver(credentials, config), this with { Region = region });
        }
        catch (AmazonClientException missing)
        {
            throw new StoreRefusedException(
                "No AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a profile or a role provides them.",
                missing);
        }
    }

    private static Uri? EndpointOf(Func<string, string?> environment)
    {
        foreach (var name in (ReadOnlySpan<string>)["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
        {
            if (Get(environment, name) is not { } text)
            {
                continue;
            }

            if (!Uri.TryCreate(text, UriKind.Absolute, out var endpoint) || endpoint.Scheme is not ("http" or "https") || endpoint.UserInfo.Length > 0)
            {
                throw new StoreRefusedException($"{name} is not a URL such as https://host:port; correct it.");
            }

            var isAllowed = endpoint.Scheme == "https"
                || IsLoopback(endpoint)
                || string.Equals(Get(environment, "AWS_ALLOW_HTTP"), "true", StringComparison.OrdinalIgnoreCase);
            return isAllowed
                ? endpoint
                : throw new StoreRefusedException(
                    $"{name} is {endpoint.GetLeftPart(UriPartial.Authority)}, which is not encrypted; use https, or set AWS_ALLOW_HTTP=true.");
        }

        return null;
    }

    private static bool IsLoopback(Uri endpoint) =>
        endpoint.IsLoopback || (IPAddress.TryParse(endpoint.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    private static AWSCredentials? CredentialsOf(Func<string, string?> environment)
    {
        var id = Get(environment, "AWS_ACCESS_KEY_ID");
        var secret = Get(environment, "AWS_SECRET_ACCESS_KEY");
        if (id is null != secret is null)
        {
            throw new StoreRefusedException("Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set; set both or neither.");
        }

        return (id, Get(environment, "AWS_SESSION_TOKEN")) switch
        {
            (null, _) => null,
            (_, { } token) => new SessionAWSCredentials(id, secret, token),
            _ => new BasicAWSCredentials(id, secret),
        };
    }

    private static string? Get(Func<string, string?> environment, string name) =>
        environment(name) is { } value && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;
}
