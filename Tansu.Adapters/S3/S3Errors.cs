using System.Net;
using Amazon.Runtime;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>What a failed request means for what it was to do.</summary>
internal enum S3Fault
{
    /// <summary>It may have been done: a 5xx, a lost connection, a timeout.</summary>
    Unsure = 0,

    /// <summary>There is no such object.</summary>
    NoKey,

    /// <summary>The condition did not hold (412): nothing was written.</summary>
    ConditionFailed,

    /// <summary>Another conditional write was under way (409): nothing was written, ask again.</summary>
    AskAgain,

    /// <summary>The range begins beyond the object's end (416).</summary>
    NoRange,

    /// <summary>It was certainly not done: the server said no (4xx).</summary>
    Denied,

    /// <summary>It was certainly not done: no connection could be made.</summary>
    NotSent,

    /// <summary>The server does not know how (501).</summary>
    NotImplemented,
}

/// <summary>Makes the port's errors of the driver's.</summary>
internal static class S3Errors
{
    /// <summary>What an error of the driver means for the request.</summary>
    public static S3Fault Classify(Exception error)
    {
        if (Find<AmazonServiceException>(error) is { StatusCode: not 0 } answer)
        {
            return (int)answer.StatusCode switch
            {
                404 when answer.ErrorCode == "NoSuchBucket" => S3Fault.Denied,

                // Somebody between here and the store, who knows nothing of its objects: the store says what there is not.
                404 when answer.ErrorCode is null or "" or "NotFound" => S3Fault.Unsure,
                404 => S3Fault.NoKey,
                409 => S3Fault.AskAgain,
                412 => S3Fault.ConditionFailed,
                416 => S3Fault.NoRange,
                501 => S3Fault.NotImplemented,
                >= 300 and < 500 => S3Fault.Denied,
                _ => S3Fault.Unsure,
            };
        }

        return Find<HttpRequestException>(error)?.HttpRequestError is HttpRequestError.ConnectionError
            or HttpRequestError.NameResolutionError
            or HttpRequestError.SecureConnectionError
            or HttpRequestError.ProxyTunnelError
            ? S3Fault.NotSent
            : S3Fault.Unsure;
    }

    /// <summary>Whether a request for an object's length, to which no answer has a body, found none.</summary>
    public static bool IsNoKeyWithoutBody(Exception error) =>
        Find<AmazonServiceException>(error) is { StatusCode: HttpStatusCode.NotFound, ErrorCode: not "NoSuchBucket" };

    /// <summary>Whether the server answered, with a 5xx.</summary>
    public static bool IsServersFault(Exception error) => Find<AmazonServiceException>(error) is { StatusCode: >= HttpStatusCode.InternalServerError };

    /// <summary>The error of a request that failed while the broker runs: try again later.</summary>
    /// <param name="what">What was being done, with the key.</param>
    /// <param name="settings">Where.</param>
    /// <param name="error">What the driver said.</param>
    public static StoreUnavailableException Unavailable(string what, S3Settings settings, Exception error) =>
        new($"{what} failed: {Describe(settings, error).TrimEnd('.')}", error);

    /// <summary>The error of the first request: what will not change by itself is refused.</summary>
    public static Exception AtOpen(S3Settings settings, Exception error)
    {
        var isRefusal = Classify(error) is S3Fault.Denied or S3Fault.NotImplemented or S3Fault.NoKey || IsNoKeyWithoutBody(error);
        var message = $"Opening s3 {settings.Place} failed: {Describe(settings, error)}";
        return isRefusal ? new StoreRefusedException(message, error) : new StoreUnavailableException(message, error);
    }

    /// <summary>One line: what is wrong and what to do.</summary>
    public static string Describe(S3Settings settings, Exception error)
    {
        if (Find<AmazonServiceException>(error) is { StatusCode: not 0 } answer)
        {
            return Describe(settings, answer);
        }

        if (error is OperationCanceledException or TimeoutException)
        {
            return $"{settings.Where} did not answer in time; is it reachable from here?";
        }

        if (Find<HttpRequestException>(error) is { HttpRequestError: HttpRequestError.SecureConnectionError } insecure)
        {
            return $"{settings.Where} does not speak TLS as it should ({OneLine(insecure.GetBaseException().Message)}); check https or http in the endpoint, its port and its certificate.";
        }

        var network = (Exception?)Find<HttpRequestException>(error) ?? error;
        return $"{settings.Where} cannot be reached ({OneLine(network.Message)}); check the endpoint and the network.";
    }

    private static string Describe(S3Settings settings, AmazonServiceException answer) => answer.ErrorCode switch
    {
        "NoSuchBucket" => $"bucket {settings.Bucket} does not exist at {settings.Where}; create it, or correct the name.",
        "InvalidAccessKeyId" => $"{settings.Where} does not know the access key; check AWS_ACCESS_KEY_ID.",
        "SignatureDoesNotMatch" => $"{settings.Where} rejects the secret key; check AWS_SECRET_ACCESS_KEY.",
        "ExpiredToken" or "TokenRefreshRequired" or "InvalidToken" => "the session token is not valid any more; renew AWS_SESSION_TOKEN and the keys.",
        "RequestTimeTooSkewed" => $"the clock of this machine differs too much from that of {settings.Where}; set it.",
        "AccessDenied" or "AllAccessDisabled" or "AccountProblem" =>
            $"access to bucket {settings.Bucket} is denied; the key needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there.",
        "PermanentRedirect" or "TemporaryRedirect" or "AuthorizationHeaderMalformed" or "IllegalLocationConstraintException" =>
            $"bucket {settings.Bucket} is not in region {settings.Region}; set AWS_REGION to the bucket's region.",
        "SlowDown" or "ServiceUnavailable" => $"{settings.Where} is overloaded ({answer.ErrorCode}).",
        _ when answer.StatusCode == HttpStatusCode.NotImplemented =>
            $"{settings.Where} does not implement this request (501); check the endpoint, or use a store with conditional writes.",
        _ when answer.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.TemporaryRedirect =>
            $"bucket {settings.Bucket} is not in region {settings.Region}; set AWS_REGION to the bucket's region.",
        _ when answer.StatusCode == HttpStatusCode.Forbidden =>
            $"access to bucket {settings.Bucket} is denied; check the key and its rights.",
        _ => $"{settings.Where} answered {(int)answer.StatusCode} {OneLine(answer.ErrorCode ?? string.Empty)} ({OneLine(answer.Message)}).",
    };

    private static T? Find<T>(Exception error)
        where T : Exception
    {
        for (var at = error; at is not null; at = at.InnerException)
        {
            if (at is T found)
            {
                return found;
            }
        }

        return null;
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ").Trim().TrimEnd('.');
}
