/// Every message in every version: what is written is what is read.
module Tansu.PropertyTests.Codec.MessagesRoundTrip

open System
open Expecto
open FsCheck.FSharp
open Tansu.Codec
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.MessagesModel

let seeds = Gen.choose (0, Int32.MaxValue - 1) |> Arb.fromGen

let private roundTrips =
    testList "what is written is what is read" [
        for message in messages do
            Check.propertyTimes 20 $"{message.spec.name}, in every version"
            <| Prop.forAll seeds (fun seed ->
                for version in versionsOf message do
                    let original = sample seed message version
                    let bytes = write message original version
                    let back = message.read (ReadOnlyMemory bytes) (int16 version)
                    Expect.isNone (difference message.spec.name original back) $"version {version}"
                    Expect.equal (write message back version) bytes $"version {version}, written again")
    ]

let private fieldsOutside =
    testList "fields that a version lacks" [
        Check.property "are left out, and read as their defaults"
        <| Prop.forAll seeds (fun seed ->
            let message = named "FetchRequest"

            let newest =
                sample seed message message.spec.versions.high :?> Messages.FetchRequest

            newest.ReplicaId <- 7

            let back =
                message.read (ReadOnlyMemory(write message newest 4)) 4s :?> Messages.FetchRequest

            Expect.equal back.ReplicaId 7 "in version 4"
            Expect.equal back.SessionEpoch -1 "from version 7 on"
            Expect.isNull back.ClusterId "from version 12 on"
            Expect.isNull back.ReplicaState "from version 15 on"
            Expect.all back.Topics (fun topic -> topic.TopicId = Guid.Empty) "from version 13 on"

            let newestBack =
                message.read (ReadOnlyMemory(write message newest 18)) 18s :?> Messages.FetchRequest

            Expect.equal newestBack.ReplicaId -1 "up to version 14")

        test "null is refused where a version cannot say it" {
            let request = Messages.MetadataRequest(Topics = null)

            Expect.throwsT<InvalidOperationException>
                (fun () -> write (named "MetadataRequest") request 0 |> ignore)
                "0"

            write (named "MetadataRequest") request 1 |> ignore
        }

        test "a version that the message does not have is refused" {
            for message in messages do
                for version in [ message.spec.versions.low - 1; message.spec.versions.high + 1 ] do
                    Expect.throwsT<ArgumentOutOfRangeException>
                        (fun () -> write message (Activator.CreateInstance message.clrType) version |> ignore)
                        $"writing {message.spec.name} {version}"

                    Expect.throwsT<KafkaFormatException>
                        (fun () -> message.read (ReadOnlyMemory(Array.zeroCreate 100)) (int16 version) |> ignore)
                        $"reading {message.spec.name} {version}"
        }
    ]

let private tags =
    testList "tagged fields" [
        Check.property "that are not known are skipped"
        <| Prop.forAll seeds (fun seed ->
            for message in messages do
                let version = message.spec.versions.high

                if contains version message.spec.flexible then
                    let original = sample seed message version

                    for field in message.spec.structs[message.spec.name] do
                        if field.isTagged then
                            let property = message.clrType.GetProperty field.name
                            property.SetValue(original, property.GetValue(Activator.CreateInstance message.clrType))

                    let bytes = write message original version
                    // Without tagged fields the last byte says that there are none: one, number 1000, of 3 bytes.
                    Expect.equal bytes[bytes.Length - 1] 0uy message.spec.name
                    let unknown = [| 1uy; 0xe8uy; 0x07uy; 3uy; 1uy; 2uy; 3uy |]
                    let longer = Array.append bytes[.. bytes.Length - 2] unknown
                    let back = message.read (ReadOnlyMemory longer) (int16 version)
                    Expect.isNone (difference message.spec.name original back) "unknown field")

        test "that hold their default are not written, and others in the order of their numbers" {
            let response = Messages.ApiVersionsResponse()
            let plain = write (named "ApiVersionsResponse") response 3
            Expect.equal plain (Convert.FromHexString "0000010000000000") "no tagged field"
            response.FinalizedFeaturesEpoch <- 5L
            response.ZkMigrationReady <- true

            let feature =
                Messages.ApiVersionsResponse.SupportedFeatureKey(Name = "f", MinVersion = 1s, MaxVersion = 2s)

            response.SupportedFeatures <- [| feature |]
            let full = write (named "ApiVersionsResponse") response 3

            Expect.equal
                full
                (Convert.FromHexString(
                    "00000100000000"
                    + "03"
                    + "0008"
                    + "02"
                    + "0266"
                    + "0001"
                    + "0002"
                    + "00"
                    + "01080000000000000005"
                    + "030101"
                ))
                "three tagged fields"
        }

        test "whose size and content disagree are refused" {
            // ApiVersionsResponse 3: error 0, no APIs, throttle 0, one tagged field: number 3, a boolean, of 2 bytes.
            let bytes =
                Convert.FromHexString "00000100000000010302" |> Array.append <| [| 1uy; 0uy |]

            Expect.throwsT<KafkaFormatException>
                (fun () -> (named "ApiVersionsResponse").read (ReadOnlyMemory bytes) 3s |> ignore)
                "size 2"
        }
    ]

let private known =
    testList "known bytes" [
        // Written by hand from the protocol's description, not by this codec.
        let cases: (string * int * string * obj) list = [
            "RequestHeader",
            1,
            "0012" + "0003" + "00000007" + "0003616263",
            Messages.RequestHeader(RequestApiKey = 18s, RequestApiVersion = 3s, CorrelationId = 7, ClientId = "abc")
            "RequestHeader",
            2,
            "0012" + "0003" + "00000007" + "ffff" + "00",
            Messages.RequestHeader(RequestApiKey = 18s, RequestApiVersion = 3s, CorrelationId = 7)
            "ResponseHeader", 0, "00000007", Messages.ResponseHeader(CorrelationId = 7)
            "ResponseHeader", 1, "0000000700", Messages.ResponseHeader(CorrelationId = 7)
            "ApiVersionsRequest",
            3,
            "046b6174" + "02" + "31" + "00",
            Messages.ApiVersionsRequest(ClientSoftwareName = "kat", ClientSoftwareVersion = "1")
            "MetadataRequest", 1, "ffffffff", Messages.MetadataRequest(Topics = null)
            "MetadataRequest", 12, "00" + "01" + "00" + "00", Messages.MetadataRequest(Topics = null)
            "ProduceRequest",
            3,
            "ffff"
            + "ffff"
            + "00001388"
            + "00000001"
            + "000174"
            + "00000001"
            + "00000002"
            + "00000003"
            + "0a0b0c",
            Messages.ProduceRequest(
                Acks = -1s,
                TimeoutMs = 5000,
                TopicData = [|
                    Messages.ProduceRequest.TopicProduceData(
                        Name = "t",
                        PartitionData = [|
                            Messages.ProduceRequest.PartitionProduceData(
                                Index = 2,
                                Records = RecordBytes(ReadOnlyMemory [| 10uy; 11uy; 12uy |])
                            )
                        |]
                    )
                |]
            )
            "DescribeTopicPartitionsRequest",
            0,
            "01" + "000007d0" + "ff" + "00",
            Messages.DescribeTopicPartitionsRequest()
            "DescribeTopicPartitionsRequest",
            0,
            "01" + "000007d0" + "01" + "0274" + "00000005" + "00" + "00",
            Messages.DescribeTopicPartitionsRequest(
                Cursor = Messages.DescribeTopicPartitionsRequest.CursorData(TopicName = "t", PartitionIndex = 5)
            )
        ]

        for name, version, hex, value in cases do
            test $"{name} {version}: {hex}" {
                let bytes = Convert.FromHexString hex

                Expect.equal
                    (Convert.ToHexString(write (named name) value version))
                    (Convert.ToHexString bytes)
                    "written"

                let back = (named name).read (ReadOnlyMemory bytes) (int16 version)
                Expect.isNone (difference name value back) "read"
            }
    ]

let private table =
    testList "the table of APIs" [
        test "says what the messages say" {
            for message in messages do
                let key, low, high, flexible = message.statics
                Expect.equal (int key) message.spec.apiKey message.spec.name

                Expect.equal
                    (int low, int high)
                    (message.spec.versions.low, message.spec.versions.high)
                    message.spec.name

                if message.spec.apiKey >= 0 then
                    let isKnown, api = ApiKeys.TryGet key
                    Expect.isTrue isKnown message.spec.name

                    Expect.isTrue
                        (message.spec.name = api.Name + "Request"
                         || message.spec.name = api.Name + "Response")
                        api.Name

                    Expect.equal
                        (api.LowestVersion, api.HighestVersion, api.FirstFlexibleVersion)
                        (low, high, flexible)
                        api.Name

            Expect.isFalse
                (fst (ApiKeys.TryGet -1s)
                 || fst (ApiKeys.TryGet 1000s)
                 || fst (ApiKeys.TryGet 4s))
                "unknown"

            Expect.equal ApiKeys.All.Count 59 "all"
        }

        test "knows which headers go with a version" {
            let headers key version =
                let _, api = ApiKeys.TryGet key
                api.RequestHeaderVersion version, api.ResponseHeaderVersion version

            Expect.equal (headers ApiKeys.Produce 8s) (1s, 0s) "Produce 8"
            Expect.equal (headers ApiKeys.Produce 9s) (2s, 1s) "Produce 9"
            Expect.equal (headers ApiKeys.ApiVersions 3s) (2s, 0s) "ApiVersions 3"
            Expect.equal (headers ApiKeys.SaslHandshake 1s) (1s, 0s) "SaslHandshake 1"
        }
    ]

let tests = testList "messages" [ roundTrips; fieldsOutside; tags; known; table ]
