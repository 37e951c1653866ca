using System.Buffers;

namespace Tansu.Adapters.Ports;

/// <summary>
/// One append-only log of numbered, immutable entries. Entry <c>n</c> is created only if no entry <c>n</c> exists and
/// entry <c>n - 1</c> does (or did, before it was trimmed): that is the whole of the concurrency control.
/// </summary>
/// <remarks>
/// <para>Numbers start at 1 and have no gaps. An entry that was reported <see cref="AppendOutcome.Appended"/>, or that
/// any reader has been given, is durable and never changes; it disappears only by <see cref="TrimAsync"/>.</para>
/// <para>All members may be called from any thread at the same time. Appends of one log are decided one after another.
/// The caller may reuse buffers it passed in as soon as the returned task has completed, not before.</para>
/// <para>Errors that every member may raise, besides its own: <see cref="StoreUnavailableException"/> (try again later),
/// <see cref="StoreRefusedException"/> (fatal until somebody acts), <see cref="OperationCanceledException"/> and
/// <see cref="ObjectDisposedException"/>.</para>
/// </remarks>
public interface IEventLog : IAsyncDisposable
{
    /// <summary>The name the log was opened by, for example <c>catalog</c> or <c>shard-0</c>.</summary>
    string Name { get; }

    /// <summary>Tries to create entry <paramref name="number"/>, in one durable write.</summary>
    /// <param name="number">The number of the new entry: the number of the last entry that the caller knows, plus one.</param>
    /// <param name="head">Header and events; the store does not look inside. Not empty.</param>
    /// <param name="payload">Inline record batches and gaps between them; may be empty; at most <see cref="StoreLimits.InlinePayloadBytes"/> of batches.</param>
    /// <param name="cancellationToken">
    /// Heeded only while it is certain that the entry has not been created. Once the write may have reached the store a
    /// cancelled token yields the outcome, at worst <see cref="AppendOutcome.Unknown"/>, and never an exception.
    /// </param>
    /// <returns>The outcome; see <see cref="AppendOutcome"/> for what each promises.</returns>
    /// <exception cref="StoreUnavailableException">The entry was certainly not created (a full disk, for example).</exception>
    /// <exception cref="StoreRefusedException">The entry was certainly not created, nor will a retry help.</exception>
    /// <exception cref="ArgumentException">The entry is empty or larger than the store can hold; nothing was created.</exception>
    ValueTask<AppendOutcome> TryAppendAsync(
        long number,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload,
        CancellationToken cancellationToken);

    /// <summary>
    /// The heads of the entries with numbers after <paramref name="after"/>, ascending and without gaps. It may return fewer
    /// than there are (to bound memory), but never none when there is one: an empty list means that entry
    /// <c>after + 1</c> does not exist yet. No payload is read. It says when it has seen the end (<see cref="EntryHeads.IsEnd"/>), so that a reader
    /// comes to rest although others go on appending.
    /// </summary>
    /// <param name="after">The number of the last entry that the caller knows; 0 to read from the first.</param>
    /// <param name="maxEntries">How many heads to return at most; at least 1.</param>
    /// <param name="cancellationToken">Abandons the read.</param>
    /// <exception cref="EntryMissingException">
    /// Entry <c>after + 1</c> has been trimmed: the caller needs a newer snapshot. Never reported as an empty list as long as
    /// any later entry exists.
    /// </exception>
    /// <exception cref="StoreUnavailableException">
    /// Among others: the outcome of an append is unknown and the store cannot find it out now.
    /// </exception>
    ValueTask<EntryHeads> ReadHeadsAsync(long after, int maxEntries, CancellationToken cancellationToken);

    /// <summary>Fills <paramref name="destination"/> with bytes of the payload of entry <paramref name="number"/>.</summary>
    /// <param name="number">The number of the entry.</param>
    /// <param name="position">Where in the payload to begin, in bytes from its start.</param>
    /// <param name="destination">Filled whole; it may be empty. Owned by the store until the task has completed.</param>
    /// <param name="cancellationToken">Abandons the read; the destination's content is then undefined.</param>
    /// <remarks>The bytes are not checked against a checksum here: record batches carry their own.</remarks>
    /// <exception cref="EntryMissingException">The entry has been trimmed or was never created.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the payload.</exception>
    ValueTask ReadPayloadAsync(long number, int position, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>
    /// Keeps <paramref name="content"/> as the state after entry <paramref name="number"/>. Durable when the task completes;
    /// whole or not at all. Replaces a snapshot with the same number. Only the newest few (at least two) are kept.
    /// </summary>
    /// <param name="number">An entry that is known to exist: the last one that the state includes.</param>
    /// <param name="content">The state; the store does not look inside.</param>
    /// <param name="cancellationToken">Heeded until the snapshot becomes visible.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is below 1, or beyond the end of the log where the store knows it.</exception>
    ValueTask SaveSnapshotAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken);

    /// <summary>
    /// The newest undamaged snapshot with a number below <paramref name="belowNumber"/>, or null when there is none. A caller
    /// that cannot use the one it got asks again with that one's number.
    /// </summary>
    /// <param name="belowNumber"><see cref="long.MaxValue"/> for the newest.</param>
    /// <param name="cancellationToken">Abandons the read.</param>
    ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken);

    /// <summary>
    /// Allows the store to delete entries with numbers below <paramref name="below"/>. It may keep some or all of them (whole
    /// storage units only, where that is cheaper) but never deletes others, and what remains has no gaps. The log
    /// goes on at the same number even when every entry has been deleted. Snapshots are not touched.
    /// </summary>
    /// <param name="below">The lowest number that must stay. Beyond the end of the log it means every entry.</param>
    /// <param name="cancellationToken">Stops between two storage units.</param>
    ValueTask TrimAsync(long below, CancellationToken cancellationToken);
}
