/// Consumers of three families share one group on three brokers. They come, leave and are killed, brokers too, and every record is read
/// by somebody; no partition has two owners, and the lag can be read and ends at nothing.
module Tansu.PropertyTests.EndToEnd.GroupMixing

open System
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.GroupMembers
open Tansu.PropertyTests.EndToEnd.GroupScene
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private act (setting: Setting) (scene: Scene) (brokers: Brokers) (random: Random) =
    task {
        for family in setting.members do
            scene.Join family

        do! scene.Settled "all have joined"

        // Killed, and others come at once.
        for family in setting.disturbed random do
            scene.Pick(family).Kill()
            scene.Join family

        do! scene.Settled "the killed are out, the new are in"

        // The coordinator dies while members leave.
        let left = setting.disturbed random
        let! coordinator = scene.Coordinator()
        let leaving = [ for family in left -> Task.Run(scene.Pick(family).Leave) ]
        brokers.KillAndRestart coordinator
        do! Task.WhenAll leaving
        do! scene.Settled "some have left, the coordinator was killed"
        let! lag = scene.Lag()
        Expect.isTrue (lag |> List.forall (fun behind -> behind >= 0L)) $"the lag can be read: {lag}"

        // Any broker dies while members come.
        for family in left do
            scene.Join family

        brokers.KillAndRestart(random.Next 3)
        do! scene.Settled "they are back, another broker was killed"
    }

let private mix name (setting: Setting) =
    testCaseTask name (fun () ->
        task {
            use scratch = new Scratch()
            let random = Random(int Check.seed)
            let! storageEngine = setting.storageEngine ()
            let! environment = setting.environment ()
            use brokers = new Brokers(3, scratch.Path, storageEngine, environment, [])
            use scene = new Scene(setting, brokers, random)

            do!
                scene.Admin.CreateTopicsAsync [
                    TopicSpecification(Name = topic, NumPartitions = setting.partitions, ReplicationFactor = -1s)
                ]

            use stop = new CancellationTokenSource()
            let producing = produce brokers.Bootstrap scene.Acknowledged stop.Token
            let watch = Watch brokers.Bootstrap

            try
                do! act setting scene brokers random
            finally
                stop.Cancel()

            let! last = producing

            do!
                scene.Until "everything has been read, and the lag is nothing" (fun () ->
                    task {
                        let missing = [
                            for partition in 0 .. setting.partitions - 1 do
                                match scene.Ledger.Missing partition last with
                                | [] -> ()
                                | numbers -> partition, numbers
                        ]

                        let! lag = scene.Lag()

                        return
                            if not missing.IsEmpty then
                                ValueSome $"nobody has read (of {last}) {missing}"
                            elif List.exists ((<>) 0L) lag then
                                ValueSome $"the lag is {lag}"
                            else
                                ValueNone
                    })

            let! stable, violations = watch.Finish()
            Expect.isEmpty violations $"no partition has two owners\n{scene.Log}"
            Expect.isGreaterThan stable 0 "the group was seen stable"
            Expect.isEmpty scene.Ledger.Wrong "records are what was produced"
            do! Task.WhenAll [ for each in List.ofSeq scene.Members -> Task.Run each.Leave ]
            scene.Members.Clear()

            do!
                scene.Until "the group is empty" (fun () ->
                    task {
                        match! tryDescribe scene.Admin with
                        | ValueSome described when described.State = ConsumerGroupState.Empty -> return ValueNone
                        | ValueSome described -> return ValueSome $"the group is {described.State}"
                        | ValueNone -> return ValueSome "no broker answers"
                    })
        })

let private onPostgres =
    mix "eight members of three families, 24 partitions, three brokers on PostgreSQL" {
        storageEngine =
            fun () ->
                task {
                    let server = PostgresServer.shared.Value
                    let! database = server.NewDatabase()
                    return server.Url database
                }
        environment = fun () -> Task.FromResult []
        partitions = 24
        members = [
            ConfluentKafka
            ConfluentKafka
            ConfluentKafka
            Kcat
            Kcat
            Kcat
            Kafkajs
            Kafkajs
        ]
        disturbed = fun _ -> [ ConfluentKafka; Kcat; Kafkajs ]
    }

let private onS3 =
    mix "three members of three families, six partitions, three brokers on S3" {
        storageEngine = fun () -> Task.FromResult("s3://" + S3Server.freshPlace ())
        environment =
            fun () ->
                task {
                    let! endpoint = S3Server.endpoint ()
                    return Map.toList (S3Server.environment endpoint)
                }
        partitions = 6
        members = [ ConfluentKafka; Kcat; Kafkajs ]
        disturbed =
            fun random ->
                let families = [| ConfluentKafka; Kcat; Kafkajs |]
                [ families[random.Next families.Length] ]
    }

let tests =
    testList "groups of three families" [ Lane.postgres onPostgres; Lane.s3 onS3 ]
