using System.Buffers;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Tansu.Adapters.Ports;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>
/// Writes one log: one gathered write and one fdatasync per entry, on the caller's thread. Whoever comes meanwhile waits.
/// </summary>
/// <remarks>
/// <para>Small entries are written over zeros that an earlier write has put behind its entry. A sync that need not make a new length durable takes little more than half
/// the time; writing every byte twice costs more than that with entries that are large anyway. Those of all sizes are written over older ones where the log has such a
/// file (<see cref="SpareLogFiles"/>).</para>
/// <para>When a write or a sync fails the log is <em>in doubt</em>: part or all of the entry may be in the file, and the kernel may have
/// given up writing pages that it now calls clean, so that a second fdatasync would succeed without meaning anything. While in doubt
/// nothing is acknowledged and the tail is not read.</para>
/// <para>Doubt is resolved before the next append or read of the tail: the file is cut back to the end of the last acknowledged entry. That
/// takes nothing from anybody: this process is the only writer, the entry after it was never acknowledged nor shown to a reader,
/// and whoever was told <see cref="AppendOutcome.Unknown"/> learns that it does not exist. What shared a disk block
/// with the failed write is then written and synced again, and the entries there are read back from the disk. Only when all of that has
/// worked does the log accept again.</para>
/// </remarks>
internal sealed class FileLogWriter
{
    private const int BlockBytes = 4096;

    /// <summary>The largest entry that zeros are written ahead for.</summary>
    private const int LargestOverZeros = 64 * 1024;

    /// <summary>At most this many zeros are written ahead, and no more than the file has bytes, unless that is less than the least.</summary>
    private const int MostZerosAhead = 256 * 1024;

    private const int LeastZerosAhead = 64 * 1024;
    private static readonly ReadOnlyMemory<byte> Zeros = new byte[64 * 1024];

    private readonly Lock _gate = new();
    private readonly FileStoreContext _context;
    private readonly FileLogFiles _files;
    private readonly SpareLogFiles _spares;
    private readonly byte[] _frame = new byte[EntryFrame.Size];
    private readonly List<ReadOnlyMemory<byte>> _buffers = [];
    private OpenLogFile _active;
    private ulong _fileId;

    /// <summary>Where the active file ends: at the end of its last entry, or of the zeros or older entries behind it.</summary>
    private long _fileEnd;

    /// <summary>Whether there may be older entries behind the last.</summary>
    private bool _isOverOlder;

    private StoreRefusedException? _refusal;
    private volatile bool _inDoubt;
    private bool _rolling;
    private bool _isClosed;

    /// <param name="context">The store.</param>
    /// <param name="files">The log's files.</param>
    /// <param name="spares">What it may go on in.</param>
    /// <param name="active">The last of the files, whole.</param>
    /// <param name="scan">What was found in it; null if it is new.</param>
    public FileLogWriter(FileStoreContext context, FileLogFiles files, SpareLogFiles spares, OpenLogFile active, LogFileScan? scan)
    {
        _context = context;
        _files = files;
        _spares = spares;
        _active = active;
        _fileId = scan?.FileId ?? NewFileId();
        _isOverOlder = scan?.Behind == Behind.Older;
        _fileEnd = RandomAccess.GetLength(active.Handle);
        BlockedWorkers.ExpectOne();
    }

    /// <summary>Whether the tail must be resolved before it is read. May be asked from any thread.</summary>
    public bool IsInDoubt => _inDoubt;

    public AppendOutcome Append(long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            return AppendAlone(number, head, payload);
        }
    }

    private AppendOutcome AppendAlone(long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload)
    {
        if (number != _files.NextNumber)
        {
            return AppendOutcome.Conflict;
        }

        ResolveAlone();
        var entryBytes = EntryFrame.Size + head.Length + payload.Length;
        if (_rolling || (_active.Index.Count > 0 && _active.Index.End + entryBytes > _context.Options.FileRollBytes))
        {
            _context.Write(Roll);
        }

        var location = new EntryLocation(_active.Index.End, (int)head.Length, (int)payload.Length);
        var zeros = ZerosBehind(location);
        if (!TryWrite(number, head, payload, location.Position, zeros))
        {
            return AppendOutcome.Unknown;
        }

        _active.Index.Add(location);
        _active.File.Count++;
        _fileEnd = Math.Max(_fileEnd, location.End + zeros);
        return AppendOutcome.Appended;
    }

    /// <summary>Settles a failed write, if there was one.</summary>
    /// <returns>True.</returns>
    /// <exception cref="IOException">Not possible now.</exception>
    /// <exception cref="StoreRefusedException">The failure has damaged acknowledged entries.</exception>
    public bool Resolve()
    {
        lock (_gate)
        {
            return ResolveAlone();
        }
    }

    /// <summary>Closes the log's files. To be called once.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _isClosed = true;
            TryCutAtEnd();
            _files.Close();
        }

        BlockedWorkers.ExpectNone();
    }

    /// <summary>Leaves a file that ends where its entries end: the next start has less to look at.</summary>
    private void TryCutAtEnd()
    {
        if (_inDoubt || _context.Options.IsReadOnly)
        {
            return;
        }

        try
        {
            CutAtEnd();
        }
        catch (IOException)
        {
            // So it stays as it is.
        }
    }

    /// <summary>Cuts what is behind the last entry, if anything is.</summary>
    private void CutAtEnd()
    {
        if (_fileEnd != _active.Index.End)
        {
            Cut(_active.Index.End);
        }
    }

    private void Cut(long end)
    {
        _context.Disk.Truncate(_active.Handle, end);
        _fileEnd = end;
        _isOverOlder = false;
    }

    private bool ResolveAlone()
    {
        if (_refusal is not null)
        {
            throw _refusal;
        }

        if (_inDoubt)
        {
            CutBack();
            _inDoubt = false;
            _context.Notice(
                $"Log {_files.Name}: a write to {_active.File.Path} had failed; the file has been cut back to the end of entry {_files.NextNumber - 1} and checked.");
        }

        return true;
    }

    /// <summary>
    /// How many zeros to write together with an entry: none while there are any for it, or when it is large. Over older entries, to the end of its last block, which would otherwise
    /// have to be read.
    /// </summary>
    private long ZerosBehind(EntryLocation entry)
    {
        if (entry.End <= _fileEnd)
        {
            return _isOverOlder ? Math.Min((entry.End + BlockBytes - 1) / BlockBytes * BlockBytes, _fileEnd) - entry.End : 0;
        }

        if (entry.End - entry.Position > LargestOverZeros)
        {
            return 0;
        }

        var ahead = entry.End + Math.Clamp(entry.End, LeastZerosAhead, MostZerosAhead);
        return Math.Max(0, Math.Min(ahead / BlockBytes * BlockBytes, _context.Options.FileRollBytes) - entry.End);
    }

    private bool TryWrite(long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload, long position, long zeros)
    {
        EntryFrame.Write(_frame, number, _fileId, head, payload);
        _buffers.Add(_frame);
        AddBuffers(head);
        AddBuffers(payload);
        for (; zeros > 0; zeros -= Zeros.Length)
        {
            _buffers.Add(Zeros[..(int)Math.Min(zeros, Zeros.Length)]);
        }

        try
        {
            _context.Disk.Write(_active.Handle, _buffers, position);
            _context.Disk.SyncData(_active.Handle);
            return true;
        }
        catch (IOException error)
        {
            _inDoubt = true;
            _context.Notice($"Log {_files.Name}: writing entry {number} to {_active.File.Path} failed: {error.Message}");
            if (!FileErrors.IsFull(error))
            {
                return false;
            }

            _context.TellFull();
            if (!TryCutBack())
            {
                return false;
            }

            // Cut back durably: now it is certain that the entry is not there, and the caller may know.
            _inDoubt = false;
            throw;
        }
        finally
        {
            _buffers.Clear();
        }
    }

    private void AddBuffers(ReadOnlySequence<byte> data)
    {
        foreach (var part in data)
        {
            _buffers.Add(part);
        }
    }

    private bool TryCutBack()
    {
        try
        {
            CutBack();
            return true;
        }
        catch (Exception error) when (error is IOException or StoreRefusedException)
        {
            // Still in doubt: whoever comes next meets the same error, or a better day.
            return false;
        }
    }

    private void CutBack()
    {
        var index = _active.Index;
        var end = index.End;
        Cut(end);

        // The failed write shared its first block with the end of the last entry, and what the disk has there now nobody knows.
        var blockStart = end / BlockBytes * BlockBytes;
        var block = new byte[end - blockStart];
        if (!DurableFile.Fill(_active.Handle, block, blockStart))
        {
            throw Refuse(blockStart);
        }

        _context.Disk.Write(_active.Handle, [block], blockStart);
        _context.Disk.SyncData(_active.Handle);
        Libc.DropCache(_active.Handle);
        for (var i = index.Count - 1; i >= 0 && index[i].End > blockStart; i--)
        {
            if (!IsWhole(_active.Handle, index[i]))
            {
                throw Refuse(index[i].Position);
            }
        }
    }

    private StoreRefusedException Refuse(long position)
    {
        _refusal = FileErrors.Damaged(_active.File.Path, position, "a failed write has damaged entries before it");
        return _refusal;
    }

    private static bool IsWhole(SafeFileHandle handle, EntryLocation location)
    {
        var bytes = new byte[location.End - location.Position];
        return DurableFile.Fill(handle, bytes, location.Position)
            && EntryFrame.TryRead(bytes, out var frame)
            && frame.HeadLength == location.HeadLength
            && frame.PayloadLength == location.PayloadLength
            && Crc32C.Append(EntryFrame.BeginHeadCrc(bytes), bytes.AsSpan(EntryFrame.Size, frame.HeadLength)) == frame.HeadCrc
            && Crc32C.Append(0, bytes.AsSpan(EntryFrame.Size + frame.HeadLength)) == frame.PayloadCrc;
    }

    /// <summary>
    /// Goes on in a new file. A failure may be tried again, and must be: the new file may exist by then, with the number of the
    /// next entry as its name, so that the old one must not get that entry however small it is.
    /// </summary>
    private void Roll()
    {
        // The cut must be durable, and may be one that an earlier attempt made.
        CutAtEnd();
        _context.Disk.SyncData(_active.Handle);
        SealedIndex.Save(_context, _active.File, _active.Index);
        _rolling = true;
        var file = new LogFile(_files.Directory, _files.NextNumber);
        var spareId = _spares.TryGive(file);
        var next = Create(_context, file, isSpare: spareId is not null);
        var length = RandomAccess.GetLength(next.Handle);
        _context.OpenFiles.AddActive(next);
        _files.Add(next.File);
        _context.OpenFiles.Seal(_active);
        _active = next;
        _rolling = false;
        _fileId = spareId ?? NewFileId();
        _fileEnd = length;
        _isOverOlder = spareId is not null;
    }

    /// <summary>Creates a log file without entries, durably, or makes the name of one durable that is there.</summary>
    /// <param name="context">The store.</param>
    /// <param name="file">The file.</param>
    /// <param name="isSpare">Whether it is there, with its beginning, which is durable, and what it had before.</param>
    public static OpenLogFile Create(FileStoreContext context, LogFile file, bool isSpare = false)
    {
        var handle = OpenForWriting(file.Path);
        try
        {
            if (!isSpare)
            {
                if (RandomAccess.GetLength(handle) != 0)
                {
                    throw FileErrors.Damaged(file.Path, 0, "it appeared while the broker was running");
                }

                context.Disk.SyncData(handle);
            }

            Libc.SyncDirectory(Path.GetDirectoryName(file.Path)!);
            return new OpenLogFile(file, handle, new EntryIndex(isSpare ? EntryFrame.BeginningBytes : 0));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Opens a log file for appending and reading, creating it if need be.</summary>
    public static SafeFileHandle OpenForWriting(string path) =>
        File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);

    internal static ulong NewFileId()
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        RandomNumberGenerator.Fill(bytes);
        return BitConverter.ToUInt64(bytes);
    }
}
