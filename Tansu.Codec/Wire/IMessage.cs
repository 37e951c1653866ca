namespace Tansu.Codec;

/// <summary>A generated message that reads and writes itself in every version it knows.</summary>
/// <typeparam name="TSelf">The message itself.</typeparam>
public interface IMessage<TSelf>
    where TSelf : IMessage<TSelf>
{
    /// <summary>The number of the API the message belongs to, or -1 for headers and stored data.</summary>
    static abstract short ApiKey { get; }

    /// <summary>The lowest version that can be read and written.</summary>
    static abstract short LowestVersion { get; }

    /// <summary>The highest version that can be read and written.</summary>
    static abstract short HighestVersion { get; }

    /// <summary>The lowest version with compact lengths and tagged fields (KIP-482), or <see cref="short.MaxValue"/> if there is none.</summary>
    static abstract short FirstFlexibleVersion { get; }

    /// <summary>
    /// Reads a message. Fields that the version lacks keep their defaults, unknown tagged fields are skipped,
    /// and bytes and records are slices of the reader's frame: they live as long as the frame does.
    /// </summary>
    /// <exception cref="KafkaFormatException">The bytes are malformed, or the version is not one of the message's.</exception>
    static abstract TSelf Read(ref KafkaReader reader, short version);

    /// <summary>Writes the message. Values of fields that the version lacks are left out.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The version is not one of the message's.</exception>
    /// <exception cref="InvalidOperationException">A field is null in a version that cannot say so.</exception>
    void Write(KafkaWriter writer, short version);
}
