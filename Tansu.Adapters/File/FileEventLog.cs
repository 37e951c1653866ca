using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// A log in a directory. Small appends are done by the caller, who waits for the disk; large ones go to a thread of the log's own, so that the caller
/// can do something with them meanwhile. Reads use the shared handles and wait for nobody.
/// </summary>
internal sealed class FileEventLog(
    FileStoreContext context,
    FileLogFiles files,
    FileLogWriter writer,
    FileSnapshots snapshots) : IEventLog
{
    /// <summary>The largest payload that the caller writes, in bytes: waking a thread and being woken by it costs as much as a small write.</summary>
    private const int SmallPayloadBytes = 32 * 1024;

    private readonly IoThreads _writerThread = new($"tansu log {files.Name}", 1);
    private readonly string _appending = $"Appending to log {files.Name} in {files.Directory}";
    private int _disposed;

    /// <inheritdoc/>
    public string Name => files.Name;

    /// <summary>Whether it has let go of its files: only then may they be opened again.</summary>
    public bool IsClosed { get; private set; }

    private bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <inheritdoc/>
    public ValueTask<AppendOutcome> TryAppendAsync(
        long number,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfZero(head.Length, nameof(head));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(head.Length, EntryFrame.MaxPartBytes, nameof(head));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, EntryFrame.MaxPartBytes, nameof(payload));
        if (payload.Length <= SmallPayloadBytes && !cancellationToken.IsCancellationRequested)
        {
            return AppendHere(number, head, payload);
        }

        return new ValueTask<AppendOutcome>(
            _writerThread.RunAsync(_appending, () => writer.Append(number, head, payload), cancellationToken, continuesHere: true));
    }

    private ValueTask<AppendOutcome> AppendHere(long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload)
    {
        try
        {
            return new ValueTask<AppendOutcome>(writer.Append(number, head, payload));
        }
        catch (Exception error)
        {
            // Not swallowed: the awaiting caller gets it.
            return ValueTask.FromException<AppendOutcome>(FileErrors.Translate(_appending, error));
        }
    }

    /// <inheritdoc/>
    public async ValueTask<EntryHeads> ReadHeadsAsync(
        long after,
        int maxEntries,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(after);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxEntries, 1);
        cancellationToken.ThrowIfCancellationRequested();
        if (writer.IsInDoubt && after + 1 >= files.NextNumber)
        {
            await _writerThread.RunAsync(_appending, writer.Resolve, cancellationToken).ConfigureAwait(false);
        }

        var open = await files.RentAsync(after + 1, cancellationToken).ConfigureAwait(false);
        if (open is null)
        {
            return after + 1 < files.FirstNumber ? throw new EntryMissingException(Name, after + 1) : new EntryHeads([], isEnd: true);
        }

        try
        {
            var heads = await HeadReader.ReadAsync(context.Readers, open, after + 1, maxEntries, cancellationToken).ConfigureAwait(false);
            if (after + 1 < files.FirstNumber)
            {
                // Trimmed meanwhile, and perhaps written over.
                throw new EntryMissingException(Name, after + 1);
            }

            return new EntryHeads(heads, isEnd: heads[^1].Number + 1 >= files.NextNumber);
        }
        catch (StoreRefusedException) when (after + 1 < files.FirstNumber)
        {
            // Its file has been trimmed since it was rented, and is getting shorter.
            throw new EntryMissingException(Name, after + 1);
        }
        catch (IOException error)
        {
            throw FileErrors.Translate($"Reading {open.File.Path}", error);
        }
        finally
        {
            context.OpenFiles.Return(open);
        }
    }

    /// <inheritdoc/>
    public async ValueTask ReadPayloadAsync(
        long number,
        int position,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        var open = await files.RentAsync(number, cancellationToken).ConfigureAwait(false)
            ?? throw new EntryMissingException(Name, number);
        try
        {
            var location = open.Index[(int)(number - open.File.FirstNumber)];
            ArgumentOutOfRangeException.ThrowIfNegative(position);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(position, location.PayloadLength - destination.Length);
            var start = location.PayloadPosition + position;
            var isWhole = await DurableFile.FillAsync(context.Readers, open.Handle, destination, start, cancellationToken).ConfigureAwait(false);
            if (number < files.FirstNumber)
            {
                // As above; and where pages are large, the end of a file that gets shorter may be read as zeros.
                throw new EntryMissingException(Name, number);
            }

            if (!isWhole)
            {
                throw FileErrors.Damaged(open.File.Path, start, $"the file ends within entry {number}");
            }
        }
        catch (IOException error)
        {
            throw FileErrors.Translate($"Reading {open.File.Path}", error);
        }
        finally
        {
            context.OpenFiles.Return(open);
        }
    }

    /// <inheritdoc/>
    public async ValueTask SaveSnapshotAsync(
        long number,
        ReadOnlySequence<byte> content,
        CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(number, files.NextNumber);
        await context.SharedIo
            .RunAsync($"Saving a snapshot in {files.Directory}", () => snapshots.Save(number, content), cancellationToken)
            .ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return new ValueTask<Snapshot?>(context.SharedIo.RunAsync(
            $"Loading a snapshot from {files.Directory}",
            () => snapshots.Load(belowNumber),
            cancellationToken));
    }

    /// <inheritdoc/>
    public async ValueTask TrimAsync(long below, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        await context.SharedIo
            .RunAsync($"Trimming {files.Directory}", () => files.Trim(below, cancellationToken), cancellationToken)
            .ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _writerThread.DisposeAsync().ConfigureAwait(false);
        writer.Close();
        IsClosed = true;
    }
}
