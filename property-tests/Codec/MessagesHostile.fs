/// Bytes that nobody honest sends: they are refused with a clear error, or read as something, within bounded memory.
module Tansu.PropertyTests.Codec.MessagesHostile

open System
open System.Text
open Expecto
open FsCheck.FSharp
open Tansu.Codec
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.MessagesModel

/// What reading may allocate per byte of the frame. The dearest honest case is an array of one-letter strings:
/// 2 bytes on the wire, 32 in memory. A claim that fails costs 8 more per level of nesting.
let private bytesPerByte = 48L

/// For the message itself and for an exception with its trace.
let private bytesAtLeast = 32_768L

let private readWithin message version (bytes: byte[]) =
    let allowed = bytesPerByte * int64 bytes.Length + bytesAtLeast

    let read () =
        try
            message.read (ReadOnlyMemory bytes) (int16 version) |> ignore
        with :? KafkaFormatException as refused ->
            if String.IsNullOrEmpty refused.Message then
                failtest "an error without a message"

    // Once more if it was too much: the first exception of a kind has its trace's texts prepared, which is not the message's doing.
    if Check.allocatedBy read > allowed then
        let allocated = Check.allocatedBy read

        if allocated > allowed then
            failtest $"{message.spec.name} {version}: {allocated} bytes allocated for a frame of {bytes.Length}"

let private truncation =
    Check.propertyTimes 3 "a message cut short anywhere is refused"
    <| Prop.forAll MessagesRoundTrip.seeds (fun seed ->
        for message in messages do
            for version in versionsOf message do
                let bytes = write message (sample seed message version) version

                for length in 0 .. max 1 (bytes.Length / 100) .. bytes.Length - 1 do
                    Expect.throwsT<KafkaFormatException>
                        (fun () -> message.read (ReadOnlyMemory(bytes, 0, length)) (int16 version) |> ignore)
                        $"{message.spec.name} {version}: {length} of {bytes.Length} bytes")

let private longer =
    Check.propertyTimes 5 "a byte after a message is refused"
    <| Prop.forAll MessagesRoundTrip.seeds (fun seed ->
        for message in messages do
            for version in versionsOf message do
                let bytes = write message (sample seed message version) version

                Expect.throwsT<KafkaFormatException>
                    (fun () ->
                        message.read (ReadOnlyMemory(Array.append bytes [| 0uy |])) (int16 version)
                        |> ignore)
                    $"{message.spec.name} {version}")

let private flips =
    Check.propertyTimes 10 "flipped bits are refused or read, within bounded memory"
    <| Prop.forAll MessagesRoundTrip.seeds (fun seed ->
        let random = Random seed

        for message in messages do
            for version in versionsOf message do
                let bytes = write message (sample seed message version) version

                for _ in 1..5 do
                    let flipped = Array.copy bytes

                    for _ in 0 .. random.Next 3 do
                        if flipped.Length > 0 then
                            let position = random.Next flipped.Length
                            flipped[position] <- flipped[position] ^^^ (1uy <<< random.Next 8)

                    readWithin message version flipped)

let private noise =
    Check.propertyTimes 10 "random bytes are refused or read, within bounded memory"
    <| Prop.forAll MessagesRoundTrip.seeds (fun seed ->
        let random = Random seed
        // Small numbers make counts and lengths that can be believed; 0xff makes huge ones.
        let alphabets = [|
            fun () -> byte (random.Next 256)
            fun () -> byte (random.Next 3)
            fun () -> if random.Next 2 = 0 then 0uy else byte (random.Next 20)
            fun () -> if random.Next 4 = 0 then 0x7fuy else 0xffuy
        |]

        for message in messages do
            for version in versionsOf message do
                for next in alphabets do
                    let length =
                        if random.Next 20 = 0 then
                            random.Next 20_000
                        else
                            random.Next 200

                    readWithin message version (Array.init length (fun _ -> next ())))

let private write4 (value: int) = [| byte (value >>> 24); byte (value >>> 16); byte (value >>> 8); byte value |]

let private refused message version bytes (expected: string) =
    let error =
        try
            message.read (ReadOnlyMemory bytes) (int16 version) |> ignore
            "nothing"
        with :? KafkaFormatException as refused ->
            refused.Message

    Expect.stringContains error expected message.spec.name

let private limits =
    testList "limits" [
        test "a count that the rest of the frame cannot hold is refused before anything is allocated" {
            let message = named "DeleteGroupsRequest"
            let bytes = Array.append (write4 Int32.MaxValue) (Array.zeroCreate 1000)
            readWithin message 0 bytes
            refused message 0 bytes "2147483647 elements of at least 1 bytes"
            refused message 2 [| 0xffuy; 0xffuy; 0xffuy; 0xffuy; 0x0fuy |] "too large"
        }

        test "more elements than a frame may hold are refused" {
            let message = named "DeleteGroupsRequest"
            let elements = KafkaReader.DefaultMaxElements + 1
            let frame = Array.append (write4 elements) (Array.zeroCreate (2 * elements))
            refused message 0 frame "1000001 elements, 1000000 more are allowed"
        }

        test "the shortest strings cost the most, and no more than is allowed" {
            let message = named "DeleteGroupsRequest"
            let elements = 100_000
            let count = [| 0xa1uy; 0x8duy; 0x06uy |]

            let names =
                Array.init (2 * elements) (fun index -> if index % 2 = 0 then 2uy else 0x61uy)

            readWithin message 2 (Array.concat [ count; names; [| 0uy |] ])
        }

        test "tagged fields that do not fit are refused" {
            let message = named "ResponseHeader"
            refused message 1 (Convert.FromHexString "00000001ffffffff0f") "tagged fields do not fit"
            refused message 1 (Convert.FromHexString "00000001010105") "claims 5 bytes and 0 are left"
        }

        test "negative lengths are refused" {
            refused (named "DeleteGroupsRequest") 0 (write4 -2) "length -2 is negative"
            refused (named "DeleteGroupsRequest") 0 (write4 -1) "an array is null"
            refused (named "DeleteGroupsRequest") 0 (Array.append (write4 1) [| 0xffuy; 0xffuy |]) "a string is null"

            refused
                (named "DescribeTopicPartitionsRequest")
                0
                (Convert.FromHexString "01000007d00500")
                "nullable struct"
        }

        test "a string longer than Kafka's is refused in the compact form too" {
            let bytes =
                Array.concat [ [| 2uy; 0x81uy; 0x80uy; 2uy |]; Array.create 32768 0x61uy; [| 0uy |] ]

            refused (named "DeleteGroupsRequest") 2 bytes "32768 bytes, 32767 are allowed"
        }

        test "bytes that are not UTF-8 are read as replacement characters" {
            let bytes = Convert.FromHexString "0203ff4100"

            let request =
                (named "DeleteGroupsRequest").read (ReadOnlyMemory bytes) 2s :?> Messages.DeleteGroupsRequest

            Expect.equal request.GroupsNames [| "\ufffdA" |] "name"
        }

        test "a string that grew too long by replacement characters is refused when it is sent back" {
            use writer = new KafkaWriter()

            Expect.throwsT<KafkaFormatException>
                (fun () -> writer.WriteString(String('\ufffd', 20_000), true))
                "60,000 bytes"

            writer.Reset()
            writer.WriteString("a", false)
            Expect.equal (writer.ToArray()) (Array.append [| 0uy; 1uy |] (Encoding.ASCII.GetBytes "a")) "after a reset"
        }
    ]

let tests = testList "hostile messages" [ truncation; longer; flips; noise; limits ]
