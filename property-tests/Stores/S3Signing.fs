/// What a server is shown of what it is sent.
module Tansu.PropertyTests.Stores.S3Signing

open System
open System.Buffers.Binary
open System.Collections.Concurrent
open System.Net.Http
open Expecto
open Tansu.Codec.Records
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.S3Server

/// A PUT as the server got it.
type private SentPut = { headers: Map<string, string>; body: byte array }

let private header name (put: SentPut) = put.headers |> Map.tryFind name

/// Keeps every PUT, and sends it over http whatever the store believes: the scheme is no part of what is signed.
let private recording (puts: ConcurrentQueue<SentPut>) : HttpMessageHandler -> HttpMessageHandler =
    intercept (fun request token send ->
        task {
            request.RequestUri <- UriBuilder(request.RequestUri, Scheme = "http").Uri

            if request.Method = HttpMethod.Put then
                // The content can be read once.
                let! body = request.Content.ReadAsByteArrayAsync token
                let content = new ByteArrayContent(body)

                for named in request.Content.Headers do
                    content.Headers.TryAddWithoutValidation(named.Key, named.Value) |> ignore

                request.Content <- content

                puts.Enqueue {
                    body = body
                    headers =
                        Seq.append request.Headers content.Headers
                        |> Seq.map (fun named -> named.Key.ToLowerInvariant(), String.concat "," named.Value)
                        |> Map.ofSeq
                }

            return! send ()
        })

/// Writes one object of every kind, reads what it wrote, and gives what the server got.
let private putsOver scheme =
    task {
        let puts = ConcurrentQueue<SentPut>()

        use! store =
            openWith {
                at (freshPlace ()) with
                    change = Map.map (fun _ (value: string) -> value.Replace("http://", scheme + "://"))
                    wrap = recording puts
            }

        let! _ = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 1uy |], none)
        let! log = store.OpenLogAsync("shard-0", none)
        do! appendRange log 1L 3L
        do! log.SaveSnapshotAsync(2L, sequence (content 1 100), none)
        let bytes = content 2 300_000
        do! store.Blobs.PutAsync("pieces", inPieces 7_000 bytes, none)
        do! store.Blobs.PutAsync("empty", sequence [||], none)
        let read = Array.zeroCreate<byte> bytes.Length
        do! store.Blobs.ReadAsync("pieces", 0L, Memory read, none)
        Expect.equal read bytes "what was put"
        do! expectEntries log 1L 3L
        Expect.isGreaterThanOrEqual puts.Count 8 "cluster, entries, snapshot, hint, objects"
        return List.ofSeq puts
    }

let private expectUnsigned (put: SentPut) =
    Expect.equal (header "x-amz-content-sha256" put) (Some "UNSIGNED-PAYLOAD") "what stands for the content"
    Expect.equal (header "content-length" put) (Some $"{put.body.Length}") "no chunks around it"

    for name in [ "content-md5"; "content-encoding"; "x-amz-trailer"; "transfer-encoding" ] do
        Expect.isNone (header name put) name

let private isSigned (name: string) (put: SentPut) =
    let authorization = put |> header "authorization" |> Option.get
    let signedHeaders = authorization.Split("SignedHeaders=")[1]
    signedHeaders.Split(',').[0].Split(';') |> Array.contains name

let private checksumOf (body: byte array) =
    let bytes = Array.zeroCreate<byte> 4
    BinaryPrimitives.WriteUInt32BigEndian(Span bytes, Crc32C.Compute(ReadOnlySpan body))
    Convert.ToBase64String bytes

let tests =
    testList "signing" [
        testCase "a checksum is written as S3 wants it" (fun () ->
            Expect.equal (checksumOf "123456789"B) "4waSgw==" "the check value of CRC-32C")

        testCaseTask "over http, PUTs carry a signed CRC-32C of a content that is not signed" (fun () ->
            task {
                let! puts = putsOver "http"

                for put in puts do
                    expectUnsigned put
                    Expect.equal (header "x-amz-checksum-crc32c" put) (Some(checksumOf put.body)) "the checksum"
                    Expect.equal (header "x-amz-sdk-checksum-algorithm" put) (Some "CRC32C") "its name"
                    Expect.isTrue (isSigned "x-amz-checksum-crc32c" put) "the checksum is signed"
                    Expect.isTrue (isSigned "x-amz-content-sha256" put) "that the content is not is signed"
            })

        testCaseTask "over https, PUTs carry neither signature nor checksum of the content" (fun () ->
            task {
                let! puts = putsOver "https"

                for put in puts do
                    expectUnsigned put
                    Expect.isTrue (isSigned "x-amz-content-sha256" put) "that the content is not signed is signed"
                    Expect.isFalse (put.headers |> Map.exists (fun name _ -> name.Contains "checksum")) "no checksum"
            })

        testCaseTask "the conditions of a PUT are signed" (fun () ->
            task {
                let! puts = putsOver "http"

                let conditional =
                    puts |> List.filter (fun put -> (header "if-none-match" put).IsSome)

                Expect.isGreaterThanOrEqual conditional.Length 5 "cluster, entries, hint"

                for put in conditional do
                    Expect.isTrue (isSigned "if-none-match" put) "the condition is signed"
            })
    ]
