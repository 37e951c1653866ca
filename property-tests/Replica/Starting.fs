/// Snapshots, starts, and what a build does with what it cannot read.
module Tansu.PropertyTests.Replica.Starting

open System
open System.Buffers
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain
open Tansu.PropertyTests.Replica.Rig

let private often =
    options
    |> fun options ->
        ReplicaOptions(FirstBackoff = options.FirstBackoff, MaxBackoff = options.MaxBackoff, SnapshotEveryEntries = 4)

let private logOf (space: MemorySpace) =
    task {
        let store = new MemoryStore(space, StoreOptions.Default) :> IStore
        return! store.OpenLogAsync("shard-0", CancellationToken.None)
    }

let private written count (one: Member) =
    task {
        for _ in 1..count do
            let! _ = (append one (partition 0) 1).WaitAsync patience
            ()

        do! one.replica.StopAsync patience
    }

let private snapshots =
    testList "snapshots" [
        testCaseTask "are written after enough entries, and the next start continues from one" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openWith often 0L space
                do! written 10 one
                let! log = logOf space
                let! snapshot = log.LoadSnapshotAsync(Int64.MaxValue, CancellationToken.None)
                Expect.isNotNull snapshot "there is one"
                let! again = openWith often 0L space
                Expect.equal (bytesOf again.replica.Current.State) (bytesOf one.replica.Current.State) "the same state"
                Expect.equal again.replica.Current.EntryNumber 10L "the same entry"
            })

        testCaseTask "that are damaged or of a newer format are passed over" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openWith often 0L space
                do! written 10 one
                let! log = logOf space

                for number, content in [ 9L, [| 0uy; 99uy; 1uy |]; 10L, [| 0uy; 1uy; 255uy |] ] do
                    do! log.SaveSnapshotAsync(number, ReadOnlySequence content, CancellationToken.None)

                let! again = openWith often 0L space
                Expect.equal (bytesOf again.replica.Current.State) (bytesOf one.replica.Current.State) "the same state"
            })

        testCaseTask "of a large state wait until the events are worth one" (fun () ->
            task {
                let space = MemorySpace()

                let reluctant =
                    ReplicaOptions(SnapshotEveryEntries = 1, SnapshotLeastShareOfState = 1000.0)

                let! one = openWith reluctant 0L space
                do! written 20 one
                let! log = logOf space
                let! snapshot = log.LoadSnapshotAsync(Int64.MaxValue, CancellationToken.None)
                Expect.isLessThan snapshot.Number 20L "not after every entry"
            })
    ]

let private refusals =
    testList "an entry that cannot be read" [
        for name, head in [ "a newer format", [| 0uy; 2uy |]; "noise", [| 0uy; 1uy; 3uy; 1uy; 4uy |] ] do
            testCaseTask $"{name}: the broker refuses to start and says what to do" (fun () ->
                task {
                    let space = MemorySpace()
                    let! log = logOf space

                    let! _ =
                        log.TryAppendAsync(1L, ReadOnlySequence head, ReadOnlySequence.Empty, CancellationToken.None)

                    let! refusal =
                        task {
                            try
                                let! _ = openMember space
                                return ""
                            with :? StoreRefusedException as refused ->
                                return refused.Message
                        }

                    Expect.stringContains refusal "entry 1 of log shard-0" "where"
                    Expect.stringContains refusal "newer version" "what it may be"
                })
    ]

let private largePayloads =
    testList "a payload larger than may ride inline" [
        testCaseTask "becomes a data object, and reads back" (fun () ->
            task {
                let space = MemorySpace()
                let small = ReplicaOptions(InlinePayloadBytes = 100)
                let! one = openWith small 0L space
                let bytes = recordBatch 3 200

                let! _ =
                    one.replica.SubmitAsync(
                        appendCommand (partition 0) 3 bytes,
                        Payload [| ReadOnlyMemory bytes |],
                        patience
                    )

                let state = Shard.partition (partition 0) one.replica.Current.State
                Expect.isTrue state.Chunks[0].Source.IsDataObject "not in the entry"
                let! records = one.reader.ReadAsync(state, 0L, 10_000, true, CancellationToken.None)

                Expect.equal
                    (records.Joined().ToArray().AsSpan(16).ToArray())
                    (bytes.AsSpan(16).ToArray())
                    "the same records"
            })
    ]

let private stalePage: IndexPage = {
    BaseOffset = 5L
    LastOffset = 7L
    ObjectName = "data/shard-0/p1"
    Position = 3
    Length = 40
    ChunkCount = 1
    RecordBytes = 100L
    MaxTimestampMs = 9L
}

/// Every kind of event, for the codecs.
let private shardEvents: ShardEvent list = [
    ShardEvent.BatchAppended {
        Partition = partition 3
        BaseOffset = 5L
        LastOffsetDelta = 2
        DataObject = null
        Position = 7
        Length = 100
        MaxTimestampMs = 9L
        ProducerId = 11L
        ProducerEpoch = 2s
        BaseSequence = 4
        Transaction = 0L
    }
    ShardEvent.BatchAppended {
        Partition = partition 3
        BaseOffset = 8L
        LastOffsetDelta = 0
        DataObject = "data/shard-0/x"
        Position = 0
        Length = 100
        MaxTimestampMs = 9L
        ProducerId = -1L
        ProducerEpoch = -1s
        BaseSequence = -1
        Transaction = 0L
    }
    LogStartOffsetAdvanced(partition 3, 6L)
    ProducersExpired(partition 3, [| 11L |])
    CompactionClaimed -5L
    // The page lists a chunk of s1, which stays in the partition with another.
    ChunksReplaced {
        Partition = partition 3
        FirstOffset = 5L
        LastOffset = 8L
        Pages = [| stalePage |]
        Chunks = [|
            {
                BaseOffset = 8L
                LastOffset = 8L
                Source = Segment "data/shard-0/s1"
                Position = 100
                Length = 50
                MaxTimestampMs = 9L
            }
        |]
        PagedReferences = [| struct ("data/shard-0/s1", 1) |]
        CleanedToOffset = 7L
        MarkersRemovedBelow = 6L
    }
    LogStartOffsetAdvanced(partition 3, 8L)
    PageFreed { Page = stalePage; References = [| struct ("data/shard-0/s1", 1) |] }
    GarbageForgotten [| "data/shard-0/x"; "data/shard-0/p1" |]
    TopicRemoved topic
    RemovedTopicForgotten topic
]

let private catalogEvents: CatalogEvent list =
    let topic = {
        Id = topic
        Name = "orders"
        PartitionCount = 3
        FirstShard = 1
        Configs = Map [ "retention.ms", "5" ]
        CreatedAtMs = 17L
    }

    [
        TopicCreated topic
        PartitionsAdded(topic.Id, 6)
        OwnerConfigsChanged(AllBrokers, Map [ "retention.ms", "6" ])
        OwnerConfigsChanged(OneGroup "g", Map [ "consumer.session.timeout.ms", "50000" ])
        TopicConfigsChanged(topic.Id, Map [ "cleanup.policy", "compact"; "segment.ms", "9" ])
        ProducerIdsAllocated(1000L, 500)
        NodeRegistered { Id = 1; Host = "host"; Port = 9092; LeaseUntilMs = Lease.WithoutEnd }
        NodeLeaseCut(1, 17L)
        TopicDeleted topic.Id
        TopicRemovalConfirmed topic.Id
    ]

let private roundTrip (codec: ILogCodec<'State, 'Event>) (event: 'Event) =
    use writer = new KafkaWriter()
    codec.WriteEvent(writer, event)

    let mutable reader =
        KafkaReader(ReadOnlyMemory(writer.ToArray()), KafkaReader.DefaultMaxElements)

    let back = codec.ReadEvent &reader
    reader.RequireEnd()
    back

let private stateRoundTrip (codec: ILogCodec<'State, 'Event>) (state: 'State) =
    let write state =
        use writer = new KafkaWriter()
        codec.WriteState(writer, state)
        writer.ToArray()

    let bytes = write state

    let mutable reader =
        KafkaReader(ReadOnlyMemory bytes, KafkaReader.DefaultMaxElements)

    let back = codec.ReadState &reader
    Expect.equal (write back) bytes "written, read and written again"
    back

let private codecs =
    testList "stored forms" [
        testCase "every event of a shard reads back"
        <| fun () ->
            for event in shardEvents do
                Expect.equal (roundTrip (ShardCodec()) event) event "the event"

        testCase "every event of the catalog reads back"
        <| fun () ->
            for event in catalogEvents do
                Expect.equal (roundTrip (CatalogCodec Given.catalogSettings) event) event "the event"

        testCase "a node from before there were leases reads back as one whose lease has ended"
        <| fun () ->
            use writer = new KafkaWriter()
            // Type and version.
            writer.WriteInt8 7y
            writer.WriteInt8 0y
            Storage.NodeRegisteredEvent(NodeId = 3, Host = "host", Port = 9092).Write(writer, 0s)

            let mutable reader =
                KafkaReader(ReadOnlyMemory(writer.ToArray()), KafkaReader.DefaultMaxElements)

            let event =
                (CatalogCodec Given.catalogSettings :> ILogCodec<_, _>).ReadEvent &reader

            reader.RequireEnd()

            Expect.equal
                event
                (NodeRegistered { Id = 3; Host = "host"; Port = 9092; LeaseUntilMs = Lease.Ended })
                "the node"

            use old = new KafkaWriter()
            // Version.
            old.WriteInt8 0y

            Storage
                .CatalogSnapshot(
                    Topics = [||],
                    Nodes = [| Storage.CatalogSnapshot.Node(NodeId = 3, Host = "host", Port = 9092) |]
                )
                .Write(old, 0s)

            let mutable reader =
                KafkaReader(ReadOnlyMemory(old.ToArray()), KafkaReader.DefaultMaxElements)

            let state =
                (CatalogCodec Given.catalogSettings :> ILogCodec<CatalogState, CatalogEvent>).ReadState &reader

            Expect.equal state.Nodes[3].LeaseUntilMs Lease.Ended "in a snapshot"

        testCase "the state after any event reads back, and goes on as the original would"
        <| fun () ->
            for count in 0 .. shardEvents.Length do
                let before, rest = List.splitAt count shardEvents
                let state = Given.shard before
                let restored = stateRoundTrip (ShardCodec()) state

                let goOn state =
                    (state, rest)
                    ||> List.fold (fun state event -> Shard.evolve state event { EntryNumber = 9L; TimeMs = 9L })

                Expect.equal (bytesOf (goOn restored)) (bytesOf (goOn state)) "snapshot and tail are the fold of all"

            for count in 0 .. catalogEvents.Length do
                Given.catalog (List.take count catalogEvents)
                |> stateRoundTrip (CatalogCodec Given.catalogSettings)
                |> ignore

        testCase "snapshots from before objects were counted are read, and their objects counted"
        <| fun () ->
            for version in 0s .. 2s do
                use old = new KafkaWriter()
                old.WriteInt8(sbyte version)

                let chunk first index =
                    Storage.ShardSnapshot.Chunk(
                        BaseOffset = first,
                        LastOffset = first,
                        EntryNumber = (if index < 0 then 4L else 0L),
                        DataObjectIndex = index,
                        Length = 10,
                        MaxTimestampMs = 9L
                    )

                Storage
                    .ShardSnapshot(
                        DataObjects = [| "data/shard-0/x"; "data/shard-0/y" |],
                        Partitions = [|
                            Storage.ShardSnapshot.Partition(
                                TopicId = topic.Value,
                                HighWatermark = 4L,
                                Chunks = [| chunk 0L 0; chunk 1L -1; chunk 2L 1; chunk 3L 0 |]
                            )
                        |]
                    )
                    .Write(old, version)

                let mutable reader =
                    KafkaReader(ReadOnlyMemory(old.ToArray()), KafkaReader.DefaultMaxElements)

                let state = (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).ReadState &reader
                reader.RequireEnd()
                Expect.equal state.Objects["data/shard-0/x"] 2 "in two chunks"
                Expect.equal state.Objects["data/shard-0/y"] 1 "in one"
                Expect.equal state.Objects.Count 2 "no other"
                Expect.isEmpty state.Garbage "no garbage"
                Expect.equal (Shard.oldestEntry state) 4L "the entry"
                stateRoundTrip (ShardCodec()) state |> ignore

        testCase "an entry that forgets more producers than a request may have elements reads back"
        <| fun () ->
            let codec = EntryCodec<ShardState, ShardEvent>(ShardCodec(), "shard-0")
            let producerIds = Array.init (KafkaReader.DefaultMaxElements + 1) int64
            let events = Collections.Generic.List [ ProducersExpired(partition 0, producerIds) ]
            let head = codec.EncodeEntry(CommitId(Guid.Empty, 1L), 1L, events)
            let entry = codec.DecodeEntry(EntryHead(1L, head, 0))
            Expect.equal entry.Events.Count 1 "the event"

        testCase "a snapshot in which something is twice that can be there once is refused as damaged"
        <| fun () ->
            use writer = new KafkaWriter()
            writer.WriteInt16 EntryCodec<ShardState, ShardEvent>.FormatVersion
            Storage.SnapshotHeader(EntryNumber = 1L, TimeMs = 1L).Write(writer, Storage.SnapshotHeader.HighestVersion)
            writer.WriteInt8(sbyte Storage.ShardSnapshot.HighestVersion)

            Storage
                .ShardSnapshot(
                    Partitions = [|
                        Storage.ShardSnapshot.Partition(
                            Producers = [| for _ in 1..2 -> Storage.ShardSnapshot.Producer(ProducerId = 7L) |]
                        )
                    |]
                )
                .Write(writer, Storage.ShardSnapshot.HighestVersion)

            let codec = EntryCodec<ShardState, ShardEvent>(ShardCodec(), "shard-0")
            let content = writer.ToArray()
            Expect.throwsT<KafkaFormatException> (fun () -> codec.DecodeSnapshot content |> ignore) "refused"

        Check.property "noise in place of an event is refused cleanly" (fun (noise: byte array) ->
            try
                let mutable reader =
                    KafkaReader(ReadOnlyMemory noise, KafkaReader.DefaultMaxElements)

                (ShardCodec() :> ILogCodec<_, _>).ReadEvent &reader |> ignore
            with :? KafkaFormatException ->
                ())
    ]

let tests = testList "starting" [ snapshots; refusals; largePayloads; codecs ]
