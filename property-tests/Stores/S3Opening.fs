/// What a broker is told when the bucket cannot be used.
module Tansu.PropertyTests.Stores.S3Opening

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.S3Server

let private expectMessage (parts: string list) (error: exn) =
    for part in parts do
        Expect.stringContains error.Message part "the message"

    Expect.isFalse (error.Message.Contains '\n') "one line"
    Expect.isFalse (error.Message.Contains "testsecretkey") "no secrets"

let private refused name url change parts =
    testCaseTask name (fun () ->
        task {
            let opening = { at url with change = change }
            let! error = failure<StoreRefusedException> name (fun () -> openWith opening)
            expectMessage parts error
        })

let private set (name: string) (value: string) = Map.add name value

/// An object as a later version might write it: the same frame, another version and a longer head.
let private newer (kind: S3Kind) =
    let bytes =
        S3Frame.Make(kind, 0L, sequence (content 1 100), System.Buffers.ReadOnlySequence<byte>.Empty)

    bytes[4] <- 2uy

    let checksum =
        Crc32C.Append(Crc32C.Append(0u, ReadOnlySpan(bytes, 0, 24)), ReadOnlySpan(bytes, S3Frame.Size, 100))

    System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(Span(bytes, 24, 4), checksum)
    bytes

let private isAccepted name url variables (expected: string) =
    testCase name (fun () ->
        let settings =
            S3Settings.Parse(
                url,
                Func<string, string>(fun name -> variables |> Map.ofList |> Map.tryFind name |> Option.toObj)
            )

        Expect.equal
            $"{settings.Bucket} {settings.Prefix} {settings.Region} {settings.Endpoint}"
            expected
            "what was understood")

let tests =
    testList "opening" [
        refused "no such bucket" "nosuchbucket/x" id [ "nosuchbucket"; "does not exist"; "create it" ]
        refused "unknown access key" "test/x" (set "AWS_ACCESS_KEY_ID" "nobody") [ "AWS_ACCESS_KEY_ID" ]
        refused "wrong secret key" "test/x" (set "AWS_SECRET_ACCESS_KEY" "wrong") [ "AWS_SECRET_ACCESS_KEY" ]
        refused "half of the credentials" "test/x" (Map.remove "AWS_SECRET_ACCESS_KEY") [
            "Only one of"
            "both or neither"
        ]
        refused "http to another machine" "test/x" (set "AWS_ENDPOINT_URL" "http://192.0.2.1:9000") [
            "http://192.0.2.1:9000"
            "AWS_ALLOW_HTTP=true"
        ]
        refused "an endpoint that is no URL" "test/x" (set "AWS_ENDPOINT_URL_S3" "localhost") [
            "AWS_ENDPOINT_URL_S3"
            "https://host:port"
        ]
        refused "no bucket" "" id [ "names no bucket"; "s3://bucket/prefix" ]
        refused "a bucket that cannot exist" "A_B!/x" id [ "names no bucket" ]
        refused "a prefix that could leave the store" "test/a/../b" id [ "prefix"; "not allowed" ]
        testCaseTask "credentials in the URL are not repeated" (fun () ->
            task {
                let! error =
                    failure<StoreRefusedException> "credentials" (fun () ->
                        openWith (at "me:testsecretkey@host/bucket"))

                expectMessage [ "AWS_ACCESS_KEY_ID" ] error
            })
        for url in
            [
                "test?AWS_SECRET_ACCESS_KEY=testsecretkey"
                "test/x?AWS_SECRET_ACCESS_KEY=testsecretkey"
                "me/testsecretkey@host/bucket"
            ] do
            refused $"nor are those of other programs' URLs ({url.Length} characters)" url id [ "AWS_ACCESS_KEY_ID" ]
        testCaseTask "an endpoint where nobody listens may come back" (fun () ->
            task {
                let endpoint = $"http://127.0.0.1:{Machine.freePort ()}"
                let opening = { at "test/x" with change = set "AWS_ENDPOINT_URL" endpoint }

                let! error =
                    failure<StoreUnavailableException> "unreachable" (fun () -> openWith opening)

                expectMessage [ endpoint; "cannot be reached" ] error
            })
        testCaseTask "an endpoint that does not answer in time may come back" (fun () ->
            task {
                let never: Decide =
                    fun _ token _ ->
                        task {
                            do! Task.Delay(Timeout.Infinite, token)
                            return null
                        }

                let opening = {
                    at "test/x" with
                        options = StoreOptions(RequestTimeout = TimeSpan.FromMilliseconds 50.0)
                        wrap = intercept never
                }

                let! error = failure<StoreUnavailableException> "slow" (fun () -> openWith opening)
                expectMessage [ "did not answer in time" ] error
            })
        testCaseTask "somebody else's object in the place of the cluster object is refused" (fun () ->
            task {
                let place = freshPlace ()
                use! store = openWith (at place)
                // The prefix of the second store ends where the first keeps objects.
                do! store.Blobs.PutAsync("cluster", sequence [| 1uy; 2uy |], none)

                let! error =
                    failure<StoreRefusedException> "a stranger" (fun () -> openWith (at (place + "/blobs")))

                expectMessage [ "not Tansu's"; "another prefix" ] error
            })
        testCaseTask "objects of a newer format are refused, and stay" (fun () ->
            task {
                let place = freshPlace ()
                use! store = openWith (at place)
                let newerCluster = newer S3Kind.Cluster
                let newerHint = newer S3Kind.Hint
                do! store.Blobs.PutAsync("one/cluster", sequence newerCluster, none)
                do! store.Blobs.PutAsync("other/catalog/hint", sequence newerHint, none)

                let! error =
                    failure<StoreRefusedException> "cluster" (fun () -> openWith (at (place + "/blobs/one")))

                expectMessage [ "format 2"; "start that version" ] error
                use! other = openWith (at (place + "/blobs/other"))
                let! log = other.OpenLogAsync("catalog", none)
                let! error = failure<StoreRefusedException> "hint" (fun () -> readHeads log 0L 1)
                expectMessage [ "format 2"; "start that version" ] error
                let stored = Array.zeroCreate<byte> newerHint.Length
                do! store.Blobs.ReadAsync("other/catalog/hint", 0L, Memory stored, none)
                Expect.equal stored newerHint "the hint"
            })
        testCaseTask "https to a server that speaks http is said to be that" (fun () ->
            task {
                let secure (variables: Map<string, string>) =
                    set "AWS_ENDPOINT_URL" (variables["AWS_ENDPOINT_URL"].Replace("http:", "https:")) variables

                let! error =
                    failure<StoreUnavailableException> "TLS" (fun () -> openWith { at "test/x" with change = secure })

                expectMessage [ "https://127.0.0.1"; "TLS"; "check https or http" ] error
            })
        testCaseTask "the description names bucket, prefix and endpoint" (fun () ->
            task {
                let place = freshPlace ()
                use! store = openWith (at place)
                Expect.stringStarts store.Description $"s3 {place} at http://127.0.0.1:" "description"

                Expect.equal
                    (store.Limits.InlinePayloadBytes, store.Limits.DefaultCommitInterval.TotalMilliseconds)
                    (1048576, 30.0)
                    "limits"
            })
        isAccepted "AWS with a region" "my-bucket" [ "AWS_DEFAULT_REGION", "eu-west-1" ] "my-bucket  eu-west-1 "
        isAccepted
            "the most specific endpoint and region win"
            "my-bucket/a/b/"
            [
                "AWS_ENDPOINT", "https://c:1"
                "AWS_ENDPOINT_URL", "https://b:1"
                "AWS_ENDPOINT_URL_S3", "https://a:1"
                "AWS_REGION", "x"
                "AWS_DEFAULT_REGION", "y"
            ]
            "my-bucket a/b/ x https://a:1/"
        isAccepted
            "http elsewhere when it is allowed"
            "my-bucket"
            [ "AWS_ENDPOINT", "http://192.0.2.1:1"; "AWS_ALLOW_HTTP", "true" ]
            "my-bucket  us-east-1 http://192.0.2.1:1/"
    ]
