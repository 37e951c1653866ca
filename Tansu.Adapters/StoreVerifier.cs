using System.Buffers;
using System.Security.Cryptography;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Finds out whether a store keeps the promise that all of Tansu rests on: of several writers of one entry exactly one wins.</summary>
public static class StoreVerifier
{
    private const int Writers = 32;
    private const int MaxPayloadBytes = 64;

    /// <summary>
    /// Races 32 writers for one entry, in every round, in a log of its own (<c>verify-…</c>) that is deleted afterwards where the store can.
    /// It needs nothing of the cluster and may run while that is opened.
    /// </summary>
    /// <param name="store">The store to check.</param>
    /// <param name="rounds">How many races; one finds a store that ignores conditions.</param>
    /// <param name="waitsForCleanUp">Whether to return only once the scratch log is gone.</param>
    /// <param name="cancellationToken">Abandons the check; the scratch log may then stay.</param>
    /// <exception cref="StoreRefusedException">A promise is broken; the message names it.</exception>
    /// <exception cref="StoreUnavailableException">The store did not answer, so nothing has been found out.</exception>
    public static async Task VerifyAsync(IStore store, int rounds, bool waitsForCleanUp, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentOutOfRangeException.ThrowIfLessThan(rounds, 1);
        var name = "verify-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
        var scratch = store as IScratchLogs;
        var log = scratch?.OpenScratch(name) ?? await store.OpenLogAsync(name, cancellationToken).ConfigureAwait(false);
        try
        {
            var replacing = scratch?.ReplacesOnlyWhatWasReadAsync(name, cancellationToken) ?? Task.FromResult(true);
            var racing = RaceAsync(store, log, rounds, cancellationToken);
            await Task.WhenAll(racing, replacing).ConfigureAwait(false);
            if (!await replacing.ConfigureAwait(false))
            {
                throw new StoreRefusedException(
                    $"{store.Description} does not honour If-Match: it replaced an object that had changed since it was read, so entries "
                    + "that others still need would be deleted. Use a store with conditional writes.");
            }
        }
        finally
        {
            await log.DisposeAsync().ConfigureAwait(false);
            if (scratch is not null)
            {
                var cleaning = CleanUpAsync(scratch, name, rounds, cancellationToken);
                if (waitsForCleanUp)
                {
                    await cleaning.ConfigureAwait(false);
                }
            }
        }
    }

    private static async Task RaceAsync(IStore store, IEventLog log, int rounds, CancellationToken cancellationToken)
    {
        for (var number = 1L; number <= rounds; number++)
        {
            var writers = new Task<AppendOutcome>[Writers];
            for (var writer = 0; writer < Writers; writer++)
            {
                writers[writer] = log.TryAppendAsync(number, Head(writer), Payload(writer), cancellationToken).AsTask();
            }

            var outcomes = await Task.WhenAll(writers).ConfigureAwait(false);
            var heads = await log.ReadHeadsAsync(number - 1, 1, cancellationToken).ConfigureAwait(false);
            Judge(store, outcomes, await WriterOfAsync(log, heads, cancellationToken).ConfigureAwait(false));
        }
    }

    private static void Judge(IStore store, AppendOutcome[] outcomes, int? stored)
    {
        var winners = outcomes.Count(static outcome => outcome == AppendOutcome.Appended);
        if (winners > 1)
        {
            throw new StoreRefusedException(
                $"{store.Description} does not honour If-None-Match: {winners} of {Writers} writers of one entry were told that theirs was stored, so "
                + "two brokers would both believe that they had written it, and records would be lost. Use a store with conditional writes.");
        }

        var isOneOfTheUnsure = winners == 0 && stored is { } unsure && outcomes[unsure] == AppendOutcome.Unknown;
        if (winners == 0 && !isOneOfTheUnsure)
        {
            throw outcomes.Contains(AppendOutcome.Unknown)
                ? new StoreUnavailableException($"{store.Description} did not say what became of the entries that were to check it; try again.")
                : new StoreRefusedException(
                    $"{store.Description} refused every one of {Writers} writers of a new entry, so nothing could ever be written. Use a store with "
                    + "conditional writes (If-None-Match).");
        }

        if (winners == 1 && (stored is not { } winner || outcomes[winner] != AppendOutcome.Appended))
        {
            throw new StoreRefusedException(
                $"{store.Description} does not keep what it confirms: it told one writer that its entry was stored and then returned "
                + $"{(stored is null ? "none" : "another writer's")}. Use a store with conditional writes and strong consistency.");
        }
    }

    /// <summary>Which writer the stored entry is of; null when there is none, or of nobody's bytes.</summary>
    private static async Task<int?> WriterOfAsync(IEventLog log, EntryHeads heads, CancellationToken cancellationToken)
    {
        if (heads.Count == 0 || heads[0].Head.Length != 1 || heads[0].Head.Span[0] >= Writers || heads[0].PayloadLength > MaxPayloadBytes)
        {
            return null;
        }

        int writer = heads[0].Head.Span[0];
        var payload = new byte[heads[0].PayloadLength];
        await log.ReadPayloadAsync(heads[0].Number, 0, payload, cancellationToken).ConfigureAwait(false);
        return payload.AsSpan().SequenceEqual(Payload(writer).ToArray()) ? writer : null;
    }

    private static ReadOnlySequence<byte> Head(int writer) => new([(byte)writer]);

    private static ReadOnlySequence<byte> Payload(int writer)
    {
        var bytes = new byte[writer + 1];
        bytes.AsSpan().Fill((byte)writer);
        return new ReadOnlySequence<byte>(bytes);
    }

    private static async Task CleanUpAsync(IScratchLogs scratch, string name, int rounds, CancellationToken cancellationToken)
    {
        try
        {
            await scratch.DropAsync(name, rounds, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is StoreUnavailableException or ObjectDisposedException or OperationCanceledException)
        {
            // A few small objects stay; what was found out counts.
        }
    }
}
