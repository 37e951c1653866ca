namespace Tansu.Domain

/// Where a chunk's bytes are kept.
[<Struct>]
type ChunkSource =
    /// In the inline payload of an entry of the partition's own log.
    | InlineEntry of entryNumber: int64
    /// In a data object that one or more entries refer to.
    | DataObject of name: string
    /// In a segment, which a compactor wrote. The batches' own base offsets are set in it.
    | Segment of name: string

    /// The data object's or segment's name; null when an entry holds the bytes.
    member this.ObjectName: string | null =
        match this with
        | InlineEntry _ -> null
        | DataObject name
        | Segment name -> name

/// A run of record batches of one partition, stored back to back. Outside of segments the batches' own base offsets are not yet
/// set in the store: the first batch starts at `BaseOffset`, each next one where the one before ends.
[<Struct; NoComparison>]
type Chunk = {
    /// Offset of the first record.
    BaseOffset: int64
    /// Offset of the last record.
    LastOffset: int64
    /// What holds the bytes.
    Source: ChunkSource
    /// Where the bytes begin in the source.
    Position: int
    /// How many bytes.
    Length: int
    /// The largest record timestamp in the chunk, in milliseconds since 1970.
    MaxTimestampMs: int64
}
