/// A backup that is copied while brokers write, in the order that docs/operations.md gives, is a cluster.
module Tansu.PropertyTests.EndToEnd.Backup

open System
open System.Collections.Generic
open System.Net
open System.Text
open System.Threading
open System.Threading.Tasks
open Amazon.Runtime
open Amazon.S3
open Amazon.S3.Model
open Confluent.Kafka

open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private topic = "kept"

let private steps: (string -> bool) list = [
    fun name ->
        name = "cluster"
        || name.EndsWith("/hint", StringComparison.Ordinal)
        || name.Contains("/snapshots/", StringComparison.Ordinal)
    fun name -> name.Contains("/entries/", StringComparison.Ordinal)
    fun name -> name.StartsWith("blobs/", StringComparison.Ordinal)
]

/// Copies what a step takes from one prefix of the bucket `test` to another; how many objects that was.
let private copy (client: AmazonS3Client) (source: string) (target: string) (isTaken: string -> bool) =
    task {
        let request = ListObjectsV2Request(BucketName = "test", Prefix = source + "/")
        let names = List<string>()
        let mutable isMore = true

        while isMore do
            let! page = client.ListObjectsV2Async request

            for found in page.S3Objects do
                names.Add(found.Key.Substring(source.Length + 1))

            request.ContinuationToken <- page.NextContinuationToken
            isMore <- page.IsTruncated.GetValueOrDefault()

        let mutable copied = 0

        for name in names do
            if isTaken name then
                try
                    let! _ =
                        client.CopyObjectAsync("test", $"{source}/{name}", "test", $"{target}/{name}")

                    copied <- copied + 1
                with :? AmazonS3Exception as failure when failure.StatusCode = HttpStatusCode.NotFound ->
                    // Deleted since: an old snapshot.
                    ()

        return copied
    }

let private onS3 =
    testCaseTask "a copy made while a broker writes, compacts and trims has all that was acknowledged before" (fun () ->
        task {
            use scratch = new Scratch()
            let! endpoint = S3Server.endpoint ()
            let environment = Map.toList (S3Server.environment endpoint)
            let source = S3Server.freshPlace ()
            let target = S3Server.freshPlace ()

            let start (place: string) =
                RealBroker.Start(
                    scratch.Path,
                    [
                        "--listener-url"
                        "tcp://127.0.0.1:0"
                        "--storage-engine"
                        "s3://" + place
                        "--commit-interval"
                        "0"
                        "--compaction-interval"
                        "200"
                        "--node-lease-ms"
                        "1000"
                    ],
                    environment
                )

            use broker = start source
            let acknowledged = ref 0
            use stop = new CancellationTokenSource()

            let producing =
                ManyBrokers.produce (ManyBrokers.producerConfig broker.Bootstrap) topic 0 acknowledged stop.Token

            let until count =
                SpinWait.SpinUntil(
                    (fun () ->
                        Thread.Sleep 1
                        Volatile.Read(&acknowledged.contents) >= count),
                    patience
                )
                |> fun isReached -> Expect.isTrue isReached $"records are acknowledged; the broker said:\n{broker.Log}"

            until 8_000
            let before = Volatile.Read(&acknowledged.contents)

            use client =
                new AmazonS3Client(
                    BasicAWSCredentials("testaccess", "testsecretkey"),
                    AmazonS3Config(ServiceURL = endpoint, ForcePathStyle = true)
                )

            let within (place: string) = place.Substring "test/".Length

            let copied = List<int>()

            for step in steps do
                let! count = copy client (within source) (within target) step
                copied.Add count

            until (before + 100)
            stop.Cancel()
            let! _ = producing
            broker.Kill()

            Expect.all copied (fun count -> count > 0) $"each step has something to copy: {List.ofSeq copied}"
            use restored = start target
            // The copy names the original's broker until its lease has run out.
            let isAlone () =
                let config = Clients.configure (AdminClientConfig()) restored.Bootstrap
                use admin = AdminClientBuilder(config).SetLogHandler(fun _ _ -> ()).Build()
                (admin.GetMetadata(topic, patience)).Brokers.Count = 1

            Expect.isTrue (SpinWait.SpinUntil(isAlone, patience)) "clients are told of no other broker"
            let records = Clients.readAll restored.Bootstrap topic 0
            Expect.isGreaterThanOrEqual records.Length before "what was acknowledged before the copy"

            records
            |> List.iteri (fun index record ->
                Expect.equal (Encoding.ASCII.GetString record.Message.Value) (string index) "in order, once"
                Expect.equal record.Offset.Value (int64 index) "at its offset")

            // It goes on by itself.
            use producer = Clients.producer (ManyBrokers.producerConfig restored.Bootstrap)

            let! next =
                producer.ProduceAsync(topic, Message<byte array, byte array>(Value = [| 1uy |]))

            Expect.equal next.Offset.Value (int64 records.Length) "the next offset"
        })

let tests = testList "backup" [ Lane.s3 onS3 ]
