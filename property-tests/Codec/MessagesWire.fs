/// The primitives, and the writer's buffers.
module Tansu.PropertyTests.Codec.MessagesWire

open System
open System.Buffers
open System.Collections.Generic
open System.Runtime.InteropServices
open Expecto
open FsCheck.FSharp
open Tansu.Codec
open Tansu.PropertyTests

let private written (action: KafkaWriter -> unit) =
    use writer = new KafkaWriter()
    action writer
    writer.ToArray()

let private hex (action: KafkaWriter -> unit) = Convert.ToHexString(written action)

let private numbers =
    testList "numbers" [
        Check.property "come back" (fun (value: int64) (text: string) ->
            let bytes =
                written (fun writer ->
                    writer.WriteInt8(sbyte value)
                    writer.WriteInt16(int16 value)
                    writer.WriteUInt16(uint16 value)
                    writer.WriteInt32(int value)
                    writer.WriteUInt32(uint32 value)
                    writer.WriteInt64 value
                    writer.WriteFloat64(float value)
                    writer.WriteUnsignedVarint(uint32 value)
                    writer.WriteVarint(int value)
                    writer.WriteVarlong value
                    writer.WriteNullableString(text, true)
                    writer.WriteNullableString(text, false)
                    writer.WriteBoolean(value % 2L = 0L))

            let mutable reader =
                KafkaReader(ReadOnlyMemory bytes, KafkaReader.DefaultMaxElements)

            Expect.equal (reader.ReadInt8()) (sbyte value) "int8"
            Expect.equal (reader.ReadInt16()) (int16 value) "int16"
            Expect.equal (reader.ReadUInt16()) (uint16 value) "uint16"
            Expect.equal (reader.ReadInt32()) (int value) "int32"
            Expect.equal (reader.ReadUInt32()) (uint32 value) "uint32"
            Expect.equal (reader.ReadInt64()) value "int64"
            Expect.equal (reader.ReadFloat64()) (float value) "float64"
            Expect.equal (reader.ReadUnsignedVarint()) (uint32 value) "unsigned varint"
            Expect.equal (reader.ReadVarint()) (int value) "varint"
            Expect.equal (reader.ReadVarlong()) value "varlong"
            // Lone surrogates have no UTF-8.
            let sent =
                if isNull text then
                    null
                else
                    Text.Encoding.UTF8.GetString(Text.Encoding.UTF8.GetBytes text)

            Expect.equal (reader.ReadNullableString true) sent "compact string"
            Expect.equal (reader.ReadNullableString false) sent "string"
            Expect.equal (reader.ReadBoolean()) (value % 2L = 0L) "bool"
            reader.RequireEnd())

        test "have the protocol's form" {
            Expect.equal (hex _.WriteUnsignedVarint(300u)) "AC02" "300"
            Expect.equal (hex _.WriteUnsignedVarint(UInt32.MaxValue)) "FFFFFFFF0F" "largest"
            Expect.equal (hex _.WriteVarint(-1)) "01" "-1"
            Expect.equal (hex _.WriteVarint(Int32.MinValue)) "FFFFFFFF0F" "smallest"
            Expect.equal (hex _.WriteVarlong(Int64.MinValue)) "FFFFFFFFFFFFFFFFFF01" "smallest long"

            Expect.equal
                (hex _.WriteUuid(Guid.Parse "00112233-4455-6677-8899-aabbccddeeff"))
                "00112233445566778899AABBCCDDEEFF"
                "uuid"
        }

        test "of too many bits or bytes are refused" {
            for text, read in
                [
                    "FFFFFFFF1F",
                    (fun (frame: byte[]) ->
                        let mutable reader = KafkaReader(ReadOnlyMemory frame, 0)
                        int64 (reader.ReadUnsignedVarint()))
                    "808080808000",
                    (fun frame ->
                        let mutable reader = KafkaReader(ReadOnlyMemory frame, 0)
                        int64 (reader.ReadVarint()))
                    "FFFFFFFFFFFFFFFFFF02",
                    (fun frame ->
                        let mutable reader = KafkaReader(ReadOnlyMemory frame, 0)
                        reader.ReadVarlong())
                    "8080808080808080808000",
                    (fun frame ->
                        let mutable reader = KafkaReader(ReadOnlyMemory frame, 0)
                        reader.ReadVarlong())
                ] do
                Expect.throwsT<KafkaFormatException> (fun () -> read (Convert.FromHexString text) |> ignore) text
        }
    ]

/// One thing to write, and the bytes it makes.
let private pieces =
    gen {
        let! length =
            Gen.frequency [
                6, Gen.choose (0, 40)
                3, Gen.choose (500, 1500)
                1, Gen.choose (1500, 200_000)
            ]

        let! fill = Gen.choose (0, 255)
        let! asString = Gen.elements [ true; false ]
        return asString && length < 30_000, Array.create length (byte (if asString then 97 + fill % 26 else fill))
    }

let private joined (segments: IReadOnlyList<ReadOnlyMemory<byte>>) =
    segments |> Seq.map _.ToArray() |> Array.concat

let private buffers =
    testList "the writer" [
        Check.property "gives the same bytes whatever the chunks, as frame, payload and socket buffers"
        <| Prop.forAll (Gen.listOf pieces |> Arb.fromGen) (fun pieces ->
            use writer = new KafkaWriter()

            for round in 1..2 do
                for isString, bytes in pieces do
                    if isString then
                        writer.WriteString(Text.Encoding.ASCII.GetString bytes, false)
                    else
                        writer.WriteNullableBytes(Nullable(ReadOnlyMemory bytes), false)

                let expected =
                    pieces
                    |> List.map (fun (isString, bytes) ->
                        let length = [|
                            byte (bytes.Length >>> 24)
                            byte (bytes.Length >>> 16)
                            byte (bytes.Length >>> 8)
                            byte bytes.Length
                        |]

                        Array.append (if isString then length[2..] else length) bytes)
                    |> Array.concat

                Expect.equal writer.Length expected.Length $"length, round {round}"
                let frame = joined (writer.Frame())
                Expect.equal frame[4..] expected "frame"

                Expect.equal
                    (Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan frame))
                    expected.Length
                    "prefix"

                Expect.equal (writer.ToArray()) expected "array"
                Expect.equal (writer.Payload().ToArray()) expected "payload"
                Expect.equal (writer.FrameForSocket() |> Seq.map _.ToArray() |> Array.concat) frame "socket buffers"
                writer.Reset()

            Expect.equal (joined (writer.Frame())) [| 0uy; 0uy; 0uy; 0uy |] "empty after a reset")

        test "takes large records by reference and copies small ones" {
            use writer = new KafkaWriter()
            let large = Array.create 5000 1uy
            let small = Array.create 1000 2uy
            writer.WriteRecords(RecordBytes([| ReadOnlyMemory large; ReadOnlyMemory small |], 2), true)

            let arrays =
                writer.Frame()
                |> Seq.map (fun segment ->
                    let _, array = MemoryMarshal.TryGetArray segment
                    array.Array)
                |> List.ofSeq

            Expect.exists arrays (fun array -> obj.ReferenceEquals(array, large)) "large"
            Expect.all arrays (fun array -> not (obj.ReferenceEquals(array, small))) "small"
        }

        test "reads records as a slice of the frame" {
            let frame = Array.append [| 0uy; 0uy; 0uy; 3uy |] [| 1uy; 2uy; 3uy |]
            let mutable reader = KafkaReader(ReadOnlyMemory frame, 0)
            let records = reader.ReadRecords false
            let _, slice = MemoryMarshal.TryGetArray records[0]
            Expect.isTrue (obj.ReferenceEquals(slice.Array, frame) && slice.Offset = 4 && slice.Count = 3) "slice"
        }

        test "returns every chunk to the pool once" {
            for _ in 1..50 do
                let writer = new KafkaWriter()

                for _ in 1..3 do
                    for _ in 1..200 do
                        writer.WriteString(String('a', 900), true)
                        let tag = writer.BeginTag()
                        tag.WriteString(String('b', 2000), true)
                        writer.EndTag(1u, tag)

                    writer.Frame() |> ignore
                    writer.Reset()

                (writer :> IDisposable).Dispose()
                (writer :> IDisposable).Dispose()
                Expect.throwsT<ObjectDisposedException> (fun () -> writer.WriteInt8 1y) "after Dispose"

            // A chunk returned twice would be rented twice.
            for size in [ 1024; 2048; 4096; 8192; 16384; 32768; 65536 ] do
                let rented = List.init 100 (fun _ -> ArrayPool<byte>.Shared.Rent size)
                Expect.equal (HashSet<byte[]>(rented, HashIdentity.Reference).Count) 100 $"{size}"
                rented |> List.iter ArrayPool<byte>.Shared.Return
        }

        test "says records that are null, empty or in pieces" {
            let write records =
                hex (fun writer -> writer.WriteRecords(records, false))

            Expect.equal (write RecordBytes.Null) "FFFFFFFF" "null"
            Expect.equal (write RecordBytes.Empty) "00000000" "empty"
            Expect.equal (write (RecordBytes([||], 0))) "00000000" "no pieces"

            let pieces = [|
                ReadOnlyMemory [| 1uy |]
                ReadOnlyMemory [| 2uy; 3uy |]
                ReadOnlyMemory [| 4uy |]
            |]

            Expect.equal (write (RecordBytes(pieces, 2))) "00000003010203" "two of three pieces"
        }
    ]

let tests = testList "wire" [ numbers; buffers ]
