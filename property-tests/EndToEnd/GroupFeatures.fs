/// What clients can do with groups beyond reading together.
module Tansu.PropertyTests.EndToEnd.GroupFeatures

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.IO
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.GroupMembers
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private topic = "shared"
let private group = "workers"

/// What a consumer was told about its partitions.
type private Told =
    | Assigned of int list
    | Revoked of int list
    | Lost of int list

/// A consumer that reads until it is closed, and remembers what it was told.
type private Reader(config: ConsumerConfig) =
    let told = ConcurrentQueue<Told>()
    let read = ConcurrentQueue<int * int64>()
    let mutable failure: Error = null
    let stop = new CancellationTokenSource()

    let numbers (partitions: seq<TopicPartition>) =
        partitions |> Seq.map _.Partition.Value |> Seq.sort |> List.ofSeq

    let withOffsets (partitions: seq<TopicPartitionOffset>) =
        partitions |> Seq.map _.TopicPartition |> numbers

    let consumer =
        ConsumerBuilder<byte array, byte array>(config)
            .SetLogHandler(fun _ _ -> ())
            .SetErrorHandler(fun _ error ->
                if error.IsFatal then
                    failure <- error)
            .SetPartitionsAssignedHandler(
                Action<IConsumer<byte array, byte array>, List<TopicPartition>>(fun _ partitions ->
                    told.Enqueue(Assigned(numbers partitions)))
            )
            .SetPartitionsRevokedHandler(
                Action<IConsumer<byte array, byte array>, List<TopicPartitionOffset>>(fun _ partitions ->
                    told.Enqueue(Revoked(withOffsets partitions)))
            )
            .SetPartitionsLostHandler(
                Action<IConsumer<byte array, byte array>, List<TopicPartitionOffset>>(fun _ partitions ->
                    told.Enqueue(Lost(withOffsets partitions)))
            )
            .Build()

    let running =
        Task.Run(fun () ->
            consumer.Subscribe topic

            while not stop.IsCancellationRequested do
                try
                    match consumer.Consume(TimeSpan.FromMilliseconds 50.0) with
                    | null -> ()
                    | record -> read.Enqueue((record.Partition.Value, record.Offset.Value))
                with :? KafkaException as error ->
                    if error.Error.IsFatal then
                        failure <- error.Error
                        stop.Cancel())

    member _.Told = List.ofSeq told
    member _.Read = List.ofSeq read

    /// Why it cannot go on; null while it can.
    member _.Failure = failure

    /// Commits what it is to read next.
    member _.Commit(offsets: (int * int64) list) =
        consumer.Commit [
            for partition, offset in offsets -> TopicPartitionOffset(topic, Partition partition, Offset offset)
        ]

    member _.Close() =
        stop.Cancel()
        running.Wait()
        consumer.Close()

    interface IDisposable with
        member _.Dispose() =
            stop.Cancel()
            running.Wait()
            consumer.Dispose()

let private reader bootstrap change =
    let config = consumerConfig bootstrap group
    change config
    new Reader(config)

let private until what (condition: unit -> bool) =
    let isTrue =
        SpinWait.SpinUntil(
            (fun () ->
                condition ()
                || (Thread.Sleep 10
                    false)),
            patience
        )

    Expect.isTrue isTrue what

let private adminOf bootstrap =
    AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap)
        .SetLogHandler(fun _ _ -> ())
        .SetErrorHandler(fun _ _ -> ())
        .Build()

let private createTopic (admin: IAdminClient) partitions =
    admin.CreateTopicsAsync [
        TopicSpecification(Name = topic, NumPartitions = partitions, ReplicationFactor = -1s)
    ]

let private describe (admin: IAdminClient) =
    task {
        let! described = admin.DescribeConsumerGroupsAsync [ group ]
        return Seq.exactlyOne described.ConsumerGroupDescriptions
    }

/// What a group is once it is stable, by what tells its members apart.
let private whenStable (admin: IAdminClient) members (key: MemberDescription -> string) =
    task {
        let deadline = DateTime.UtcNow + patience
        let mutable found = ValueNone

        while found.IsNone do
            let! described = describe admin

            if described.State = ConsumerGroupState.Stable && described.Members.Count = members then
                found <-
                    ValueSome(
                        Map.ofList [
                            for each in described.Members ->
                                key each,
                                (each.ConsumerId,
                                 [
                                     for partition in each.Assignment.TopicPartitions -> partition.Partition.Value
                                 ]
                                 |> List.sort)
                        ]
                    )
            elif DateTime.UtcNow > deadline then
                failtest $"the group is {described.State} with {described.Members.Count} members"
            else
                do! Task.Delay 20

        return found.Value
    }

let private staticMembers =
    testCaseTask
        "a static member comes back to its partitions without a rebalance, and fences whoever took its name"
        (fun () ->
            task {
                use scratch = new Scratch()
                use broker = start scratch
                use admin = adminOf broker.Bootstrap
                do! createTopic admin 4

                let named name =
                    reader broker.Bootstrap (fun config -> config.GroupInstanceId <- name)

                use two = named "two"

                let! before =
                    task {
                        use one = named "one"
                        let! before = whenStable admin 2 _.GroupInstanceId

                        until "both have their partitions" (fun () ->
                            one.Told |> List.contains (Assigned(snd before["one"]))
                            && two.Told |> List.contains (Assigned(snd before["two"])))

                        one.Close()
                        return before
                    }

                let toldBefore = two.Told
                use one = named "one"
                until "it has its partitions again" (fun () -> one.Told = [ Assigned(snd before["one"]) ])
                let! after = whenStable admin 2 _.GroupInstanceId
                Expect.equal (Map.map (fun _ -> snd) after) (Map.map (fun _ -> snd) before) "the same partitions"
                Expect.equal (fst after["two"]) (fst before["two"]) "the other is the same member"
                Expect.notEqual (fst after["one"]) (fst before["one"]) "a member id of its own"
                Expect.equal two.Told toldBefore "the other has noticed nothing"
                use other = named "two"
                until "the one before is told" (fun () -> not (isNull two.Failure))
                until "the new one has its partitions" (fun () -> other.Told = [ Assigned(snd before["two"]) ])
                Expect.isNull one.Failure "the first goes on"
            })

let private cooperative =
    testCaseTask "cooperative-sticky members keep what they need not give away" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            use admin = adminOf broker.Bootstrap
            do! createTopic admin 6

            let join () =
                reader broker.Bootstrap (fun config ->
                    config.PartitionAssignmentStrategy <- PartitionAssignmentStrategy.CooperativeSticky)

            let toldAnything told =
                told |> List.filter (fun each -> each <> Assigned [] && each <> Revoked [])

            use first = join ()
            until "it has everything" (fun () -> toldAnything first.Told = [ Assigned [ 0..5 ] ])
            use second = join ()
            until "the second gets some" (fun () -> not (toldAnything second.Told).IsEmpty)

            match toldAnything first.Told, toldAnything second.Told with
            | [ Assigned _; Revoked given ], [ Assigned taken ] ->
                Expect.hasLength given 3 "half"
                Expect.equal taken given "what one gives the other takes"
                second.Close()

                until "it has them back" (fun () ->
                    toldAnything first.Told = [ Assigned [ 0..5 ]; Revoked given; Assigned given ])
            | told -> failtest $"the members were told {told}"
        })

let private code (action: unit -> Task) =
    task {
        try
            do! action ()
            return ErrorCode.NoError
        with
        | :? DeleteGroupsException as error -> return error.Results[0].Error.Code
        | :? AlterConsumerGroupOffsetsException as error -> return error.Results[0].Partitions[0].Error.Code
        | :? DeleteConsumerGroupOffsetsException as error -> return error.Result.Partitions[0].Error.Code
        | :? KafkaException as error -> return error.Error.Code
    }

let private administration =
    testCaseTask "an admin client lists, describes, resets and deletes" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            use admin = adminOf broker.Bootstrap
            do! createTopic admin 2

            use producer =
                Clients.producer (Clients.configure (ProducerConfig()) broker.Bootstrap)

            let! _ =
                Task.WhenAll [
                    for number in 0..19 ->
                        producer.ProduceAsync(
                            TopicPartition(topic, Partition(number % 2)),
                            Message<byte array, byte array>(Value = [| byte number |])
                        )
                ]

            let partition (number: int) = TopicPartition(topic, Partition number)

            let listed (states: ConsumerGroupState list) =
                task {
                    let options = ListConsumerGroupsOptions(MatchStates = states)
                    let! groups = admin.ListConsumerGroupsAsync options
                    return [ for each in groups.Valid -> each.GroupId, each.State ]
                }

            let committed () =
                task {
                    let! groups =
                        admin.ListConsumerGroupOffsetsAsync [ ConsumerGroupTopicPartitions(group, null) ]

                    return
                        [ for each in groups[0].Partitions -> each.Partition.Value, each.Offset.Value ]
                        |> List.sort
                }

            let deleteGroup () =
                code (fun () -> admin.DeleteGroupsAsync(List [ group ]))

            let deleteOffset number =
                code (fun () -> admin.DeleteConsumerGroupOffsetsAsync(group, [ partition number ]))

            let alter (offsets: (int * int64) list) =
                code (fun () ->
                    admin.AlterConsumerGroupOffsetsAsync [
                        ConsumerGroupTopicPartitionOffsets(
                            group,
                            List [
                                for number, offset in offsets -> TopicPartitionOffset(partition number, Offset offset)
                            ]
                        )
                    ])

            let manual () =
                reader broker.Bootstrap (fun config -> config.EnableAutoCommit <- false)

            do!
                task {
                    use first = manual ()
                    until "everything is read" (fun () -> first.Read.Length = 20)
                    first.Commit [ 0, 10L; 1, 4L ]
                    let! offsets = committed ()
                    Expect.equal offsets [ 0, 10L; 1, 4L ] "what was committed"
                    let! groups = listed [ ConsumerGroupState.Stable ]
                    Expect.equal groups [ group, ConsumerGroupState.Stable ] "stable"
                    let! groups = listed [ ConsumerGroupState.Empty ]
                    Expect.isEmpty groups "none is empty"
                    let! described = describe admin
                    Expect.equal described.PartitionAssignor "range" "the assignor"
                    Expect.isFalse described.IsSimpleConsumerGroup "a group of consumers"
                    let! code = deleteGroup ()
                    Expect.equal code ErrorCode.NonEmptyGroup "a group in use is not deleted"
                    let! code = deleteOffset 0
                    Expect.equal code ErrorCode.GroupSubscribedToTopic "nor an offset"
                    let! code = alter [ 0, 3L ]
                    Expect.equal code ErrorCode.UnknownMemberId "nor is one set"
                    first.Close()
                }

            let! groups = listed [ ConsumerGroupState.Empty ]
            Expect.equal groups [ group, ConsumerGroupState.Empty ] "empty at once, since the member left"
            let! code = deleteOffset 0
            Expect.equal code ErrorCode.NoError "an offset is deleted"
            let! offsets = committed ()
            Expect.equal offsets [ 1, 4L ] "the other is there"
            let! code = alter [ 0, 3L; 1, 8L ]
            Expect.equal code ErrorCode.NoError "offsets are set"
            let! offsets = committed ()
            Expect.equal offsets [ 0, 3L; 1, 8L ] "as they were set"

            do!
                task {
                    use second = manual ()
                    until "it reads from there" (fun () -> second.Read.Length >= 9)

                    Expect.equal
                        (List.sort second.Read)
                        ([ for offset in 3L .. 9L -> 0, offset ] @ [ 1, 8L; 1, 9L ])
                        "from the offsets set"

                    second.Close()
                }

            let! code = deleteGroup ()
            Expect.equal code ErrorCode.NoError "an empty group is deleted"
            let! groups = listed []
            Expect.isEmpty groups "and gone"
            let! code = deleteGroup ()
            Expect.equal code ErrorCode.GroupIdNotFound "there is nothing to delete"
        })

let private metadata =
    testCaseTask "kafkajs commits an offset with metadata and reads both back" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let! _ = shell "kcat" [ "-b"; broker.Bootstrap; "-t"; topic; "-P" ] "one"

            let script =
                Path.Combine(Machine.repository, "property-tests", "clients", "commit-metadata.js")

            let! output =
                shell "node" [ script; broker.Bootstrap; group; topic; "as far as page 7" ] ""

            Expect.equal output """[{"partition":0,"offset":"1","metadata":"as far as page 7"}]""" "what was committed"
        })

/// More than a session: whoever is wrongly taken for dead is out by then.
let private quietTime = TimeSpan.FromSeconds 8.0

let private quiet =
    testCaseTask "members that only heartbeat stay, also when their coordinator changes" (fun () ->
        task {
            use scratch = new Scratch()
            let server = PostgresServer.shared.Value
            let! database = server.NewDatabase()
            use brokers = new Brokers(3, scratch.Path, server.Url database, [], [])
            use admin = adminOf brokers.Bootstrap
            do! createTopic admin 4
            use first = reader brokers.Bootstrap ignore
            let! _ = whenStable admin 1 _.ConsumerId
            let! described = describe admin
            brokers.KillAndRestart(brokers.IndexOf described.Coordinator.Port)

            // One that does not wait for a connection to the broker that is gone: it once did so for its whole minute.
            use admin = adminOf brokers.Bootstrap
            use second = reader brokers.Bootstrap ignore
            let! before = whenStable admin 2 _.ConsumerId

            until "both have been told" (fun () ->
                Set.ofList [ for each in [ first; second ] -> List.tryLast each.Told ] =
                    Set.ofList [ for each in before.Values -> Some(Assigned(snd each)) ])

            let toldBefore = first.Told, second.Told
            do! Task.Delay quietTime
            let! after = whenStable admin 2 _.ConsumerId
            Expect.equal after before "the same members with the same partitions"
            Expect.equal (first.Told, second.Told) toldBefore "they have noticed nothing"
        })

let tests =
    testList "groups, features" [ staticMembers; cooperative; administration; metadata; quiet ]
