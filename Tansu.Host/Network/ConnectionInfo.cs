namespace Tansu.Host.Network;

/// <summary>What is known of a connection for as long as it lives.</summary>
/// <param name="Id">Unique in this process.</param>
/// <param name="RemoteAddress">The client's address and port, for logs.</param>
/// <param name="Listener">The address and port the client connected to.</param>
/// <param name="Stopping">Cancelled when the broker stops: a reply that waits for something better should be sent as it is.</param>
public sealed record ConnectionInfo(long Id, string RemoteAddress, string Listener, CancellationToken Stopping);
