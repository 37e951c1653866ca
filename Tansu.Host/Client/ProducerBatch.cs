using Tansu.Codec.Messages;
using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>A batch of a producer: has one owner at a time, which is the producer from when it is sent until it is done.</summary>
/// <param name="codec">How it is compressed.</param>
internal sealed class ProducerBatch(CompressionCodec codec) : IDisposable
{
    /// <summary>The records.</summary>
    public RecordBatchWriter Writer { get; } = new(codec);

    /// <summary>The partition that it goes to.</summary>
    public int Partition { get; set; }

    /// <summary>When it was sent for the first time, by <see cref="System.Diagnostics.Stopwatch"/>.</summary>
    public long SentAt { get; set; }

    /// <summary>Whether it was given up.</summary>
    public bool IsLost { get; set; }

    /// <summary>When its first record came, as whoever fills it says, by <see cref="System.Diagnostics.Stopwatch"/>.</summary>
    public long StartedAt { get; set; }

    /// <summary>The offset that its first record got; -1 if the broker did not say.</summary>
    public long BaseOffset { get; set; } = -1;

    /// <summary>The answer to come, once it is sent; null stands for none.</summary>
    public Task<ProduceResponse?> Answer { get; set; } = Task.FromResult<ProduceResponse?>(null);

    /// <summary>Its bytes, once sealed.</summary>
    public ReadOnlyMemory<byte> Sealed { get; set; }

    /// <inheritdoc/>
    public void Dispose() => Writer.Dispose();
}
