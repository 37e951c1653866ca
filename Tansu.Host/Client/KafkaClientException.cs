using Tansu.Codec;

namespace Tansu.Host.Client;

/// <summary>A request to a broker that did not end as it was meant to. The message is for a person: what failed, where, and why.</summary>
internal sealed class KafkaClientException : Exception
{
    /// <summary>Creates an exception for something that is not an answer of a broker: no connection, no answer in time, nonsense.</summary>
    /// <param name="message">What failed and why, without a full stop.</param>
    /// <param name="isRetriable">Whether the same may work in a moment.</param>
    /// <param name="innerException">The cause, if there is one.</param>
    public KafkaClientException(string message, bool isRetriable, Exception? innerException = null)
        : base(message, innerException)
    {
        Code = ErrorCode.NetworkException;
        IsRetriable = isRetriable;
    }

    /// <summary>Creates an exception for an answer of a broker.</summary>
    public KafkaClientException(KafkaError error)
        : base(error.ToString())
    {
        Code = error.Code;
        Error = error;
        IsRetriable = KafkaError.IsRetriable(error.Code);
    }

    /// <summary>What the broker answered; <see cref="ErrorCode.NetworkException"/> if it answered nothing.</summary>
    public ErrorCode Code { get; }

    /// <summary>What the broker answered; null if it answered nothing.</summary>
    public KafkaError? Error { get; }

    /// <summary>Whether the same may work in a moment, after asking who serves it now.</summary>
    public bool IsRetriable { get; }
}
