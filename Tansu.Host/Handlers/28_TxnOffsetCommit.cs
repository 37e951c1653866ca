using Tansu.Adapters.Replica;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// TxnOffsetCommit (API key 28). Version 2 brought leader epochs, 3 is flexible and brought the check of the member (KIP-447), 4 brought
/// TRANSACTION_ABORTABLE, 5 transactions v2 (KIP-890): the group is added to the transaction by itself.
/// </summary>
internal sealed class TxnOffsetCommitHandler(Broker broker) : Handler<TxnOffsetCommitRequest, TxnOffsetCommitResponse>
{
    private const short FirstVersionWithAbortable = 4;
    private const short FirstVersionThatAdds = 5;

    /// <summary>How often other brokers may have taken offsets of the transaction before the client is asked to come again.</summary>
    private const int MaxAttempts = 3;

    // Topics or the transaction may have to be looked for, and it may have to be tried again. Later requests of this connection must not overtake
    // this one meanwhile: a newer commit would be undone by it.
    public override ValueTask<TxnOffsetCommitResponse?> HandleAsync(
        RequestContext context,
        TxnOffsetCommitRequest request,
        CancellationToken cancellationToken) => context.HoldFollowingAsync(_ => AnswerAsync(context, request));

    private async ValueTask<TxnOffsetCommitResponse?> AnswerAsync(RequestContext context, TxnOffsetCommitRequest request)
    {
        if (Array.Exists(request.Topics, topic => broker.FindTopic(false, default, topic.Name) is null))
        {
            await broker.CatchUpCatalogAsync();
        }

        var offsets = new List<OffsetToCommit>();
        var places = new List<TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition>();
        var response = new TxnOffsetCommitResponse { Topics = Array.ConvertAll(request.Topics, topic => Judge(topic, offsets, places)) };
        if (offsets.Count == 0)
        {
            return response;
        }

        var (reply, error) = await CommitAsync(context, request, [.. offsets]);
        if (reply is null && error == ErrorCode.None)
        {
            return null;
        }

        var judged = (reply as GroupReply.OffsetsJudged)?.refusals;
        for (var index = 0; index < places.Count; index++)
        {
            places[index].ErrorCode = judged is null ? error : ErrorOf(judged[index]);
        }

        return response;
    }

    private static ErrorCode ErrorOf(Microsoft.FSharp.Core.FSharpValueOption<Refusal> refusal) =>
        Groups.ErrorOf(refusal) is var error && error == ErrorCode.UnknownTopicId ? ErrorCode.UnknownTopicOrPartition : error;

    /// <summary>What a refusal is called here: clients that must begin anew are told so, and those that may ask again too.</summary>
    private static ErrorCode ErrorOf(Refusal refusal, short version) => refusal.Tag switch
    {
        Refusal.Tags.ProducerFenced => ErrorCode.InvalidProducerEpoch,
        Refusal.Tags.ConcurrentTransactions => ErrorCode.CoordinatorLoadInProgress,
        Refusal.Tags.InvalidTransactionState or
        Refusal.Tags.TransactionEnded => version >= FirstVersionWithAbortable ? ErrorCode.TransactionAbortable : ErrorCode.InvalidTxnState,
        _ => Errors.Of(refusal),
    };

    /// <summary>Commits. Neither a reply nor an error: nobody waits for one.</summary>
    private async ValueTask<(GroupReply? Reply, ErrorCode Error)> CommitAsync(
        RequestContext context,
        TxnOffsetCommitRequest request,
        OffsetToCommit[] offsets)
    {
        if (request.TransactionalId.Length == 0)
        {
            return (null, ErrorCode.InvalidRequest);
        }

        GroupReply? reply = null;
        var error = await Groups.GuardAsync(async () =>
        {
            for (var attempt = 1; ; attempt++)
            {
                (reply, var refused) = await TryCommitAsync(context, request, offsets);
                if (reply is not GroupReply.GroupRefused { refusal.IsCommitOvertaken: true } || attempt == MaxAttempts)
                {
                    return reply is GroupReply.GroupRefused { refusal: var refusal }
                        ? await ExplainAsync(request, refusal, context.Version)
                        : refused;
                }

                // This broker did not know what others had taken. As long as the client waits this commit is the newest one.
                await broker.CoordinatorOf(request.GroupId).CatchUpAsync(broker.Settings.CatchUpTimeout);
            }
        }, tooLarge: ErrorCode.InvalidCommitOffsetSize);
        return error == ErrorCode.None ? (reply, error) : (null, error);
    }

    private async ValueTask<(GroupReply? Reply, ErrorCode Error)> TryCommitAsync(
        RequestContext context,
        TxnOffsetCommitRequest request,
        OffsetToCommit[] offsets)
    {
        var group = broker.CoordinatorOf(request.GroupId).Find(request.GroupId) ?? GroupModule.initial;
        var commit = new TransactionalCommit(
            request.MemberId,
            request.GroupInstanceId,
            request.GenerationId,
            request.ProducerId,
            request.ProducerEpoch,
            0,
            GroupModule.transactionOf(request.ProducerId, group).Offsets,
            offsets);
        var (found, refusal) = context.Version >= FirstVersionThatAdds
            ? await AddAsync(request, commit)
            : await VerifyAsync(request, commit);
        if (found is null)
        {
            return (null, ErrorOf(refusal!, context.Version));
        }

        // A broker that was paused may come to this after the client has gone on elsewhere.
        if (context.Connection.IsClientGone())
        {
            return (null, ErrorCode.None);
        }

        return await broker.Cluster.ShardOf(request.GroupId).Replica.SubmitAsync(found, Payload.None, broker.Settings.CoordinatorTimeout) switch
        {
            ShardReply.GroupAnswered answered => (answered.reply, ErrorCode.None),
            ShardReply.TransactionAnswered { reply: TransactionReply.TransactionRefused { refusal: var refused } } =>
                (null, ErrorOf(refused, context.Version)),
            _ => (null, await FinishAsync(request.TransactionalId)),
        };
    }

    /// <summary>Transactions v2: adds the group; in the same entry as the offsets if one shard has both.</summary>
    private async ValueTask<(ShardCommand? Command, Refusal? Refusal)> AddAsync(TxnOffsetCommitRequest request, TransactionalCommit commit)
    {
        var coordinator = broker.Transacting();
        var shard = coordinator.ShardOf(request.GroupId);
        var addition = new TransactionAddition(request.ProducerId, request.ProducerEpoch, [], [(request.GroupId, shard)], bumpsEpoch: true);
        if (shard == coordinator.ShardOf(request.TransactionalId))
        {
            return (ShardCommand.NewCommitInGroupAndTransaction(request.TransactionalId, addition, request.GroupId, commit), null);
        }

        return await coordinator.AddAsync(request.TransactionalId, addition, broker.Settings.CoordinatorTimeout) switch
        {
            TransactionReply.InTransaction entered => (CommandOf(request, commit, entered.number), null),
            TransactionReply.TransactionRefused refused => (null, refused.refusal),
            _ => (null, Refusal.ConcurrentTransactions),
        };
    }

    /// <summary>Transactions v1: the group must have been added (AddOffsetsToTxn).</summary>
    private async ValueTask<(ShardCommand? Command, Refusal? Refusal)> VerifyAsync(TxnOffsetCommitRequest request, TransactionalCommit commit)
    {
        var coordinator = broker.Transacting();
        if (coordinator.FindOngoing(request.TransactionalId, request.ProducerId, request.ProducerEpoch) is not { } known
            || !known.Groups.ContainsKey(request.GroupId))
        {
            await coordinator.CatchUpAsync(request.TransactionalId, broker.Settings.CatchUpTimeout);
        }

        var transaction = coordinator.Find(request.TransactionalId);
        var problem = Transactions.ProblemOf(transaction, request.ProducerId, request.ProducerEpoch);
        return problem is null && transaction!.Groups.ContainsKey(request.GroupId)
            ? (CommandOf(request, commit, transaction.Number), null)
            : (null, problem ?? Refusal.InvalidTransactionState);
    }

    private static ShardCommand CommandOf(TxnOffsetCommitRequest request, TransactionalCommit commit, long number) => ShardCommand.NewAskGroup(
        request.GroupId,
        GroupCommand.NewCommitInTransaction(new TransactionalCommit(
            commit.MemberId,
            commit.InstanceId,
            commit.Generation,
            commit.ProducerId,
            commit.ProducerEpoch,
            number,
            commit.Known,
            commit.Offsets)));

    /// <summary>The transaction was an old one for the group: perhaps this broker did not know of a newer one, and asking again will do.</summary>
    private async ValueTask<ErrorCode> ExplainAsync(TxnOffsetCommitRequest request, Refusal refusal, short version)
    {
        if (!refusal.IsTransactionEnded)
        {
            return ErrorOf(refusal, version);
        }

        var coordinator = broker.Transacting();
        await coordinator.CatchUpAsync(request.TransactionalId, broker.Settings.CatchUpTimeout);
        return coordinator.FindOngoing(request.TransactionalId, request.ProducerId, request.ProducerEpoch) is { } transaction
            && transaction.Groups.ContainsKey(request.GroupId)
            ? ErrorCode.CoordinatorLoadInProgress
            : ErrorOf(refusal, version);
    }

    private async ValueTask<ErrorCode> FinishAsync(string transactionalId)
    {
        await broker.Transacting().FinishAsync(transactionalId, broker.Settings.CoordinatorTimeout);
        return ErrorCode.CoordinatorLoadInProgress;
    }

    private TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic Judge(
        TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic wanted,
        List<OffsetToCommit> offsets,
        List<TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition> places)
    {
        var topic = broker.FindTopic(false, default, wanted.Name);
        var partitions = new TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition[wanted.Partitions.Length];
        for (var index = 0; index < partitions.Length; index++)
        {
            var partition = wanted.Partitions[index];
            partitions[index] = new TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition { PartitionIndex = partition.PartitionIndex };
            if (topic is null || !topic.Has(partition.PartitionIndex))
            {
                partitions[index].ErrorCode = ErrorCode.UnknownTopicOrPartition;
            }
            else
            {
                places.Add(partitions[index]);
                offsets.Add(new OffsetToCommit(
                    new TopicPartition(topic.Id, partition.PartitionIndex),
                    partition.CommittedOffset,
                    partition.CommittedLeaderEpoch,
                    partition.CommittedMetadata ?? ""));
            }
        }

        return new TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic { Name = wanted.Name, Partitions = partitions };
    }
}
