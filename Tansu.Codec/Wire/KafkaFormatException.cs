namespace Tansu.Codec;

/// <summary>
/// Bytes that do not follow the Kafka protocol: a truncated frame, a length beyond the frame, a null where none is allowed.
/// The message says what is wrong and at which byte position. The connection that sent the bytes cannot be understood any further.
/// </summary>
public sealed class KafkaFormatException : Exception
{
    /// <summary>Creates an exception without further explanation.</summary>
    public KafkaFormatException()
        : this("The bytes do not follow the Kafka protocol.")
    {
    }

    /// <summary>Creates an exception that says what is wrong and where.</summary>
    public KafkaFormatException(string message)
        : base(message)
    {
    }

    /// <summary>Creates an exception that says what is wrong and where, with its cause.</summary>
    public KafkaFormatException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
