/// Random records, and batches made of them, for the tests of Tansu.Codec.Records.
module Tansu.PropertyTests.Codec.RecordsSamples

open System
open FsCheck
open FsCheck.FSharp
open Tansu.Codec.Records

type SampleRecord = {
    TimestampMs: int64
    Key: byte[] option
    Value: byte[] option
    Headers: (byte[] * byte[] option) list
}

type SampleBatch = { Codec: CompressionCodec; SnappyFraming: SnappyFraming; Records: SampleRecord list }

let codecs = [
    CompressionCodec.None
    CompressionCodec.Gzip
    CompressionCodec.Snappy
    CompressionCodec.Lz4
    CompressionCodec.Zstd
]

let compressingCodecs = List.tail codecs

let memory (bytes: byte[]) = ReadOnlyMemory<byte> bytes

let nullable (bytes: byte[] option) : Nullable<ReadOnlyMemory<byte>> =
    match bytes with
    | Some bytes -> Nullable(memory bytes)
    | None -> Nullable()

let optional (bytes: Nullable<ReadOnlyMemory<byte>>) =
    if bytes.HasValue then Some(bytes.Value.ToArray()) else None

let private bytesUpTo length =
    gen {
        let! count = Gen.choose (0, length)
        let! seed = Gen.choose (0, Int32.MaxValue)
        let! isRandom = Gen.elements [ true; false ]
        let bytes = Array.create count (byte seed)

        if isRandom then
            Random(seed).NextBytes bytes

        return bytes
    }

/// Most are small; some are longer than a block of snappy or lz4.
let bytes =
    Gen.frequency [ 20, bytesUpTo 20; 5, bytesUpTo 300; 1, bytesUpTo 100_000 ]

let record =
    gen {
        let! timestampMs =
            Gen.elements [ 0L; -1L; 1L; 1_700_000_000_000L; 1_700_000_000_123L; Int64.MaxValue ]

        let! key = Gen.optionOf bytes
        let! value = Gen.optionOf bytes

        let! headers =
            Gen.zip (bytesUpTo 10) (Gen.optionOf (bytesUpTo 10))
            |> Gen.listOf
            |> Gen.resize 4

        return { TimestampMs = timestampMs; Key = key; Value = value; Headers = headers }
    }

let batch =
    gen {
        let! codec = Gen.elements codecs
        let! framing = Gen.elements [ SnappyFraming.Xerial; SnappyFraming.Raw ]
        let! records = Gen.nonEmptyListOf record |> Gen.resize 12

        return { Codec = codec; SnappyFraming = framing; Records = records }
    }

let append (builder: RecordBatchBuilder) record =
    let headers =
        record.Headers
        |> List.map (fun (key, value) -> RecordHeader(memory key, nullable value))
        |> List.toArray

    builder.Append(record.TimestampMs, nullable record.Key, nullable record.Value, ReadOnlySpan headers)

let buildWith (builder: RecordBatchBuilder) records =
    records |> List.iter (append builder)
    builder.Build()

let build batch =
    buildWith (RecordBatchBuilder(Codec = batch.Codec, SnappyFraming = batch.SnappyFraming)) batch.Records

let headerOf (batch: byte[]) =
    let mutable header = RecordBatchHeader()

    if not (RecordBatchHeader.TryRead(ReadOnlySpan batch, &header)) then
        failwith "not a batch"

    header

let ofRecord (record: Record) = {
    TimestampMs = record.TimestampMs
    Key = optional record.Key
    Value = optional record.Value
    Headers =
        record.Headers.ToArray()
        |> Array.map (fun header -> header.Key.ToArray(), optional header.Value)
        |> Array.toList
}

let readWithOffsetsUpTo (maxDecompressedBytes: int) (batch: byte[]) =
    use reader = new RecordReader(memory batch, maxDecompressedBytes)
    let mutable records = reader.GetEnumerator()

    let found = ResizeArray()

    while records.MoveNext() do
        found.Add(struct (records.Current.Offset, ofRecord records.Current))

    [ for struct (offset, record) in found -> offset, record ]

let readWithOffsets batch =
    readWithOffsetsUpTo Compression.DefaultMaxDecompressedBytes batch

let read batch = readWithOffsets batch |> List.map snd

let record1 = {
    TimestampMs = 1_700_000_000_000L
    Key = Some "key"B
    Value = Some "value"B
    Headers = [ "header"B, Some "h"B; "empty"B, None ]
}

/// Three records, the second without a key, the third a tombstone.
let records3 = [
    record1
    { record1 with Key = None; Headers = [] }
    { record1 with Value = None; TimestampMs = 1_700_000_000_500L }
]

/// Sets the CRC right after a change of the bytes it covers.
let withCrc (batch: byte[]) =
    let crc = Crc32C.Compute(ReadOnlySpan(batch, 21, batch.Length - 21))
    Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(Span(batch, 17, 4), crc)
    batch

/// A copy with some bytes changed, and the CRC as it was.
let edited position (values: byte[]) (batch: byte[]) =
    let copy = Array.copy batch
    Array.blit values 0 copy position values.Length
    copy

let forAll generator (check: 'a -> unit) =
    Prop.forAll (Arb.fromGen generator) check
