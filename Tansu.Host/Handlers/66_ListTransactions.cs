using System.Text.RegularExpressions;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// ListTransactions (API key 66, KIP-664). Version 1 brought the filter by duration (KIP-994), 2 the one by pattern (KIP-1152). Any broker lists
/// all transactional ids of the cluster.
/// </summary>
internal sealed class ListTransactionsHandler(Broker broker) : Handler<ListTransactionsRequest, ListTransactionsResponse>
{
    /// <summary>The states that a filter may name; nothing is ever in the last two here.</summary>
    private static readonly string[] States =
        ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"];

    public override async ValueTask<ListTransactionsResponse?> HandleAsync(
        RequestContext context,
        ListTransactionsRequest request,
        CancellationToken cancellationToken)
    {
        var error = await broker.CatchUpGroupsAsync(broker.Cluster.Shards.Select(static shard => shard.Groups));
        if (error != ErrorCode.None)
        {
            return new ListTransactionsResponse { ErrorCode = error };
        }

        if (!TryCompile(request.TransactionalIdPattern, out var pattern))
        {
            return new ListTransactionsResponse { ErrorCode = ErrorCode.InvalidRegularExpression };
        }

        var nowMs = broker.NowMs;
        var listed = new List<ListTransactionsResponse.TransactionStateData>();
        foreach (var shard in broker.Cluster.Shards)
        {
            foreach (var (transactionalId, transaction) in shard.Replica.Current.State.Transactions)
            {
                if (IsWanted(request, transaction, nowMs) && (pattern is null || pattern.IsMatch(transactionalId)))
                {
                    listed.Add(new ListTransactionsResponse.TransactionStateData
                    {
                        TransactionalId = transactionalId,
                        ProducerId = transaction.ProducerId,
                        TransactionState = Transactions.StateOf(transaction),
                    });
                }
            }
        }

        return new ListTransactionsResponse
        {
            UnknownStateFilters = Array.FindAll(request.StateFilters, static state => !States.Contains(state)),
            TransactionStates = [.. listed],
        };
    }

    private static bool IsWanted(ListTransactionsRequest request, Transaction transaction, long nowMs) =>
        (request.StateFilters.Length == 0 || request.StateFilters.Contains(Transactions.StateOf(transaction)))
        && (request.ProducerIdFilters.Length == 0 || request.ProducerIdFilters.Contains(transaction.ProducerId))
        && (request.DurationFilter < 0 || nowMs - transaction.StartTimeMs > request.DurationFilter);

    /// <summary>A pattern must match the whole id. Like RE2 this one takes a time that grows with the text only.</summary>
    private static bool TryCompile(string? pattern, out Regex? compiled)
    {
        compiled = null;
        if (string.IsNullOrEmpty(pattern))
        {
            return true;
        }

        try
        {
            _ = new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
            compiled = new Regex($@"\A(?:{pattern})\z", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
            return true;
        }
        catch (Exception failure) when (failure is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }
}
