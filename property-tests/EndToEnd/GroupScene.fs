/// A group of consumers of several families on several brokers: what is written for it, what it reads, and how it is watched.
module Tansu.PropertyTests.EndToEnd.GroupScene

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Diagnostics
open System.Text
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.GroupMembers
open Tansu.PropertyTests.EndToEnd.RealBroker

let topic = "shared"
let group = "mixed"

/// How many records have been acknowledged, by partition.
type Acknowledged = int array

/// Produces numbered records to all partitions until told to stop. The producer is idempotent: number and offset are the same.
let produce bootstrap (acknowledged: Acknowledged) (stop: CancellationToken) =
    task {
        let config =
            Clients.configure
                (ProducerConfig(
                    EnableIdempotence = true,
                    LingerMs = 1.0,
                    MessageTimeoutMs = 120_000,
                    TopicMetadataRefreshIntervalMs = 500
                ))
                bootstrap

        use producer = Clients.producer config
        use window = new SemaphoreSlim(acknowledged.Length * 20)
        let deliveries = List<Task<DeliveryResult<byte array, byte array>>>()
        let mutable number = 0

        while not stop.IsCancellationRequested do
            for partition in 0 .. acknowledged.Length - 1 do
                do! window.WaitAsync()

                let delivery =
                    producer.ProduceAsync(
                        TopicPartition(topic, Partition partition),
                        Message<byte array, byte array>(Value = Encoding.ASCII.GetBytes(string number))
                    )

                delivery.ContinueWith(fun (_: Task) ->
                    Interlocked.Increment(&acknowledged[partition]) |> ignore
                    window.Release() |> ignore)
                |> ignore

                deliveries.Add delivery

            number <- number + 1
            // Only so fast: it goes on all the time that members come and go.
            do! Task.Delay 20

        let! results = (Task.WhenAll deliveries).WaitAsync(patience * 2.0)

        for delivery in results do
            Expect.equal
                (string delivery.Offset.Value)
                (Encoding.ASCII.GetString delivery.Message.Value)
                "a number is at its offset"

        return number
    }

/// What members have read: how often each record, by partition.
type Ledger(partitions: int) =
    let counts = [| for _ in 1..partitions -> ConcurrentDictionary<int64, int>() |]

    let wrong = ConcurrentQueue<string>()

    member _.Take (partition: int) (offset: int64) (value: string) =
        if value <> string offset then
            wrong.Enqueue $"partition {partition} offset {offset}: {value}"

        counts[partition].AddOrUpdate(offset, 1, (fun _ count -> count + 1)) |> ignore

    member _.Wrong = List.ofSeq wrong
    member _.Count partition = counts[partition].Count

    /// Numbers below `last` that nobody has read.
    member _.Missing (partition: int) (last: int) =
        [ 0L .. int64 last - 1L ] |> List.filter (counts[partition].ContainsKey >> not)

let private adminClient bootstrap =
    AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap)
        .SetLogHandler(fun _ _ -> ())
        .SetErrorHandler(fun _ _ -> ())
        .Build()

/// The group as brokers describe it; nothing while no broker answers.
let tryDescribe (admin: IAdminClient) =
    task {
        try
            // Longer than any broker is away: librdkafka aborts the process when the coordinator of a request that has timed out comes up.
            let options = DescribeConsumerGroupsOptions(RequestTimeout = patience)

            let! described = admin.DescribeConsumerGroupsAsync([ group ], options)
            return ValueSome(Seq.exactlyOne described.ConsumerGroupDescriptions)
        with :? KafkaException ->
            return ValueNone
    }

let private owned (described: ConsumerGroupDescription) = [
    for each in described.Members do
        for partition in each.Assignment.TopicPartitions -> partition.Partition.Value, each.ConsumerId
]

/// Looks at the group again and again, and collects what must not be.
type Watch(bootstrap: string) =
    let stop = new CancellationTokenSource()
    let violations = ConcurrentQueue<string>()
    let mutable stable = 0

    let watching =
        Task.Run<unit>(fun () ->
            task {
                use admin = adminClient bootstrap

                while not stop.IsCancellationRequested do
                    match! tryDescribe admin with
                    | ValueSome described when described.State = ConsumerGroupState.Stable ->
                        stable <- stable + 1

                        for partition, owners in List.groupBy fst (owned described) do
                            if owners.Length > 1 then
                                violations.Enqueue $"partition {partition} has owners {List.map snd owners}"
                    | ValueSome _
                    | ValueNone -> ()

                    do! Task.Delay 100
            })

    /// Ends, and gives how often the group was stable and what was wrong then.
    member _.Finish() =
        task {
            stop.Cancel()
            do! watching
            return stable, List.ofSeq violations
        }

/// What a test is made of.
[<NoComparison; NoEquality>]
type Setting = {
    storageEngine: unit -> Task<string>
    environment: unit -> Task<(string * string) list>
    partitions: int
    members: Family list
    /// Who dies and is replaced; who leaves and comes back.
    disturbed: Random -> Family list
}

type Scene(setting: Setting, brokers: Brokers, random: Random) =
    let acknowledged: Acknowledged = Array.zeroCreate setting.partitions
    let ledger = Ledger setting.partitions
    let admin = adminClient brokers.Bootstrap
    let members = List<GroupMember>()
    let all = List<GroupMember>()
    let timeline = ConcurrentQueue<string>()
    let clock = Stopwatch.StartNew()

    member _.Acknowledged = acknowledged
    member _.Ledger = ledger
    member _.Admin = admin
    member _.Members = members

    /// Something for whoever has to find out why a test failed.
    member _.Note(what: string) =
        timeline.Enqueue $"{clock.Elapsed.TotalSeconds:F1} s: {what}"

    member _.Log =
        String.Join("\n", Seq.append timeline (all |> Seq.map _.Log))
        + "\nthe brokers said:\n"
        + brokers.Log

    member _.Join(family: Family) =
        let joined =
            new GroupMember(family, $"{family}-{all.Count}", brokers.Bootstrap, group, topic, ledger.Take)

        members.Add joined
        all.Add joined

    /// Takes out one of a family.
    member _.Pick(family: Family) =
        let candidates =
            members |> Seq.filter (fun each -> each.Family = family) |> Array.ofSeq

        let picked = candidates[random.Next candidates.Length]
        members.Remove picked |> ignore
        picked

    /// Waits for a condition; what it says is the reason when it never comes.
    member this.Until (what: string) (condition: unit -> Task<string voption>) =
        task {
            let deadline = DateTime.UtcNow + patience
            let mutable missing = ValueSome ""
            let mutable last = ""

            while missing.IsSome do
                let! now = condition ()
                missing <- now

                if missing.IsSome && missing.Value <> last then
                    last <- missing.Value
                    this.Note $"  not yet: {last.Substring(0, min last.Length 200)}"

                match missing with
                | ValueSome reason ->
                    match members |> Seq.tryFind _.HasEnded with
                    | Some ended -> failtest $"{what}: a member has ended: {ended.Log}"
                    | None -> ()

                    if DateTime.UtcNow > deadline then
                        failtest $"{what}: {reason}\n{this.Log}"

                    do! Task.Delay 50
                | ValueNone -> ()

            this.Note what
        }

    /// Everybody who is running is in the group, nobody else, and each partition has one owner who reads on.
    member this.Settled(what: string) =
        task {
            do!
                this.Until what (fun () ->
                    task {
                        match! tryDescribe admin with
                        | ValueNone -> return ValueSome "no broker answers"
                        | ValueSome described ->
                            let names = [ for each in described.Members -> each.ClientId ] |> List.sort

                            let partitions = owned described |> List.map fst |> List.sort

                            if described.State <> ConsumerGroupState.Stable then
                                return ValueSome $"the group is {described.State}"
                            elif names <> (members |> Seq.map _.Name |> List.ofSeq |> List.sort) then
                                return ValueSome $"members are {names}"
                            elif partitions <> [ 0 .. setting.partitions - 1 ] then
                                return ValueSome $"owned: {partitions}"
                            else
                                return ValueNone
                    })

            let targets = acknowledged |> Array.map (fun count -> Volatile.Read &count + 1)

            do!
                this.Until $"{what}: every partition is read" (fun () ->
                    task {
                        let behind =
                            [ 0 .. setting.partitions - 1 ]
                            |> List.filter (fun partition -> ledger.Count partition < targets[partition])

                        return
                            if behind.IsEmpty then
                                ValueNone
                            else
                                ValueSome $"nobody reads {behind}"
                    })
        }

    /// How far the group is behind the ends of the partitions; a partition without a commit counts from its start.
    member _.Lag() =
        task {
            let partitions = [
                for partition in 0 .. setting.partitions - 1 -> TopicPartition(topic, Partition partition)
            ]

            let! committed =
                admin.ListConsumerGroupOffsetsAsync [ ConsumerGroupTopicPartitions(group, List partitions) ]

            let! ends =
                admin.ListOffsetsAsync [
                    for partition in partitions ->
                        TopicPartitionOffsetSpec(TopicPartition = partition, OffsetSpec = OffsetSpec.Latest())
                ]

            let ends =
                dict [
                    for info in ends.ResultInfos ->
                        info.TopicPartitionOffsetError.TopicPartition, info.TopicPartitionOffsetError.Offset.Value
                ]

            return [
                for each in (Seq.exactlyOne committed).Partitions ->
                    ends[each.TopicPartition] - max 0L each.Offset.Value
            ]
        }

    /// The broker that is named as the group's coordinator.
    member _.Coordinator() =
        task {
            let! described = tryDescribe admin
            return brokers.IndexOf described.Value.Coordinator.Port
        }

    interface IDisposable with
        member _.Dispose() =
            admin.Dispose()

            for each in all do
                (each :> IDisposable).Dispose()
