using System.Collections.Immutable;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>Transactional ids, and what groups know of transactions, as a shard's snapshot holds them, in an order that depends only on the state.</summary>
internal static class TransactionStateCodec
{
    public static ShardSnapshot.Transaction[] ToStored(ImmutableDictionary<string, Transaction> transactions)
    {
        var stored = new List<ShardSnapshot.Transaction>(transactions.Count);
        foreach (var (transactionalId, transaction) in transactions)
        {
            stored.Add(ToStored(transactionalId, transaction));
        }

        stored.Sort(static (left, right) => string.CompareOrdinal(left.TransactionalId, right.TransactionalId));
        return [.. stored];
    }

    public static ImmutableDictionary<string, Transaction> FromStored(ShardSnapshot.Transaction[] stored) =>
        HashTree.Of(Array.ConvertAll(stored, static transaction => KeyValuePair.Create(transaction.TransactionalId, FromStored(transaction))));

    public static ShardSnapshot.OpenTransaction[] ToStored(ImmutableDictionary<long, OpenTransaction> transactions)
    {
        var stored = new List<ShardSnapshot.OpenTransaction>(transactions.Count);
        foreach (var (producerId, transaction) in transactions)
        {
            stored.Add(new ShardSnapshot.OpenTransaction
            {
                ProducerId = producerId,
                FirstOffset = transaction.FirstOffset,
                Number = transaction.Number,
            });
        }

        stored.Sort(static (left, right) => left.ProducerId.CompareTo(right.ProducerId));
        return [.. stored];
    }

    public static ImmutableDictionary<long, OpenTransaction> FromStored(ShardSnapshot.OpenTransaction[] stored) =>
        HashTree.Of(Array.ConvertAll(
            stored,
            static transaction => KeyValuePair.Create(transaction.ProducerId, new OpenTransaction(transaction.FirstOffset, transaction.Number))));

    public static ShardSnapshot.AbortedTransaction[] ToStored(ImmutableList<AbortedTransaction> transactions)
    {
        var stored = new ShardSnapshot.AbortedTransaction[transactions.Count];
        var index = 0;
        foreach (var transaction in transactions)
        {
            stored[index++] = new ShardSnapshot.AbortedTransaction
            {
                ProducerId = transaction.ProducerId,
                FirstOffset = transaction.FirstOffset,
                LastOffset = transaction.LastOffset,
                LastStableOffset = transaction.LastStableOffset,
            };
        }

        return stored;
    }

    public static ImmutableList<AbortedTransaction> FromStored(ShardSnapshot.AbortedTransaction[] stored) => [.. Array.ConvertAll(
        stored,
        static aborted => new AbortedTransaction(aborted.ProducerId, aborted.FirstOffset, aborted.LastOffset, aborted.LastStableOffset))];

    public static ShardSnapshot.GroupTransaction[] ToStored(ImmutableDictionary<long, GroupTransaction> transactions)
    {
        var stored = new List<ShardSnapshot.GroupTransaction>(transactions.Count);
        foreach (var (producerId, transaction) in transactions)
        {
            stored.Add(new ShardSnapshot.GroupTransaction
            {
                ProducerId = producerId,
                ProducerEpoch = transaction.Epoch,
                Ended = transaction.Ended,
                Number = transaction.Number,
                LastTimeMs = transaction.LastTimeMs,
                Offsets = GroupStateCodec.ToStored(transaction.Offsets),
            });
        }

        stored.Sort(static (left, right) => left.ProducerId.CompareTo(right.ProducerId));
        return [.. stored];
    }

    public static ImmutableDictionary<long, GroupTransaction> FromStored(ShardSnapshot.GroupTransaction[] stored) =>
        HashTree.Of(Array.ConvertAll(stored, static transaction => KeyValuePair.Create(
            transaction.ProducerId,
            new GroupTransaction(
                transaction.ProducerEpoch,
                transaction.Ended,
                transaction.Number,
                GroupStateCodec.FromStored(transaction.Offsets),
                transaction.LastTimeMs))));

    private static ShardSnapshot.Transaction ToStored(string transactionalId, Transaction transaction)
    {
        var partitions = new List<ShardSnapshot.TransactionPartition>(transaction.Partitions.Count);
        foreach (var (partition, shard) in transaction.Partitions)
        {
            partitions.Add(new ShardSnapshot.TransactionPartition
            {
                TopicId = partition.TopicId.Value,
                Partition = partition.Partition,
                Shard = shard,
            });
        }

        partitions.Sort(static (left, right) =>
        {
            var byTopic = left.TopicId.CompareTo(right.TopicId);
            return byTopic != 0 ? byTopic : left.Partition.CompareTo(right.Partition);
        });
        return new ShardSnapshot.Transaction
        {
            TransactionalId = transactionalId,
            ProducerId = transaction.ProducerId,
            ProducerEpoch = transaction.ProducerEpoch,
            LastProducerId = transaction.LastProducerId,
            LastProducerEpoch = transaction.LastProducerEpoch,
            NextProducerId = transaction.NextProducerId,
            TimeoutMs = transaction.TimeoutMs,
            State = ToStored(transaction.State),
            BumpsEpoch = transaction.BumpsEpoch,
            StartTimeMs = transaction.StartTimeMs,
            LastUpdateMs = transaction.LastUpdateMs,
            Number = transaction.Number,
            Partitions = [.. partitions],
            Groups =
            [
                .. transaction.Groups.OrderBy(static placed => placed.Key, StringComparer.Ordinal)
                    .Select(static placed => new ShardSnapshot.TransactionGroup { GroupId = placed.Key, Shard = placed.Value }),
            ],
        };
    }

    private static Transaction FromStored(ShardSnapshot.Transaction stored)
    {
        var partitions = TransactionModule.initial.Partitions.ToBuilder();
        foreach (var partition in stored.Partitions)
        {
            partitions.Add(ShardCodec.Key(partition.TopicId, partition.Partition), partition.Shard);
        }

        var groups = TransactionModule.initial.Groups.ToBuilder();
        foreach (var group in stored.Groups)
        {
            groups.Add(group.GroupId, group.Shard);
        }

        return new Transaction(
            stored.ProducerId,
            stored.ProducerEpoch,
            stored.LastProducerId,
            stored.LastProducerEpoch,
            stored.NextProducerId,
            stored.TimeoutMs,
            StateOf(stored.State),
            stored.BumpsEpoch,
            partitions.ToImmutable(),
            groups.ToImmutable(),
            stored.StartTimeMs,
            stored.LastUpdateMs,
            stored.Number);
    }

    private static sbyte ToStored(TransactionState state) => state.Tag switch
    {
        TransactionState.Tags.Empty => 0,
        TransactionState.Tags.Ongoing => 1,
        TransactionState.Tags.PrepareCommit => 2,
        TransactionState.Tags.PrepareAbort => 3,
        TransactionState.Tags.CompleteCommit => 4,
        TransactionState.Tags.CompleteAbort => 5,
        _ => throw new InvalidOperationException($"no stored form for transaction state {state.Tag}"),
    };

    private static TransactionState StateOf(sbyte stored) => stored switch
    {
        0 => TransactionState.Empty,
        1 => TransactionState.Ongoing,
        2 => TransactionState.PrepareCommit,
        3 => TransactionState.PrepareAbort,
        4 => TransactionState.CompleteCommit,
        5 => TransactionState.CompleteAbort,
        _ => throw new KafkaFormatException($"a transaction is in unknown state {stored}"),
    };
}
