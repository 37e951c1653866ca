using Tansu.Adapters.Ports;
using Tansu.Codec;
using Tansu.Codec.Storage;

namespace Tansu.Adapters.Replica;

/// <summary>An entry as it was read back.</summary>
internal sealed record Entry<TEvent>(CommitId CommitId, long TimeMs, IReadOnlyList<TEvent> Events);

/// <summary>
/// Writes and reads the heads of entries, and snapshots. An entry's head is a 16-bit format version, an
/// <see cref="EntryHeader"/>, and the events; a snapshot is a 16-bit format version, a <see cref="SnapshotHeader"/>, and the state.
/// </summary>
internal sealed class EntryCodec<TState, TEvent>(ILogCodec<TState, TEvent> codec, string logName)
{
    /// <summary>The format that this build writes, and the newest that it reads.</summary>
    public const short FormatVersion = 1;

    /// <summary>
    /// What is stored is larger than any request: whatever a broker could write it must be able to read, or the log is lost.
    /// </summary>
    private const int MaxStoredElements = 100_000_000;

    public ReadOnlyMemory<byte> EncodeEntry(CommitId commitId, long timeMs, List<TEvent> events)
    {
        using var writer = new KafkaWriter();
        writer.WriteInt16(FormatVersion);
        var header = new EntryHeader
        {
            WriterNonce = commitId.WriterNonce,
            CommitNumber = commitId.CommitNumber,
            TimeMs = timeMs,
            EventCount = events.Count,
        };
        header.Write(writer, EntryHeader.HighestVersion);
        foreach (var happened in events)
        {
            codec.WriteEvent(writer, happened);
        }

        return writer.ToArray();
    }

    /// <exception cref="StoreRefusedException">The entry is damaged, or a newer Tansu wrote it.</exception>
    public Entry<TEvent> DecodeEntry(EntryHead head)
    {
        try
        {
            var reader = new KafkaReader(head.Head, MaxStoredElements);
            RequireFormat(reader.ReadInt16());
            var header = EntryHeader.Read(ref reader, EntryHeader.HighestVersion);
            var events = new List<TEvent>(Math.Clamp(header.EventCount, 0, reader.Remaining));
            for (var index = 0; index < header.EventCount; index++)
            {
                events.Add(codec.ReadEvent(ref reader));
            }

            reader.RequireEnd();
            return new Entry<TEvent>(new CommitId(header.WriterNonce, header.CommitNumber), header.TimeMs, events);
        }
        catch (KafkaFormatException malformed)
        {
            throw new StoreRefusedException(
                $"entry {head.Number} of log {logName} cannot be read: {malformed.Message.TrimEnd('.')}. "
                + "Either a newer version of Tansu wrote it (start that version), or it is damaged (restore the store from a backup).",
                malformed);
        }
    }

    /// <returns>The writer that holds it, for the caller to dispose of.</returns>
    public KafkaWriter EncodeSnapshot(Published<TState> published)
    {
        var writer = new KafkaWriter();
        writer.WriteInt16(FormatVersion);
        new SnapshotHeader { EntryNumber = published.EntryNumber, TimeMs = published.TimeMs }.Write(writer, SnapshotHeader.HighestVersion);
        codec.WriteState(writer, published.State);
        return writer;
    }

    /// <exception cref="KafkaFormatException">The snapshot cannot be used.</exception>
    public Published<TState> DecodeSnapshot(ReadOnlyMemory<byte> content)
    {
        var reader = new KafkaReader(content, MaxStoredElements);
        RequireFormat(reader.ReadInt16());
        var header = SnapshotHeader.Read(ref reader, SnapshotHeader.HighestVersion);
        try
        {
            var state = codec.ReadState(ref reader);
            reader.RequireEnd();
            return new Published<TState>(state, header.EntryNumber, header.TimeMs);
        }
        catch (ArgumentException damage)
        {
            // Something is in it twice that can be there once.
            throw new KafkaFormatException(damage.Message, damage);
        }
    }

    private static void RequireFormat(short version)
    {
        if (version is < 1 or > FormatVersion)
        {
            throw new KafkaFormatException($"its format version is {version} and this version of Tansu knows 1 to {FormatVersion}");
        }
    }
}
