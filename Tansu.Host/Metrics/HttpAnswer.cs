using System.Globalization;
using System.Text;

namespace Tansu.Host.Metrics;

/// <summary>What a request to the metrics port is answered.</summary>
/// <param name="Status">The status line's number and text.</param>
/// <param name="Body">The body.</param>
internal sealed record HttpAnswer(string Status, string Body)
{
    /// <summary>Not HTTP/1.x, or not understood.</summary>
    public static readonly HttpAnswer BadRequest = new("400 Bad Request", "not an HTTP/1.1 request\n");

    /// <summary>The head of the request is larger than is read.</summary>
    public static readonly HttpAnswer TooLarge = new("431 Request Header Fields Too Large", "the request is too large\n");

    private static readonly HttpAnswer NotFound = new("404 Not Found", "there are /metrics, /health/live and /health/ready\n");

    private static readonly HttpAnswer NotAllowed = new("405 Method Not Allowed", "GET only\n") { Allow = "Allow: GET\r\n" };

    /// <summary>The body's media type.</summary>
    public string ContentType { get; init; } = "text/plain; charset=utf-8";

    /// <summary>The header line that names the methods allowed; usually none.</summary>
    public string Allow { get; init; } = "";

    /// <summary>Judges a request by its first line, such as <c>GET /metrics HTTP/1.1</c>.</summary>
    public static async Task<HttpAnswer> ToAsync(string requestLine, BrokerMetrics metrics)
    {
        var parts = requestLine.Split(' ');
        if (parts.Length != 3 || parts[0].Length == 0 || !parts[0].All(char.IsAsciiLetter) || !parts[2].StartsWith("HTTP/1.", StringComparison.Ordinal))
        {
            return BadRequest;
        }

        var path = parts[1].Split('?')[0];
        if (path is not ("/metrics" or "/health/live" or "/health/ready"))
        {
            return NotFound;
        }

        if (parts[0] != "GET")
        {
            return NotAllowed;
        }

        if (path == "/metrics")
        {
            return new HttpAnswer("200 OK", metrics.Write()) { ContentType = PrometheusText.ContentType };
        }

        return path == "/health/ready" && await metrics.ProblemAsync() is { } problem
            ? new HttpAnswer("503 Service Unavailable", $"not ready: {problem}\n")
            : new HttpAnswer("200 OK", "ok\n");
    }

    /// <summary>The answer as it is sent. One connection carries one request, which keeps its limits simple.</summary>
    public byte[] ToBytes()
    {
        var body = Encoding.UTF8.GetBytes(Body);
        var head = string.Create(
            CultureInfo.InvariantCulture,
            $"HTTP/1.1 {Status}\r\n{Allow}Content-Type: {ContentType}\r\nContent-Length: {body.Length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }
}
