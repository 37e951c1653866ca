namespace Tansu.Adapters.Ports;

/// <summary>What became of an attempt to create an entry.</summary>
public enum AppendOutcome
{
    /// <summary>The entry is durable under the number asked for. It may be acknowledged.</summary>
    Appended = 0,

    /// <summary>
    /// Nothing was written: the number is not the next one. Either the entry exists already (the caller is behind: read and
    /// decide again) or the one before it does not (the caller is ahead, which only a bug or a lost log explains).
    /// </summary>
    Conflict = 1,

    /// <summary>
    /// The entry may or may not have been created: a write or its confirmation failed half way. Nothing may be acknowledged.
    /// <see cref="IEventLog.ReadHeadsAsync"/> after the number before it gives the truth: the caller's own commit id means
    /// success, another's means conflict, an empty list means that it was not created <em>up to now</em>. Where
    /// a request may still land late (a network store), only creating the same number again settles it.
    /// </summary>
    Unknown = 2,
}
