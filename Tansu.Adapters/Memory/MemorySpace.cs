using System.Collections.Concurrent;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// What a memory store holds, apart from the stores that use it: several <see cref="MemoryStore"/>s on one space are several brokers on one
/// store. It lives as long as something refers to it.
/// </summary>
public sealed class MemorySpace
{
    private readonly ConcurrentDictionary<string, MemoryLogContent> _logs = new(StringComparer.Ordinal);
    private byte[]? _cluster;

    internal MemoryBlobs.Content Blobs { get; } = new();

    internal MemoryLogContent Log(string name) => _logs.GetOrAdd(name, static key => new MemoryLogContent(key));

    internal ReadOnlyMemory<byte> GetOrCreateCluster(ReadOnlyMemory<byte> proposed) =>
        Volatile.Read(ref _cluster) ?? Interlocked.CompareExchange(ref _cluster, proposed.ToArray(), null) ?? _cluster;
}
