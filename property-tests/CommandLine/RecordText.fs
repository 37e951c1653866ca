/// What `tansu cat` makes of records and lines, without a broker.
module Tansu.PropertyTests.CommandLine.RecordText

open System
open System.IO
open System.Text
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open Tansu.Codec.Records
open Tansu.Host.Client
open Tansu.Host.CommandLine
open Tansu.Host.Commands.Perf
open Tansu.Host.Commands.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.CommandLine.Running

let private memory (bytes: byte array | null) : Nullable<ReadOnlyMemory<byte>> =
    match bytes with
    | null -> Nullable()
    | bytes -> Nullable(ReadOnlyMemory bytes)

let private bytesOf (memory: Nullable<ReadOnlyMemory<byte>>) =
    if memory.HasValue then
        Some(memory.Value.ToArray())
    else
        None

/// A record as a test says it: key, value, headers and timestamp.
type private Said = {
    Key: byte array option
    Value: byte array option
    Headers: (byte array * byte array option) list
    TimestampMs: int64
}

let private someBytes =
    Gen.oneof [
        ArbMap.defaults |> ArbMap.generate<byte array>
        // Also what is text, with all that JSON escapes.
        Gen.elements [ '"'; '\\'; '\n'; '\000'; 'a'; 'ä'; '€'; '{'; ','; '\u2028' ]
        |> Gen.listOf
        |> Gen.map (fun characters -> Encoding.UTF8.GetBytes(String(Array.ofList characters)))
    ]

let private said =
    gen {
        let! key = Gen.optionOf someBytes
        let! value = Gen.optionOf someBytes
        let! headers = Gen.listOf (Gen.zip someBytes (Gen.optionOf someBytes))
        let! timestamp = Gen.choose64 (0L, 4_000_000_000_000L)
        return { Key = key; Value = value; Headers = headers; TimestampMs = timestamp }
    }

let private records = Arb.fromGen (Gen.nonEmptyListOf said)

let private headersOf said = [|
    for key, value in said.Headers do
        RecordHeader(ReadOnlyMemory key, memory (Option.toObj value))
|]

let private seal codec (all: Said list) =
    use writer = new RecordBatchWriter(codec)

    for one in all do
        let headers = headersOf one

        Expect.isLessThanOrEqual
            (int64 writer.UncompressedBytes)
            (int64 writer.UncompressedBytes
             + RecordBatchWriter.MostBytesOf(0L, 0L, ReadOnlySpan headers))
            "grows"

        let before = writer.UncompressedBytes

        writer.Append(
            one.TimestampMs,
            memory (Option.toObj one.Key),
            memory (Option.toObj one.Value),
            ReadOnlySpan headers
        )

        let length = Option.map Array.length >> Option.defaultValue 0 >> int64

        Expect.isLessThanOrEqual
            (int64 (writer.UncompressedBytes - before))
            (RecordBatchWriter.MostBytesOf(length one.Key, length one.Value, ReadOnlySpan headers))
            "no longer than was said"

    writer.Seal(7L, 3s, 11, false).ToArray()

let private build codec (all: Said list) =
    let builder =
        RecordBatchBuilder(Codec = codec, ProducerId = 7L, ProducerEpoch = 3s, BaseSequence = 11)

    for one in all do
        builder.Append(
            one.TimestampMs,
            memory (Option.toObj one.Key),
            memory (Option.toObj one.Value),
            ReadOnlySpan(headersOf one)
        )

    builder.Build()

let private sealing =
    testList "a batch that is written in place" [
        for codec in Enum.GetValues<CompressionCodec>() do
            Check.propertyTimes 50 $"is the same, byte by byte, as one that was built: {codec}"
            <| Prop.forAll records (fun all -> Expect.equal (seal codec all) (build codec all) "bytes")

        testCase "is sealed again with other numbers, and moved in time, and used again"
        <| fun () ->
            use writer = new RecordBatchWriter(CompressionCodec.Lz4)
            let value = memory (Array.create 500 7uy)
            writer.Append(1000L, Nullable(), value, ReadOnlySpan())
            writer.Append(1005L, Nullable(), value, ReadOnlySpan())
            writer.Seal(1L, 0s, 0, false) |> ignore
            writer.MoveTo 2000L
            use reader = new RecordReader(writer.Seal(1L, 0s, 2, true))
            Expect.equal (reader.Header.BaseSequence, reader.Header.IsTransactional) (2, true) "sealed again"
            Expect.equal (reader.Header.BaseTimestamp, reader.Header.MaxTimestamp) (2000L, 2005L) "moved"
            writer.Reset()
            writer.Append(5L, Nullable(), Nullable(), ReadOnlySpan())
            use again = new RecordReader(writer.Seal(-1L, -1s, -1, false))
            Expect.equal (again.Header.RecordCount, again.Header.MaxTimestamp) (1, 5L) "used again"
    ]

let private consuming format isJson nullValue : ConsumeTask = {
    Topic = "t"
    Partitions = [||]
    From = FromBeginning
    Follows = false
    Count = -1L
    IsReadCommitted = true
    Group = null
    Format = format
    IsJson = isJson
    NullValue = nullValue
}

let private producing: ProduceTask = {
    Topic = "t"
    Partition = -1
    Key = null
    KeySeparator = null
    Headers = [||]
    NullValue = null
    IsJson = false
    Compression = "none"
    Acks = -1
    BatchBytes = 1000
    LingerMs = 0
    TransactionalId = null
}

let private print asked (all: Said list) =
    use output = new MemoryStream()
    let buffer = OutputBuffer output
    let printer = RecordPrinter(asked, buffer)
    use reader = new RecordReader(ReadOnlyMemory(seal CompressionCodec.None all))

    for record in reader do
        printer.Print(3, &record)

    buffer.FlushAsync(CancellationToken.None).AsTask().Wait()
    output.ToArray()

let private readBack (line: byte array) =
    let record = ParsedRecord()
    RecordLines({ producing with IsJson = true }).Read(ReadOnlyMemory line, record)

    record.Partition,
    {
        Key = bytesOf record.Key
        Value = bytesOf record.Value
        Headers = [ for header in record.Headers -> header.Key.ToArray(), bytesOf header.Value ]
        TimestampMs = record.TimestampMs
    }

let private splitLines (bytes: byte array) =
    (Encoding.Latin1.GetString bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries)
    |> Array.map Encoding.Latin1.GetBytes
    |> List.ofArray

let private mistakes = [
    "", "not JSON"
    "5", "an object is expected"
    "{\"value\":\"a\"", "not JSON"
    "{\"value\":\"a\"} 1", "not JSON"
    "{\"values\":\"a\"}", "'values' is not known"
    "{\"valueBase64\":\"?\"}", "not Base64"
    "{\"partition\":-1}", "partition"
    "{\"timestamp\":\"now\"}", "timestamp"
    "{\"headers\":{}}", "not an array"
    "{\"headers\":[{\"value\":\"a\"}]}", "no key"
]

let private json =
    testList "JSON" [
        Check.property "what is printed is read back as it was, whatever the bytes"
        <| Prop.forAll records (fun all ->
            let back = print (consuming null true "") all |> splitLines |> List.map readBack
            Expect.equal back [ for one in all -> 3, one ] "records")

        testCase "a value that is no text is taken as it stands"
        <| fun () ->
            let _, record =
                readBack (Encoding.UTF8.GetBytes """{"value": {"a": [1, null]} , "key": 5}""")

            Expect.equal record.Value (Some(Encoding.UTF8.GetBytes """{"a": [1, null]}""")) "an object"
            Expect.equal record.Key (Some "5"B) "a number"

        for line, expected in mistakes do
            testCase $"a line that is not right is refused: {line}"
            <| fun () ->
                let refusal =
                    try
                        readBack (Encoding.UTF8.GetBytes line) |> ignore
                        "accepted"
                    with :? FormatException as refusal ->
                        refusal.Message

                Expect.stringContains refusal expected "why"
    ]

let private one = { Key = Some "k"B; Value = None; Headers = [ "a"B, Some "1"B; "b"B, None ]; TimestampMs = 9L }

let private texts = [
    null, "\n"
    "%t %p %o %T %k %K %v %S %h %%%x\n", "t 3 0 9 k 1  -1 a=1,b=NULL %%x\n"
    "%s|%k", "|k"
    "100%", "100%"
]

let private lines (chunk: int) (bytes: byte array) =
    // Gives as much as it is asked for, but never more than a chunk.
    let input = {
        new MemoryStream(bytes) with
            override stream.ReadAsync(buffer: Memory<byte>, cancellationToken: CancellationToken) =
                base.ReadAsync(buffer.Slice(0, min chunk buffer.Length), cancellationToken)
    }

    let reader = LineReader(input, 1000)

    [
        while not reader.IsAtEnd do
            let mutable line = ReadOnlyMemory<byte>()

            while reader.TryNext &line do
                line.ToArray()

            if not reader.IsAtEnd then
                reader.FillAsync(CancellationToken.None).AsTask().Wait()
    ]

let private linesOf =
    gen {
        let! lines = Gen.listOf (Gen.listOf (Gen.elements "ab"B) |> Gen.map Array.ofList)
        let! chunk = Gen.choose (1, 20)
        return lines, chunk
    }

let private reading =
    testList "lines" [
        Check.property "are those of the stream, however it is cut"
        <| Prop.forAll (Arb.fromGen linesOf) (fun (all, chunk) ->
            let bytes = Array.concat [ for line in all -> Array.append line "\n"B ]
            Expect.equal (lines chunk bytes) all "lines"
            // The last one may have no end.
            let last = Array.append bytes "x"B
            Expect.equal (lines chunk last) (all @ [ "x"B ]) "lines and a rest")

        testCase "of which one is too long are refused"
        <| fun () -> Expect.throws (fun () -> lines 4096 (Array.create 1_000_000 97uy) |> ignore) "too long"

        for format, expected in texts do
            testCase $"""a format is filled in: {Option.ofObj format |> Option.defaultValue "values"}"""
            <| fun () ->
                let printed = print (consuming format false "") [ one ]
                Expect.equal (Encoding.UTF8.GetString printed) expected "text"

        testCase "keys, null and what stands for it"
        <| fun () ->
            let parser = RecordLines { producing with KeySeparator = "\t"; NullValue = "-" }
            let record = ParsedRecord()

            let parse (line: string) =
                parser.Read(ReadOnlyMemory(Encoding.UTF8.GetBytes line), record)

                let text memory =
                    bytesOf memory
                    |> Option.map (fun (bytes: byte array) -> Encoding.UTF8.GetString bytes)

                text record.Key, text record.Value

            Expect.equal (parse "k\tv\tw") (Some "k", Some "v\tw") "key and value"
            Expect.equal (parse "v") (None, Some "v") "no key"
            Expect.equal (parse "k\t-") (Some "k", None) "a tombstone"
            Expect.equal (parse "\t") (Some "", Some "") "empty"
    ]

/// By Kafka's own tests of its hash.
let private hashes = [
    "21", -973932308
    "foobar", -790332482
    "a-little-bit-long-string", -985981536
    "a-little-bit-longer-string", -1486304829
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971
    "abc", 479470107
]

let private choosing =
    testList "partitions" [
        testCase "are chosen by Kafka's hash of the key"
        <| fun () ->
            for key, hash in hashes do
                let expected = (hash &&& Int32.MaxValue) % 1_000_003
                Expect.equal (Murmur2.PartitionOf(ReadOnlySpan(Encoding.UTF8.GetBytes key), 1_000_003)) expected key

        testCase "are shared out as Kafka's range assignor does"
        <| fun () ->
            let subscriptions =
                readOnlyDict [
                    "c", [| "t" |] :> Collections.Generic.IReadOnlyList<string>
                    "a", [| "t"; "u" |]
                    "b", [| "t"; "gone" |]
                ]

            let assigned = RangeAssignor.Assign(subscriptions, readOnlyDict [ "t", 5; "u", 1 ])
            let of' member' = [ for partition in assigned[member'] -> partition.Topic, partition.Partition ]
            Expect.equal (of' "a") [ "t", 0; "t", 1; "u", 0 ] "a"
            Expect.equal (of' "b") [ "t", 2; "t", 3 ] "b"
            Expect.equal (of' "c") [ "t", 4 ] "c"
    ]

let private percentiles =
    Check.property "percentiles are those of the durations, within two per cent"
    <| Prop.forAll
        (Arb.fromGen (Gen.nonEmptyListOf (Gen.oneof [ Gen.choose64 (0L, 1000L); Gen.choose64 (0L, 100_000_000L) ])))
        (fun durations ->
            let histogram = LatencyHistogram()
            let recent = LatencyHistogram()
            durations |> List.iter (fun duration -> recent.Add(duration, 1L))
            histogram.TakeFrom recent
            Expect.equal (histogram.Count, recent.Count) (int64 durations.Length, 0L) "counts"
            let sorted = List.sort durations |> Array.ofList

            for share in [ 0.01; 0.5; 0.95; 1.0 ] do
                let exact = sorted[max 0 (int (ceil (share * float sorted.Length)) - 1)]
                let found = histogram.PercentileMs share * 1000.0
                Expect.isGreaterThanOrEqual (found + 0.001) (float exact) $"{share} of {sorted.Length}"
                Expect.isLessThanOrEqual found (float exact * 1.02 + 0.001) $"{share} of {sorted.Length}")

let private parsing =
    let produce arguments =
        match parse ("cat" :: "produce" :: arguments) with
        | UseCluster(_, ProduceRecords task) -> task
        | other -> failtest $"{other}"

    let consume arguments =
        match parse ("cat" :: "consume" :: arguments) with
        | UseCluster(_, ConsumeRecords task) -> task
        | other -> failtest $"{other}"

    let positions = [
        "beginning", FromBeginning
        "end", FromEnd
        "17", FromOffset 17L
        "-5", FromLast 5L
        "@1700000000000", FromTime 1700000000000L
        "2023-11-14T22:13:20Z", FromTime 1700000000000L
    ]

    let refused = [
        [ "cat"; "produce" ], "no topic"
        [ "cat"; "produce"; "a"; "b" ], "more than one topic"
        [ "cat"; "produce"; "t"; "--acks"; "2" ], "--acks"
        [ "cat"; "produce"; "t"; "--compression"; "rar" ], "--compression"
        [ "cat"; "produce"; "t"; "--header"; "=v" ], "--header"
        [ "cat"; "produce"; "t"; "--json"; "--key"; "k" ], "--key"
        [ "cat"; "produce"; "t"; "--acks"; "1"; "--transactional-id"; "x" ], "--acks all"
        [ "cat"; "consume"; "t"; "--from"; "soon" ], "--from"
        [ "cat"; "consume"; "t"; "--group"; "g"; "--partition"; "0" ], "--group"
        [ "cat"; "consume"; "t"; "--follow"; "--until"; "end" ], "--until"
        [ "cat"; "consume"; "t"; "--partitions"; "3" ], "--partitions"
        [ "perf"; "produce"; "t"; "--in-flight"; "6" ], "--in-flight"
        [ "perf"; "produce"; "t"; "--throughput"; "1"; "--target-mb"; "1" ], "--target-mb"
        [ "perf"; "consume"; "t"; "--acks"; "1" ], "--acks"
        [ "dump"; "catalog" ], "unrecognized argument"
        [ "dump"; "--from"; "x" ], "--from"
    ]

    testList "flags" [
        testCase "of cat produce"
        <| fun () ->
            let task =
                produce [
                    "t"
                    "--key-separator"
                    @"\t"
                    "--header"
                    "a=b=c"
                    "--acks"
                    "1"
                    "--codec"
                    "zstd"
                    "--null-value"
                    ""
                ]

            Expect.equal (task.KeySeparator, task.Acks, task.Compression, task.NullValue) ("\t", 1, "zstd", "") "values"
            Expect.equal task.Headers [| { Name = "a"; Value = "b=c" } |] "headers"
            Expect.equal (produce [ "t" ]) { producing with BatchBytes = 131072; LingerMs = 5 } "defaults"

        for text, expected in positions do
            testCase $"--from {text}"
            <| fun () -> Expect.equal (consume [ "t"; "--from"; text ]).From expected "position"

        testCase "a format has escapes"
        <| fun () -> Expect.equal (consume [ "t"; "--format"; @"%k\t%v\x0a\q\\" ]).Format "%k\t%v\n\\q\\" "format"

        for arguments, expected in refused do
            testCase $"""are refused: {String.concat " " arguments}"""
            <| fun () ->
                match parse arguments with
                | Refuse(line, exitCode) ->
                    Expect.equal exitCode 2 line
                    Expect.stringContains line expected "names the flag"
                | other -> failtest $"{other}"

        testCase "of dump"
        <| fun () ->
            match parseIn [ "STORAGE_ENGINE", "memory://" ] [ "dump"; "--log"; "shard-0"; "--from"; "7"; "--json" ] with
            | DumpStore(engine, task, _) ->
                Expect.equal engine "memory://" "store"
                Expect.equal task { Log = "shard-0"; From = 7L; Count = -1L; Snapshots = false; Json = true } "task"
            | other -> failtest $"{other}"
    ]

let tests =
    testList "records" [ sealing; json; reading; choosing; percentiles; parsing ]
