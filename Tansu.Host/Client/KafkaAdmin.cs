namespace Tansu.Host.Client;

/// <summary>
/// Administration of a cluster. What is asked of several topics, groups or partitions ends for each of them by itself; what may work in a
/// moment is repeated until the client's timeout.
/// </summary>
internal sealed partial class KafkaAdmin(KafkaClient client)
{
    private int TimeoutMs => (int)client.Options.Timeout.TotalMilliseconds;

    /// <summary>Asks for many, again and again for those whose answer was that it may work in a moment.</summary>
    /// <param name="keys">What is asked for, each once.</param>
    /// <param name="ask">Sends a request for those that are left, and gives an outcome for each.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The outcomes, in the order of the keys.</returns>
    /// <exception cref="KafkaClientException">There is an outcome for none of them.</exception>
    private async Task<Outcome<TKey>[]> ForEachAsync<TKey>(
        TKey[] keys,
        Func<TKey[], CancellationToken, Task<Outcome<TKey>[]>> ask,
        CancellationToken cancellationToken)
        where TKey : notnull
    {
        var done = new Dictionary<TKey, Outcome<TKey>>();
        if (keys.Length == 0)
        {
            return [];
        }

        try
        {
            await client.RetryAsync(AttemptAsync, cancellationToken);
        }
        catch (KafkaClientException failure) when (done.Count > 0)
        {
            foreach (var key in keys)
            {
                done.TryAdd(key, new Outcome<TKey>(key, new KafkaError(failure.Code, failure.Message)));
            }
        }

        return Array.ConvertAll(keys, key => done[key]);

        async Task<bool> AttemptAsync(CancellationToken token)
        {
            KafkaError? again = null;
            var left = Array.FindAll(keys, key => !done.ContainsKey(key));
            foreach (var outcome in await ask(left, token))
            {
                if (outcome.Error is { } error && KafkaError.IsRetriable(error.Code))
                {
                    again = error;
                }
                else
                {
                    done[outcome.Key] = outcome;
                }
            }

            if (again is { } passing)
            {
                throw new KafkaClientException(passing);
            }

            return Array.TrueForAll(left, done.ContainsKey)
                ? true
                : throw new KafkaClientException("the broker did not answer for all that it was asked for", isRetriable: false);
        }
    }

    /// <summary>Partitions by their topics, as most requests want them.</summary>
    /// <param name="partitions">The partitions.</param>
    /// <param name="make">Makes an element of a topic and its partitions.</param>
    private static T[] ByTopic<T>(IEnumerable<TopicPartition> partitions, Func<string, TopicPartition[], T> make)
    {
        var byTopic = new Dictionary<string, List<TopicPartition>>(StringComparer.Ordinal);
        foreach (var partition in partitions)
        {
            if (!byTopic.TryGetValue(partition.Topic, out var ofTopic))
            {
                byTopic.Add(partition.Topic, ofTopic = []);
            }

            ofTopic.Add(partition);
        }

        var made = new T[byTopic.Count];
        var count = 0;
        foreach (var (topic, ofTopic) in byTopic)
        {
            made[count++] = make(topic, [.. ofTopic]);
        }

        return made;
    }
}
