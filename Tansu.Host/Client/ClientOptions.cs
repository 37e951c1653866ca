using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <summary>How a client finds a cluster, and how long it waits.</summary>
internal sealed class ClientOptions
{
    /// <summary>The brokers to ask for all others, in this order; one that answers is enough.</summary>
    public required IReadOnlyList<Endpoint> BootstrapServers { get; init; }

    /// <summary>How long one operation may take, with all its retries; one request never waits longer.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long one broker may take to accept a connection and to say what it serves, before another is tried.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How the client calls itself in each request.</summary>
    public string ClientId { get; init; } = "tansu";

    /// <summary>The version that the client tells with its name (KIP-511).</summary>
    public string SoftwareVersion { get; init; } = "0";

    /// <summary>The wait before the first retry; each further one is twice as long, up to <see cref="MaxBackoff"/>.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>The longest wait before a retry.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The largest reply accepted.</summary>
    public int MaxReplyBytes { get; init; } = 1 << 29;

    /// <summary>The clock of timeouts and waits.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
