using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec;
using Tansu.Domain;
using Tansu.Host.Handlers;

namespace Tansu.Host;

/// <summary>What became of one topic in an administrative request, in Kafka's terms.</summary>
/// <param name="Topic">The topic after the change (before a deletion); null if it failed.</param>
/// <param name="Error">NONE, or why it failed.</param>
/// <param name="Message">What to tell a person about it; null if the error says it all.</param>
internal readonly record struct TopicOutcome(Topic? Topic, ErrorCode Error, string? Message);

/// <summary>Administrative commands with refusals and failures of the store turned into Kafka's errors, in one place.</summary>
internal static class AdminCommands
{
    /// <summary>Asks the catalog about topics.</summary>
    /// <param name="broker">Whose catalog.</param>
    /// <param name="command">About this many topics …</param>
    /// <param name="count">… each of which gets an outcome.</param>
    /// <param name="timeoutMs">What the request allows; 0 for the broker's own limit.</param>
    public static Task<TopicOutcome[]> JudgeTopicsAsync(this Broker broker, CatalogCommand command, int count, int timeoutMs) =>
        GuardAsync(count, async () =>
        {
            var reply = await broker.Cluster.SubmitAsync(command, broker.AdminTimeout(timeoutMs));
            return ((CatalogReply.TopicsJudged)reply).replies;
        });

    /// <summary>Changes configurations of something that is no topic.</summary>
    public static async Task<AlteredResult> AlterOwnerConfigsAsync(this Broker broker, OwnerConfigChanges changes, bool validateOnly)
    {
        try
        {
            var command = CatalogCommand.NewAlterOwnerConfigs(changes, validateOnly);
            var reply = (CatalogReply.OwnerConfigsJudged)await broker.Cluster.SubmitAsync(command, broker.Settings.AdminTimeout);
            return reply.refusal.IsSome
                ? new AlteredResult(Errors.Of(reply.refusal.Value), Errors.Describe(reply.refusal.Value))
                : new AlteredResult(ErrorCode.None, null);
        }
        catch (Exception failure) when (FailureOf(failure) is { } known)
        {
            return new AlteredResult(known.Error, known.Message);
        }
    }

    /// <summary>Deletes topics, records and all.</summary>
    public static Task<TopicOutcome[]> DeleteTopicsAsync(this Broker broker, TopicReference[] topics, int timeoutMs) =>
        GuardAsync(topics.Length, () => broker.Cluster.DeleteTopicsAsync(topics, broker.AdminTimeout(timeoutMs)));

    /// <summary>The time that a request allows, or the broker's own limit.</summary>
    public static TimeSpan AdminTimeout(this Broker broker, int timeoutMs) =>
        timeoutMs > 0 ? TimeSpan.FromMilliseconds(timeoutMs) : broker.Settings.AdminTimeout;

    private static async Task<TopicOutcome[]> GuardAsync(int count, Func<Task<TopicReply[]>> ask)
    {
        if (count == 0)
        {
            return [];
        }

        try
        {
            return Array.ConvertAll(await ask(), ToOutcome);
        }
        catch (Exception failure) when (FailureOf(failure) is { } known)
        {
            var failed = new TopicOutcome[count];
            Array.Fill(failed, known);
            return failed;
        }
    }

    /// <summary>What a failure of the store is called; null if it is none.</summary>
    private static TopicOutcome? FailureOf(Exception failure) => failure switch
    {
        TimeoutException => new TopicOutcome(null, ErrorCode.RequestTimedOut, null),
        StoreRefusedException => new TopicOutcome(null, ErrorCode.KafkaStorageError, null),

        // What Kafka's controller says of a batch of too many records.
        EntryTooLargeException => new TopicOutcome(null, ErrorCode.PolicyViolation, failure.Message),
        _ => null,
    };

    private static TopicOutcome ToOutcome(TopicReply reply) => reply switch
    {
        TopicReply.TopicChanged changed => new TopicOutcome(changed.topic, ErrorCode.None, null),
        TopicReply.TopicRefused refused => new TopicOutcome(null, Errors.Of(refused.refusal), Errors.Describe(refused.refusal)),
        _ => new TopicOutcome(null, ErrorCode.UnknownServerError, null),
    };
}
