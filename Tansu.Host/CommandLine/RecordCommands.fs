namespace Tansu.Host.CommandLine

/// Something that a command takes.
type internal ClientFlag = {
    /// Such as `--partitions`; the empty string for what stands alone.
    Flag: string
    /// Such as `count`; the empty string for a switch.
    Value: string
    /// What it is for, for the help.
    Purpose: string
}

/// A command for a cluster.
type internal ClientCommand = {
    /// Two words, such as `topic create`.
    Name: string
    /// What it does, one sentence.
    Purpose: string
    /// What it takes, in the order of the help.
    Flags: ClientFlag list
}

/// The commands that write, read and measure records, and `dump`.
module internal RecordCommands =
    let private flag name value purpose : ClientFlag = { Flag = name; Value = value; Purpose = purpose }

    let private command name purpose flags : ClientCommand = { Name = name; Purpose = purpose; Flags = flags }

    let private compression =
        flag
            "--compression"
            "codec"
            "How batches are compressed: none, gzip, snappy, lz4 or zstd. --codec is the same. [default: none]"

    let private acks =
        flag
            "--acks"
            "replicas"
            "Which acknowledgement to wait for: all (nothing is written twice), 1 or 0. [default: all]"

    let private batching = [
        flag "--batch-bytes" "bytes" "A batch is sent when it has so many bytes. [default: 131072]"
        flag "--linger-ms" "milliseconds" "How long a record waits for others to go with it. [default: 5]"
    ]

    let private isolation fallback =
        flag
            "--isolation"
            "level"
            $"Whether records of open and aborted transactions are read: read_committed or read_uncommitted. [default: {fallback}]"

    let private cat = [
        command "cat produce" "Write records to a topic: each line of standard input is one." [
            flag "" "topic" "The topic, which the broker creates if it does so for producers."
            flag "--key-separator" "text" "What stands between key and value of a line; \\t is a tabulator."
            flag "--key" "text" "The key of every record."
            flag "--header" "name=value" "A header of every record; may be given several times."
            flag "--partition" "number" "The partition. [default: by the key, without one in turn]"
            flag "--null-value" "text" "A value, or key, that stands for null: a tombstone in a compacted topic."
            flag
                "--format"
                "format"
                "text, or json: each line is an object with key or keyBase64, value or valueBase64, headers, partition and timestamp, as 'cat consume' prints it. [default: text]"
            flag "--json" "" "The same as --format json."
            compression
            acks
            yield! batching
            flag "--transactional-id" "name" "Write all records in one transaction, which counts if all were written."
        ]
        command "cat consume" "Read records of a topic to standard output, in the order of each partition." [
            flag "" "topic" "The topic."
            flag
                "--from"
                "position"
                "Where to begin: beginning, end, an offset, -N for the last N of each partition, a time such as 2026-01-31T12:00:00Z, or @milliseconds since 1970. In a group only where nothing is committed. [default: beginning]"
            flag "--until" "position" "end: stop where the partitions ended when reading began. [default: end]"
            flag "--follow" "" "Do not stop at the end, but wait for more."
            flag "--count" "records" "Stop after so many records."
            flag "--partition" "number" "The partition; several with commas between. [default: all]"
            flag
                "--group"
                "name"
                "Read as a member of this group, which shares out the partitions and keeps the offsets."
            isolation "read_committed"
            flag
                "--format"
                "format"
                "json for an object in each line, or a text in which %k stands for the key, %v or %s for the value, %K and %S for their lengths, %t topic, %p partition, %o offset, %T timestamp, %h headers, %% percent, \\n \\t \\xNN characters; nothing is added to it. [default: the value and a line end]"
            flag "--json" "" "The same as --format json."
            flag "--null-value" "text" "What is printed for a key or value that is null. [default: nothing]"
        ]
    ]

    let private load = [
        flag "--records" "count" "How many records."
        flag "--duration" "seconds" "For how long, in seconds."
    ]

    let private creating = [
        flag "--create" "" "Create the topic if it is not there."
        flag "--partitions" "count" "How many partitions it is created with. [default: the broker's]"
    ]

    let private json = flag "--json" "" "Print the summary as one JSON document."

    let private rate =
        flag "--throughput" "records" "How many records a second, all together. [default: as many as possible]"

    let private size fallback =
        flag "--record-size" "bytes" $"The length of each value, in bytes. [default: {fallback}]"

    let private perf = [
        command "perf produce" "Measure how fast records are written, and how long they take." [
            flag "" "topic" "The topic."
            yield! load
            size 100
            flag "--producers" "count" "How many producers at once, with a connection each. [default: 1]"
            rate
            flag "--target-mb" "megabytes" "How many million bytes a second, instead of --throughput."
            compression
            acks
            yield! batching
            flag "--in-flight" "batches" "How many batches of a producer are under way at once. [default: 5]"
            flag "--transaction-records" "count" "Write in transactions of so many records."
            yield! creating
            json
        ]
        command "perf consume" "Measure how fast records are read, from the beginning." [
            flag "" "topic" "The topic."
            yield! load
            flag "--consumers" "count" "How many consumers at once, which share out the partitions. [default: 1]"
            isolation "read_uncommitted"
            json
        ]
        command "perf latency" "Measure how long one record takes, from producer to broker and on to a consumer." [
            flag "" "topic" "The topic."
            yield! load
            size 100
            rate
            compression
            yield! creating
            json
        ]
    ]

    /// Those that speak to a cluster.
    let all = cat @ perf

    /// What a store holds.
    let dump =
        command "dump" "Print a log of a store, its entries or its snapshots, for support. Nothing is written." [
            flag
                "--storage-engine"
                "url"
                $"The store; a file store only while no broker runs. [environment: {Setting.storageEngine.Variable}; default: {Setting.storageEngine.Default}]"
            flag "--log" "name" "catalog, or shard-0 and so on. [default: catalog]"
            flag "--from" "number" "The first entry. [default: the oldest that is there]"
            flag "--count" "entries" "How many entries at most. [default: all]"
            flag "--snapshots" "" "Print the snapshots instead: number, time, size and how much is in them."
            flag "--json" "" "Print an object for each, one in a line."
        ]
