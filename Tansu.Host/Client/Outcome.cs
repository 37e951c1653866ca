namespace Tansu.Host.Client;

/// <summary>How a request ended for one of several topics, groups or partitions.</summary>
/// <param name="Key">The topic, group or partition.</param>
/// <param name="Error">What the broker answered; null if it was done.</param>
internal sealed record Outcome<TKey>(TKey Key, KafkaError? Error)
    where TKey : notnull;
