/// Compression, and bytes that nobody honest sends: they may only be refused, with bounded memory.
module Tansu.PropertyTests.Codec.RecordsHostile

open System
open System.Buffers
open System.IO
open Expecto
open FsCheck.FSharp
open K4os.Compression.LZ4
open K4os.Compression.LZ4.Streams
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples

let private compressAs codec framing (bytes: byte[]) =
    let output = ArrayBufferWriter<byte>()
    Compression.Compress(codec, ReadOnlySpan bytes, output, framing)
    output.WrittenSpan.ToArray()

let private compress codec bytes =
    compressAs codec SnappyFraming.Xerial bytes

let private decompressUpTo (maxBytes: int) codec (bytes: byte[]) =
    let mutable decompressed: PooledBytes = null

    let outcome =
        Compression.TryDecompress(codec, memory bytes, maxBytes, &decompressed)

    if isNull decompressed then
        Error outcome
    else
        use decompressed = decompressed
        Ok(decompressed.Memory.ToArray())

let private decompress codec bytes =
    decompressUpTo Compression.DefaultMaxDecompressedBytes codec bytes

let private text length =
    Array.init length (fun index -> byte (index / 7 + index % 13))

let private compressionTests =
    testList "compression" [
        for codec in codecs do
            for length in [ 0; 1; 1000; 32 * 1024; 65_536; 65_537; 3_000_000 ] do
                test $"{codec} of {length} bytes comes back" {
                    let bytes = text length
                    let compressed = compress codec bytes

                    if length > 0 || codec <> CompressionCodec.None then
                        Expect.equal (decompress codec compressed) (Ok bytes) "bytes"

                    Expect.equal (decompressUpTo length codec compressed) (Ok bytes) "exactly at the limit"

                    if length > 1 then
                        Expect.equal
                            (decompressUpTo (length - 1) codec compressed)
                            (Error DecompressionOutcome.TooLarge)
                            "one byte too many"
                }

        Check.property "both framings of snappy come back"
        <| forAll bytes (fun bytes ->
            for framing in [ SnappyFraming.Xerial; SnappyFraming.Raw ] do
                Expect.equal
                    (decompress CompressionCodec.Snappy (compressAs CompressionCodec.Snappy framing bytes))
                    (Ok bytes)
                    $"{framing}")

        test "the framing of snappy-java is the one that is documented" {
            // 11 literal bytes: the length 11, a tag (11 - 1) <<< 2, the bytes.
            let block = Array.concat [ [| 11uy; 40uy |]; "hello world"B ]

            let header =
                Array.concat [ [| 0x82uy |]; "SNAPPY"B; [| 0uy; 0uy; 0uy; 0uy; 1uy; 0uy; 0uy; 0uy; 1uy |] ]

            let framed = Array.concat [ header; [| 0uy; 0uy; 0uy; 13uy |]; block ]
            Expect.equal (decompress CompressionCodec.Snappy framed) (Ok "hello world"B) "framed"
            Expect.equal (decompress CompressionCodec.Snappy block) (Ok "hello world"B) "raw"

            Expect.equal
                (compressAs CompressionCodec.Snappy SnappyFraming.Xerial "hello world"B)
                framed
                "written as Java does"
        }

        test "lz4 frames of another writer are read, whatever options they use" {
            let bytes = text 500_000

            for chain in [ true; false ] do
                for blockSize in [ 65_536; 262_144; 4_194_304 ] do
                    let settings =
                        LZ4EncoderSettings(
                            ChainBlocks = chain,
                            BlockSize = blockSize,
                            ContentChecksum = chain,
                            BlockChecksum = false,
                            CompressionLevel = LZ4Level.L00_FAST
                        )

                    let output = new MemoryStream()

                    do
                        use stream = LZ4Stream.Encode(output, settings, true)
                        stream.Write(bytes, 0, bytes.Length)

                    Expect.equal (decompress CompressionCodec.Lz4 (output.ToArray())) (Ok bytes) $"{chain} {blockSize}"
        }

        test "our lz4 frames are read by another reader" {
            let bytes = text 500_000
            use stream = LZ4Stream.Decode(new MemoryStream(compress CompressionCodec.Lz4 bytes))
            let output = new MemoryStream()
            stream.CopyTo output
            Expect.equal (output.ToArray()) bytes "bytes"
        }

        test "zstd frames that do not say their size are read" {
            let bytes = text 3_000_000
            let output = new MemoryStream()

            do
                use stream = new ZstdSharp.CompressionStream(output, 3, leaveOpen = true)

                for start in 0..1000..2_999_000 do
                    stream.Write(bytes, start, 1000)

            Expect.equal (decompress CompressionCodec.Zstd (output.ToArray())) (Ok bytes) "bytes"
        }
    ]

/// Bytes that this thread allocated while it did something, after doing it once to warm up.
let private allocatedBytes (action: unit -> unit) =
    action ()
    Check.allocatedBy action

let private bombTests =
    testList "a decompression bomb" [
        for codec in compressingCodecs do
            test $"of {codec} is refused by the reader and by a validator that looks into it" {
                let maxBytes = 100_000
                let record = { record1 with Value = Some(Array.zeroCreate 20_000_000) }
                let bomb = buildWith (RecordBatchBuilder(Codec = codec)) [ record ]

                Expect.throwsT<RecordFormatException>
                    (fun () -> readWithOffsetsUpTo maxBytes bomb |> ignore)
                    "the reader"

                let limits =
                    RecordBatchLimits(
                        LooksIntoCompressed = true,
                        MaxDecompressedBytes = maxBytes,
                        MaxBatchBytes = Int32.MaxValue
                    )

                Expect.equal
                    (RecordBatchValidator.Validate(memory bomb, &limits).Outcome)
                    RecordBatchOutcome.DecompressedTooLarge
                    "the validator"

                let allocated =
                    allocatedBytes (fun () -> decompressUpTo maxBytes codec bomb[61..] |> ignore)

                Expect.isLessThan allocated 2_000_000L "allocated bytes"
            }

        test "that only claims to be large costs next to nothing" {
            // A zstd frame of a claimed 2^40 bytes and one empty block; a raw snappy block that claims 2^31 - 1 bytes.
            let zstd = [|
                0x28uy
                0xB5uy
                0x2Fuy
                0xFDuy
                0xE0uy
                0uy
                0uy
                0uy
                0uy
                0uy
                1uy
                0uy
                0uy
                1uy
                0uy
                0uy
            |]

            let snappy = [| 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy; 0x07uy; 0uy; 0uy |]

            for codec, bytes in [ CompressionCodec.Zstd, zstd; CompressionCodec.Snappy, snappy ] do
                let mutable outcome = Ok [||]
                let allocated = allocatedBytes (fun () -> decompress codec bytes |> ignore)
                outcome <- decompress codec bytes
                Expect.isError outcome $"{codec}"
                Expect.isLessThan allocated 1_000_000L $"allocated bytes for {codec}"
        }
    ]

/// Reads it in every way there is; the only exception that may come out is RecordFormatException.
let private survives (bytes: byte[]) =
    let limits =
        RecordBatchLimits(LooksIntoCompressed = true, RequiresKeys = true, MaxDecompressedBytes = 1_000_000)

    let before = GC.GetAllocatedBytesForCurrentThread()
    RecordBatchValidator.Validate(memory bytes, &limits) |> ignore

    try
        readWithOffsetsUpTo 1_000_000 bytes |> ignore
    with :? RecordFormatException ->
        ()

    // Lists of what was read cost the test more than reading costs; still it is bounded by what was sent.
    let allocated = GC.GetAllocatedBytesForCurrentThread() - before
    Expect.isLessThan allocated (20_000_000L + 200L * int64 bytes.Length) "allocated bytes"

let private smallBatch = Gen.resize 3 batch

let private hostileTests =
    testList "hostile bytes" [
        Check.property "at random are refused"
        <| forAll bytes (fun bytes ->
            survives bytes
            let limits = RecordBatchLimits()
            Expect.isFalse (RecordBatchValidator.Validate(memory bytes, &limits).IsValid) "valid")

        Check.property "at random, where compressed records should be, are refused"
        <| forAll (Gen.zip (Gen.elements codecs) bytes) (fun (codec, bytes) ->
            let head =
                Array.truncate 61 (buildWith (RecordBatchBuilder(Codec = codec)) [ record1 ])

            let length = [| 0uy; 0uy; byte ((bytes.Length + 49) >>> 8); byte (bytes.Length + 49) |]
            survives (Array.append head bytes |> edited 8 length |> withCrc)
            decompressUpTo 1_000_000 codec bytes |> ignore)

        Check.property "that are a batch cut short are refused"
        <| forAll (Gen.zip smallBatch (Gen.choose (0, 1_000_000))) (fun (batch, cut) ->
            let bytes = build batch
            let bytes = Array.truncate (cut % bytes.Length) bytes
            survives bytes
            let limits = RecordBatchLimits()
            Expect.isFalse (RecordBatchValidator.Validate(memory bytes, &limits).IsValid) "valid")

        Check.propertyTimes 500 "that are a batch with a changed byte, under a right CRC, do no harm"
        <| forAll
            (Gen.zip3 smallBatch (Gen.choose (0, 1_000_000)) (Gen.choose (0, 255)))
            (fun (batch, position, value) ->
                let bytes = build batch
                // The length stays as it is, so that the change is really looked at.
                let position = 21 + position % (bytes.Length - 21)
                survives (bytes |> edited position [| byte value |] |> withCrc))

        for codec in compressingCodecs do
            test $"that are {codec} cut short or damaged at any place do no harm" {
                let compressed = compress codec (text 300)

                for position in 0 .. compressed.Length - 1 do
                    decompress codec (Array.truncate position compressed) |> ignore

                    for bit in 0..7 do
                        let damaged =
                            compressed |> edited position [| compressed[position] ^^^ (1uy <<< bit) |]

                        decompressUpTo 1_000_000 codec damaged |> ignore
            }
    ]

let tests =
    testSequenced
    <| testList "hostile bytes and compression" [ compressionTests; bombTests; hostileTests ]
