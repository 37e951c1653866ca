using Tansu.Codec;

namespace Tansu.Host.Network;

/// <summary>A reply ready to be sent, and what has to stay in place until it has been.</summary>
/// <param name="writer">Holds the reply; disposed with it.</param>
/// <param name="borrowed">Gives back memory that the writer refers to; disposed after the writer.</param>
public sealed class Reply(KafkaWriter writer, IDisposable? borrowed = null) : IDisposable
{
    /// <summary>The reply with its length, in pieces that are sent one after the other.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Frame => writer.Frame();

    /// <summary>The reply's bytes, without its length.</summary>
    public int Length => writer.Length;

    /// <inheritdoc/>
    public void Dispose()
    {
        writer.Dispose();
        borrowed?.Dispose();
    }
}
