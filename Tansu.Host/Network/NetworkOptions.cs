namespace Tansu.Host.Network;

/// <summary>The limits of everything that comes in by the network. Every queue and every buffer has one.</summary>
public sealed record NetworkOptions
{
    /// <summary>The least a request can have after its length: API key, version, correlation id and a null client id.</summary>
    public const int MinRequestBytes = 10;

    /// <summary>The largest request accepted, in bytes after the length. 100 MiB.</summary>
    public int MaxRequestBytes { get; init; } = 100 * 1024 * 1024;

    /// <summary>How many requests of one connection may be unanswered before no more are read from it.</summary>
    public int MaxInFlightRequests { get; init; } = 256;

    /// <summary>
    /// How many bytes of unanswered requests one connection may hold before no more are read from it. One request is
    /// always read, however large. 128 MiB.
    /// </summary>
    public long MaxInFlightBytes { get; init; } = 128L * 1024 * 1024;

    /// <summary>
    /// How many bytes of requests of up to <see cref="FrameBuffer.FirstBytes"/> all connections together may hold. 128 MiB.
    /// </summary>
    public long MaxSmallRequestBytes { get; init; } = 128L * 1024 * 1024;

    /// <summary>How many bytes of the beginnings of larger requests all connections together may hold. 32 MiB.</summary>
    public long MaxBeginningBytes { get; init; } = 32L * 1024 * 1024;

    /// <summary>How many bytes of larger requests all connections together may hold; one is always let in. 512 MiB.</summary>
    public long MaxLargeRequestBytes { get; init; } = 512L * 1024 * 1024;

    /// <summary>How many connections may be open; further ones are closed as soon as they are accepted.</summary>
    public int MaxConnections { get; init; } = 20_000;

    /// <summary>How many connections one address may have open; further ones are closed as soon as they are accepted.</summary>
    public int MaxConnectionsPerAddress { get; init; } = int.MaxValue;

    /// <summary>A connection on which nothing happened for this long, and that waits for no reply, is closed.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// A connection that sends neither the rest of a request nor another <see cref="FrameBuffer.FirstBytes"/> of it for this long is closed: what has
    /// come holds memory.
    /// </summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// A connection that takes neither the rest of its replies nor another 256 KiB of them for this long is closed: they hold memory.
    /// </summary>
    public TimeSpan SlowClientTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// What is left of <see cref="StallTimeout"/> and <see cref="SlowClientTimeout"/> while others wait for the memory
    /// (<see cref="RequestBudget.HasWaiters"/>, <see cref="IRequestProcessor.IsShortOfMemory"/>).
    /// </summary>
    public TimeSpan ShortageTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long the replies to earlier requests may take to leave before a connection that sent nonsense is closed.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How many connections the operating system may hold that were not accepted yet.</summary>
    public int Backlog { get; init; } = 512;

    /// <summary>The clock of the timeouts.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
