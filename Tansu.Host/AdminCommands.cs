using Tansu.Adapters.Ports;
using Tansu.Codec;
using Tansu.Domain;

namespace Tansu.Host;

/// <summary>What the store made of an administrative command.</summary>
/// <param name="Replies">One per item asked for; null if the command as a whole failed.</param>
/// <param name="Error">Why it failed.</param>
internal readonly record struct AdminOutcome(TopicReply[]? Replies, ErrorCode Error);

/// <summary>Administrative commands with the store's failures turned into Kafka's errors, in one place.</summary>
internal static class AdminCommands
{
    /// <summary>Asks the catalog about topics.</summary>
    public static Task<AdminOutcome> JudgeTopicsAsync(this Broker broker, CatalogCommand command, int timeoutMs) =>
        GuardAsync(async () =>
        {
            var reply = await broker.Cluster.SubmitAsync(command, broker.AdminTimeout(timeoutMs));
            return ((CatalogReply.TopicsJudged)reply).replies;
        });

    /// <summary>Deletes topics, records and all.</summary>
    public static Task<AdminOutcome> DeleteTopicsAsync(this Broker broker, TopicReference[] topics, int timeoutMs) =>
        GuardAsync(() => broker.Cluster.DeleteTopicsAsync(topics, broker.AdminTimeout(timeoutMs)));

    /// <summary>The time that a request allows, or the broker's own limit.</summary>
    public static TimeSpan AdminTimeout(this Broker broker, int timeoutMs) =>
        timeoutMs > 0 ? TimeSpan.FromMilliseconds(timeoutMs) : broker.Settings.AdminTimeout;

    private static async Task<AdminOutcome> GuardAsync(Func<Task<TopicReply[]>> ask)
    {
        try
        {
            return new AdminOutcome(await ask(), ErrorCode.None);
        }
        catch (TimeoutException)
        {
            return new AdminOutcome(null, ErrorCode.RequestTimedOut);
        }
        catch (StoreRefusedException)
        {
            return new AdminOutcome(null, ErrorCode.KafkaStorageError);
        }
    }
}
