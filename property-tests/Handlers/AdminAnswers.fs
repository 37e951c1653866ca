/// Administrative requests about what a broker without replicas, accounts and quotas does not have.
module Tansu.PropertyTests.Handlers.AdminAnswers

open System
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.Desk

let private acls =
    deskTest "ACL requests say that security is disabled" (fun desk ->
        task {
            let! described = desk.Ask<_, DescribeAclsResponse>(DescribeAclsRequest(), 3)

            Expect.equal
                (described.ErrorCode, described.ErrorMessage)
                (ErrorCode.SecurityDisabled, "No Authorizer is configured on the broker")
                "described"

            let creations = [| CreateAclsRequest.AclCreation(); CreateAclsRequest.AclCreation() |]

            let! created =
                desk.Ask<_, CreateAclsResponse>(CreateAclsRequest(Creations = creations), 3)

            Expect.equal
                [ for one in created.Results -> one.ErrorCode, one.ErrorMessage ]
                (List.replicate 2 (ErrorCode.SecurityDisabled, "No Authorizer is configured."))
                "created"

            let filters = [| DeleteAclsRequest.DeleteAclsFilter() |]

            let! deleted =
                desk.Ask<_, DeleteAclsResponse>(DeleteAclsRequest(Filters = filters), 3)

            Expect.equal [ for one in deleted.FilterResults -> one.ErrorCode ] [ ErrorCode.SecurityDisabled ] "deleted"
        })

let private tokens =
    deskTest "delegation tokens are refused to connections that are not authenticated" (fun desk ->
        task {
            let refused = ErrorCode.DelegationTokenRequestNotAllowed

            let! created =
                desk.Ask<_, CreateDelegationTokenResponse>(CreateDelegationTokenRequest(), 3)

            Expect.equal (created.ErrorCode, created.PrincipalName) (refused, "ANONYMOUS") "created"

            let! renewed =
                desk.Ask<_, RenewDelegationTokenResponse>(RenewDelegationTokenRequest(), 2)

            Expect.equal renewed.ErrorCode refused "renewed"

            let! expired =
                desk.Ask<_, ExpireDelegationTokenResponse>(ExpireDelegationTokenRequest(), 2)

            Expect.equal expired.ErrorCode refused "expired"

            let! described =
                desk.Ask<_, DescribeDelegationTokenResponse>(DescribeDelegationTokenRequest(), 3)

            Expect.equal described.ErrorCode refused "described"
        })

let private elections =
    deskTest "no partition needs an election" (fun desk ->
        task {
            let! _ = desk.Create("a", 2, [])

            let elect kind (wanted: (string * int list) list) =
                task {
                    let request =
                        ElectLeadersRequest(
                            ElectionType = kind,
                            TopicPartitions = [|
                                for topic, partitions in wanted ->
                                    ElectLeadersRequest.ElectedTopic(
                                        Topic = topic,
                                        Partitions = Array.ofList partitions
                                    )
                            |]
                        )

                    let! response = desk.Ask<_, ElectLeadersResponse>(request, 2)

                    return
                        response.ErrorCode,
                        [
                            for topic in response.ReplicaElectionResults do
                                for one in topic.PartitionResult -> one.ErrorCode
                        ]
                }

            for kind in [ 0y; 1y ] do
                let! answer = elect kind [ "a", [ 0; 2; -1 ]; "missing", [ 0 ] ]

                Expect.equal
                    answer
                    (ErrorCode.None,
                     [
                         ErrorCode.ElectionNotNeeded
                         ErrorCode.UnknownTopicOrPartition
                         ErrorCode.UnknownTopicOrPartition
                         ErrorCode.UnknownTopicOrPartition
                     ])
                    $"kind {kind}"

            let! unknown = elect 2y [ "a", [ 0 ] ]
            Expect.equal unknown (ErrorCode.InvalidRequest, []) "an unknown kind"

            let! all =
                desk.Ask<_, ElectLeadersResponse>(ElectLeadersRequest(TopicPartitions = null), 2)

            Expect.equal
                [
                    for topic in all.ReplicaElectionResults -> topic.Topic, topic.PartitionResult.Length
                ]
                [ "a", 0 ]
                "asked about all: none needs one"
        })

let private reassignments =
    deskTest "partitions may be assigned to live brokers, and there is nothing to move or cancel" (fun desk ->
        task {
            let! _ = desk.Create("a", 1, [])

            let reassign topic partition (replicas: int array | null) =
                task {
                    let wanted =
                        AlterPartitionReassignmentsRequest.ReassignablePartition(
                            PartitionIndex = partition,
                            Replicas = replicas
                        )

                    let topics = [|
                        AlterPartitionReassignmentsRequest.ReassignableTopic(Name = topic, Partitions = [| wanted |])
                    |]

                    let! response =
                        desk.Ask<_, AlterPartitionReassignmentsResponse>(
                            AlterPartitionReassignmentsRequest(Topics = topics),
                            1
                        )

                    return response.Responses[0].Partitions[0].ErrorCode
                }

            for topic, partition, replicas, error in
                [
                    "a", 0, [| 1 |], ErrorCode.None
                    "a", 0, [| 9 |], ErrorCode.InvalidReplicaAssignment
                    "a", 0, [||], ErrorCode.InvalidReplicaAssignment
                    "a", 0, [| 1; 1 |], ErrorCode.InvalidReplicaAssignment
                    "a", 0, null, ErrorCode.NoReassignmentInProgress
                    "a", 1, [| 1 |], ErrorCode.UnknownTopicOrPartition
                    "missing", 0, null, ErrorCode.UnknownTopicOrPartition
                ] do
                let! actual = reassign topic partition replicas
                Expect.equal actual error $"{topic}-{partition}"

            let! listed =
                desk.Ask<_, ListPartitionReassignmentsResponse>(ListPartitionReassignmentsRequest(Topics = null), 0)

            Expect.equal (listed.ErrorCode, listed.Topics.Length) (ErrorCode.None, 0) "listed"
        })

let private logDirs =
    deskTest "there is one log directory; it tells sizes, and nothing moves" (fun desk ->
        task {
            let! _ = desk.Create("a", 2, [])
            let! _ = desk.Produce("a", [ 1, batch 3 ])

            let! described =
                desk.Ask<_, DescribeLogDirsResponse>(DescribeLogDirsRequest(Topics = null), 4)

            let directory = Array.exactlyOne described.Results

            Expect.equal
                [
                    for topic in directory.Topics do
                        for one in topic.Partitions -> topic.Name, one.PartitionIndex, one.PartitionSize
                ]
                [ "a", 0, 0L; "a", 1, int64 (batch 3).Length ]
                "sizes"

            let move path topic =
                task {
                    let wanted =
                        AlterReplicaLogDirsRequest.AlterReplicaLogDirTopic(Name = topic, Partitions = [| 0 |])

                    let dirs = [|
                        AlterReplicaLogDirsRequest.AlterReplicaLogDir(Path = path, Topics = [| wanted |])
                    |]

                    let! response =
                        desk.Ask<_, AlterReplicaLogDirsResponse>(AlterReplicaLogDirsRequest(Dirs = dirs), 2)

                    return response.Results[0].Partitions[0].ErrorCode
                }

            let! there = move directory.LogDir "a"
            Expect.equal there ErrorCode.None "it is there already"
            let! elsewhere = move "/elsewhere" "a"
            Expect.equal elsewhere ErrorCode.LogDirNotFound "another directory"
            let! missing = move directory.LogDir "missing"
            Expect.equal missing ErrorCode.UnknownTopicOrPartition "another topic"
        })

let private quotas =
    deskTest "there are no quotas, and none can be set" (fun desk ->
        task {
            let describe kind matchType =
                task {
                    let part =
                        DescribeClientQuotasRequest.ComponentData(EntityType = kind, MatchType = matchType)

                    let! response =
                        desk.Ask<_, DescribeClientQuotasResponse>(
                            DescribeClientQuotasRequest(Components = [| part |]),
                            1
                        )

                    return response.ErrorCode
                }

            for kind, matchType, error in
                [
                    "user", 2y, ErrorCode.None
                    "ip", 1y, ErrorCode.None
                    "", 2y, ErrorCode.InvalidRequest
                    "user", 3y, ErrorCode.InvalidRequest
                    "team", 2y, ErrorCode.UnsupportedVersion
                ] do
                let! actual = describe kind matchType
                Expect.equal actual error $"'{kind}' {matchType}"

            let alter kind remove =
                task {
                    let entry =
                        AlterClientQuotasRequest.EntryData(
                            Entity = [| AlterClientQuotasRequest.EntityData(EntityType = kind, EntityName = "x") |],
                            Ops = [|
                                AlterClientQuotasRequest.OpData(Key = "producer_byte_rate", Remove = remove)
                            |]
                        )

                    let! response =
                        desk.Ask<_, AlterClientQuotasResponse>(AlterClientQuotasRequest(Entries = [| entry |]), 1)

                    return response.Entries[0].ErrorCode
                }

            let! set = alter "user" false
            Expect.equal set ErrorCode.InvalidRequest "set"
            let! removed = alter "user" true
            Expect.equal removed ErrorCode.None "removed"
            let! unknown = alter "team" true
            Expect.equal unknown ErrorCode.InvalidRequest "an unknown entity"
        })

let private credentials =
    deskTest "there are no SCRAM credentials, and none are taken" (fun desk ->
        task {
            let named name =
                DescribeUserScramCredentialsRequest.UserName(Name = name)

            let! described =
                desk.Ask<_, DescribeUserScramCredentialsResponse>(
                    DescribeUserScramCredentialsRequest(Users = [| named "a"; named "b"; named "b" |]),
                    0
                )

            Expect.equal
                [ for one in described.Results -> one.User, one.ErrorCode ]
                [ "a", ErrorCode.ResourceNotFound; "b", ErrorCode.DuplicateResource ]
                "described"

            let! all =
                desk.Ask<_, DescribeUserScramCredentialsResponse>(DescribeUserScramCredentialsRequest(Users = null), 0)

            Expect.isEmpty all.Results "all"

            let request =
                AlterUserScramCredentialsRequest(
                    Deletions = [|
                        AlterUserScramCredentialsRequest.ScramCredentialDeletion(Name = "a")
                        AlterUserScramCredentialsRequest.ScramCredentialDeletion(Name = "c")
                    |],
                    Upsertions = [|
                        AlterUserScramCredentialsRequest.ScramCredentialUpsertion(Name = "b")
                        AlterUserScramCredentialsRequest.ScramCredentialUpsertion(Name = "c")
                    |]
                )

            let! altered = desk.Ask<_, AlterUserScramCredentialsResponse>(request, 0)

            Expect.equal
                [ for one in altered.Results -> one.User, one.ErrorCode ]
                [
                    "a", ErrorCode.ResourceNotFound
                    "c", ErrorCode.DuplicateResource
                    "b", ErrorCode.UnsupportedSaslMechanism
                ]
                "altered"
        })

let private features =
    deskTest "features keep their levels" (fun desk ->
        task {
            for feature, level, error in
                [
                    "transaction.version", 2s, ErrorCode.None
                    "transaction.version", 1s, ErrorCode.InvalidUpdateVersion
                    "metadata.version", 25s, ErrorCode.InvalidUpdateVersion
                ] do
                for version in 0..2 do
                    let update =
                        UpdateFeaturesRequest.FeatureUpdateKey(Feature = feature, MaxVersionLevel = level)

                    let! response =
                        desk.Ask<_, UpdateFeaturesResponse>(
                            UpdateFeaturesRequest(FeatureUpdates = [| update |]),
                            version
                        )

                    Expect.equal response.ErrorCode error $"{feature} {level}"
        })

let private groups =
    deskTest "no group is one of KIP-848" (fun desk ->
        task {
            let! response =
                desk.Ask<_, ConsumerGroupDescribeResponse>(ConsumerGroupDescribeRequest(GroupIds = [| "g" |]), 1)

            let group = Array.exactlyOne response.Groups
            Expect.equal (group.GroupId, group.ErrorCode) ("g", ErrorCode.GroupIdNotFound) "error"
            Expect.equal group.ErrorMessage "Group g not found." "message"
        })

let private telemetry =
    deskTest "metrics that nobody asked for are judged and dropped" (fun desk ->
        task {
            for id, subscription, codec, error in
                [
                    Guid.NewGuid(), 0, 0y, ErrorCode.None
                    Guid.Empty, 0, 0y, ErrorCode.InvalidRequest
                    Guid.NewGuid(), 7, 0y, ErrorCode.UnknownSubscriptionId
                    Guid.NewGuid(), 0, 9y, ErrorCode.UnsupportedCompressionType
                ] do
                let request =
                    PushTelemetryRequest(ClientInstanceId = id, SubscriptionId = subscription, CompressionType = codec)

                let! response = desk.Ask<_, PushTelemetryResponse>(request, 0)
                Expect.equal response.ErrorCode error $"{subscription} {codec}"
        })

let private resources =
    deskTest "topics, brokers and their loggers are listed as having configurations" (fun desk ->
        task {
            let! _ = desk.Create("a", 1, [])

            let list types version =
                task {
                    let! response =
                        desk.Ask<_, ListConfigResourcesResponse>(
                            ListConfigResourcesRequest(ResourceTypes = Array.ofList types),
                            version
                        )

                    return
                        response.ErrorCode,
                        [ for one in response.ConfigResources -> one.ResourceType, one.ResourceName ]
                }

            let! all = list [] 1
            Expect.equal all (ErrorCode.None, [ 2y, "a"; 4y, "1"; 8y, "1" ]) "all"
            let! topics = list [ 2y ] 1
            Expect.equal topics (ErrorCode.None, [ 2y, "a" ]) "topics"
            let! unknown = list [ 3y ] 1
            Expect.equal unknown (ErrorCode.UnsupportedVersion, []) "an unknown type"
            let! clientMetrics = list [] 0
            Expect.equal clientMetrics (ErrorCode.None, []) "client metrics"
        })

let tests =
    testList "administering what is not there" [
        acls
        tokens
        elections
        reassignments
        logDirs
        quotas
        credentials
        features
        groups
        telemetry
        resources
    ]
