namespace Tansu.Codec.Records;

/// <summary>
/// The bytes of a record batch are not what the format says: truncated, inconsistent, wrongly compressed, or larger
/// when decompressed than the caller allows. The only exception that reading records raises about its input.
/// </summary>
public sealed class RecordFormatException : Exception
{
    /// <summary>Creates the exception without a message.</summary>
    public RecordFormatException()
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, and where.</param>
    public RecordFormatException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, and where.</param>
    /// <param name="innerException">What a compression library said.</param>
    public RecordFormatException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
