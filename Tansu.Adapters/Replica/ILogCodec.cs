using Tansu.Codec;

namespace Tansu.Adapters.Replica;

/// <summary>How one log's events and state are written down. Extended only by new event types, new versions and tagged fields.</summary>
/// <typeparam name="TState">The state of the log's decider.</typeparam>
/// <typeparam name="TEvent">The log's events.</typeparam>
public interface ILogCodec<TState, TEvent>
{
    /// <summary>Writes one event, beginning with its type.</summary>
    void WriteEvent(KafkaWriter writer, TEvent value);

    /// <summary>Reads one event.</summary>
    /// <exception cref="KafkaFormatException">The bytes are damaged, or a newer Tansu wrote an event this one does not know.</exception>
    TEvent ReadEvent(ref KafkaReader reader);

    /// <summary>Writes the whole state. Equal states give equal bytes.</summary>
    void WriteState(KafkaWriter writer, TState state);

    /// <summary>Reads what <see cref="WriteState"/> wrote.</summary>
    /// <exception cref="KafkaFormatException">The bytes are damaged or of an unknown version.</exception>
    TState ReadState(ref KafkaReader reader);
}
