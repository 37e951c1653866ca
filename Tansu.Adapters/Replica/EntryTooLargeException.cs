namespace Tansu.Adapters.Replica;

/// <summary>What a command comes to is more than an entry may hold (<see cref="ReplicaOptions.MaxHeadBytes"/>); nothing of it was stored.</summary>
public sealed class EntryTooLargeException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="bytes">How large the entry would have been.</param>
    /// <param name="maxBytes">How large one may be.</param>
    public EntryTooLargeException(long bytes, long maxBytes)
        : base($"the request comes to an entry of {bytes} bytes, {maxBytes} are allowed")
    {
    }
}
