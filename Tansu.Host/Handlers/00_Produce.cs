using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// Produce (API key 0). Version 3 brought record batches (magic 2, the only format accepted), 7 zstd, 8 error messages per batch, 9 flexible
/// encoding, 10 the current leader in the answer, 12 transactions v2 (KIP-890), 13 topic ids.
/// </summary>
/// <remarks>
/// A request becomes one command per shard it touches, submitted before this returns to the connection: that keeps the batches
/// of one connection in order without waiting for one another. acks=1 and acks=all both mean durable.
/// </remarks>
internal sealed class ProduceHandler(Broker broker) : Handler<ProduceRequest, ProduceResponse>
{
    /// <summary>From this version on topics are named by id (KIP-516).</summary>
    private const short FirstVersionWithTopicIds = 13;

    /// <summary>A producer that does not say how long it waits gets this.</summary>
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

    /// <summary>
    /// librdkafka compresses only for brokers that name version 0, whatever it then sends (KAFKA-18659); Kafka 4 says so too.
    /// </summary>
    public override short LowestAdvertisedVersion => 0;

    public override ValueTask<ProduceResponse?> HandleAsync(
        RequestContext context,
        ProduceRequest request,
        CancellationToken cancellationToken)
    {
        var plan = NamesUnknownTopic(context, request) ? null : Judge(context, request);
        return plan is { MustEnterTransaction: false }
            ? AppendAsync(context, request, plan, submitted: null)
            : AskAndAppendAsync(context, request, plan);
    }

    /// <summary>
    /// Another broker may have created the topic, or has to be asked about the transaction. Later requests of this connection must not overtake this one meanwhile: an
    /// idempotent producer's second batch would be taken for its first.
    /// </summary>
    private ValueTask<ProduceResponse?> AskAndAppendAsync(RequestContext context, ProduceRequest request, ProducePlan? plan) =>
        context.HoldFollowingAsync(async submitted =>
        {
            if (plan is null)
            {
                await broker.CatchUpCatalogAsync();
                plan = Judge(context, request);
            }

            if (plan.MustEnterTransaction)
            {
                await plan.EnterTransactionAsync(TimeoutOf(request));

                // A broker that was paused may come to this when the client has long gone on with another transaction elsewhere.
                if (context.Connection.IsClientGone())
                {
                    return null;
                }
            }

            return await AppendAsync(context, request, plan, submitted);
        });

    private static TimeSpan TimeoutOf(ProduceRequest request) =>
        request.TimeoutMs > 0 ? TimeSpan.FromMilliseconds(request.TimeoutMs) : DefaultTimeout;

    private ProducePlan Judge(RequestContext context, ProduceRequest request)
    {
        if (context.Connection.Commands.IsBroken)
        {
            // Taken after one that was given up, an idempotent batch could be mistaken for its producer's first. On a new connection the
            // client sends both again, in order.
            throw new KafkaFormatException("the outcome of an earlier produce request was not known in time, so the connection is closed for the client to begin again");
        }

        var plan = new ProducePlan(broker, context.Version >= FirstVersionWithTopicIds, context.Version);
        plan.Judge(request);
        return plan;
    }

    private static async ValueTask<ProduceResponse?> AppendAsync(
        RequestContext context,
        ProduceRequest request,
        ProducePlan plan,
        TaskCompletionSource? submitted)
    {
        var isKnown = false;
        try
        {
            var committing = plan.CommitAsync(TimeoutOf(request), context.Connection.Commands);
            submitted?.TrySetResult();
            isKnown = await committing;
        }
        finally
        {
            if (!isKnown)
            {
                // An outcome is open, so the store may still be reading the batches out of this request's frame.
                context.AbandonFrame();
            }
        }

        if (request.Acks != 0)
        {
            return plan.Response;
        }

        // There is no reply to carry an error: closing the connection makes the client look for what has changed, as with Kafka.
        return FirstError(plan.Response) is { } error
            ? throw new KafkaFormatException($"a produce request with acks=0 failed with {error}")
            : null;
    }

    private static ErrorCode? FirstError(ProduceResponse response)
    {
        foreach (var topic in response.Responses)
        {
            foreach (var partition in topic.PartitionResponses)
            {
                if (partition.ErrorCode != ErrorCode.None)
                {
                    return partition.ErrorCode;
                }
            }
        }

        return null;
    }

    private bool NamesUnknownTopic(RequestContext context, ProduceRequest request)
    {
        var byId = context.Version >= FirstVersionWithTopicIds;
        foreach (var topic in request.TopicData)
        {
            if (broker.FindTopic(byId, topic.TopicId, topic.Name) is null)
            {
                return true;
            }
        }

        return false;
    }
}
