/// OffsetCommit, OffsetFetch and OffsetDelete at one broker.
module Tansu.PropertyTests.Handlers.GroupOffsets

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Handlers.GroupRequests

let private test name (body: Rig -> Node -> Guid -> Task<unit>) =
    nodeTest name (fun rig node ->
        task {
            let! topicId = create node "t" 3
            do! body rig node topicId
        })

let private committing =
    testList "OffsetCommit" [
        test "of a client without a group takes offsets in every version, by name and by id" (fun _ node topicId ->
            task {
                for version in 2..10 do
                    let group = $"group-{version}"
                    let request = commitRequest group "t" [ 0, 7L; 2, 9L ]

                    if version = 10 then
                        request.Topics[0].TopicId <- topicId

                    let! response =
                        node.Do(fun desk -> desk.Ask<_, OffsetCommitResponse>(request, version))

                    let topic = Array.exactlyOne response.Topics
                    Expect.equal topic.Name (if version < 10 then "t" else "") $"name in version {version}"

                    Expect.equal
                        topic.TopicId
                        (if version < 10 then Guid.Empty else topicId)
                        $"id in version {version}"

                    Expect.equal
                        [ for one in topic.Partitions -> one.PartitionIndex, one.ErrorCode ]
                        [ 0, ErrorCode.None; 2, ErrorCode.None ]
                        "partitions"

                    let! offsets = committed node group
                    Expect.equal offsets [ ("t", 0), 7L; ("t", 2), 9L ] "committed"
            })

        test "of what is not there is refused partition by partition" (fun _ node topicId ->
            task {
                let ask (change: OffsetCommitRequest -> unit) version offsets =
                    let request = commitRequest "group" "t" offsets
                    request.Topics[0].TopicId <- topicId
                    change request
                    commitIn version node request

                let! errors = ask ignore 9 [ 0, 1L; 3, 1L; -1, 1L ]

                Expect.equal
                    errors
                    [
                        ErrorCode.None
                        ErrorCode.UnknownTopicOrPartition
                        ErrorCode.UnknownTopicOrPartition
                    ]
                    "partitions"

                let! errors = ask (fun request -> request.Topics[0].Name <- "none") 9 [ 0, 1L ]
                Expect.equal errors [ ErrorCode.UnknownTopicOrPartition ] "topic"

                let! errors =
                    ask (fun request -> request.Topics[0].TopicId <- Guid.NewGuid()) 10 [ 0, 1L; 9, 1L ]

                Expect.equal errors [ ErrorCode.UnknownTopicId; ErrorCode.UnknownTopicId ] "topic id"
                let! errors = ask ignore 10 [ 3, 1L ]
                Expect.equal errors [ ErrorCode.UnknownTopicOrPartition ] "partition of a topic id"
            })

        test "keeps metadata of 4096 characters and not of one more" (fun _ node _ ->
            task {
                let request = commitRequest "group" "t" [ 0, 1L; 1, 1L; 2, 1L ]
                request.Topics[0].Partitions[0].CommittedMetadata <- String('x', 4096)
                request.Topics[0].Partitions[1].CommittedMetadata <- String('x', 4097)
                request.Topics[0].Partitions[2].CommittedMetadata <- null
                let! errors = commit node request

                Expect.equal errors [ ErrorCode.None; ErrorCode.OffsetMetadataTooLarge; ErrorCode.None ] "errors"
                let! response = fetchAll node [ "group" ]

                Expect.equal
                    [
                        for one in response.Groups[0].Topics[0].Partitions ->
                            one.PartitionIndex, one.Metadata.Length, one.CommittedLeaderEpoch
                    ]
                    [ 0, 4096, 3; 2, 0, 3 ]
                    "metadata"
            })

        test "of a member is judged by its generation" (fun rig node _ ->
            task {
                let one = Consumer "group"
                do! one.Join node
                let! error = one.TryCommit(node, "t", 0, 1L)
                Expect.equal error ErrorCode.RebalanceInProgress "before it has an assignment"
                do! one.Sync node
                let! error = one.TryCommit(node, "t", 0, 2L)
                Expect.equal error ErrorCode.None "with one"
                let other = Consumer "group"
                let joining = rig.Spawn(fun () -> other.Join node)
                do! rig.Sleep(seconds 1.0)
                let! error = one.TryCommit(node, "t", 0, 3L)
                Expect.equal error ErrorCode.None "while others join: it commits before it gives up what it has"
                do! one.Join node
                do! joining
                one.Generation <- 1
                let! error = one.TryCommit(node, "t", 0, 4L)
                Expect.equal error ErrorCode.IllegalGeneration "in the generation before"
                let! offsets = committed node "group"
                Expect.equal offsets [ ("t", 0), 3L ] "committed"
            })

        test "of strangers to a group is refused as the version knows it" (fun rig node _ ->
            task {
                let one = Consumer "group"
                do! gather rig [ one, node ]

                for version in 2..9 do
                    for name, group, memberId, generation, expected in
                        [
                            "a client that is no member", "group", "", -1, ErrorCode.UnknownMemberId
                            "an unknown member", "group", "nobody", 1, ErrorCode.UnknownMemberId
                            "a generation to come", "group", one.Id, 2, ErrorCode.IllegalGeneration
                            "no generation", "group", one.Id, -1, ErrorCode.IllegalGeneration
                            "an unknown group",
                            "none",
                            "nobody",
                            1,
                            (if version < 9 then
                                 ErrorCode.IllegalGeneration
                             else
                                 ErrorCode.GroupIdNotFound)
                        ] do
                        let request = commitRequest group "t" [ 0, 1L; 5, 1L ]
                        request.MemberId <- memberId
                        request.GenerationIdOrMemberEpoch <- generation
                        let! errors = commitIn version node request

                        Expect.equal
                            errors
                            [ expected; ErrorCode.UnknownTopicOrPartition ]
                            $"{name} in version {version}"

                do! one.Leave node
                let! error = one.TryCommit(node, "t", 0, 1L)
                Expect.equal error ErrorCode.UnknownMemberId "it has left"
                let! errors = commit node (commitRequest "group" "t" [ 0, 1L ])
                Expect.equal errors [ ErrorCode.None ] "but now that it is empty anybody may"
            })
    ]

let private topics (partitions: (string * int list) list) = [|
    for name, indexes in partitions ->
        OffsetFetchRequest.OffsetFetchRequestTopic(Name = name, PartitionIndexes = Array.ofList indexes)
|]

let private fetching =
    testList "OffsetFetch" [
        test "of one group, with the fields of each version" (fun _ node _ ->
            task {
                let! _ = commit node (commitRequest "group" "t" [ 0, 7L ])

                for version in 1..7 do
                    let request =
                        OffsetFetchRequest(
                            GroupId = "group",
                            Topics = topics [ "t", [ 0; 1; 9 ]; "none", [ 0 ] ],
                            RequireStable = (version = 7)
                        )

                    let! response =
                        node.Do(fun desk -> desk.Ask<_, OffsetFetchResponse>(request, version))

                    Expect.equal response.ErrorCode ErrorCode.None "error"
                    let epoch = if version >= 5 then 3 else -1

                    Expect.equal
                        [
                            for topic in response.Topics do
                                for one in topic.Partitions ->
                                    topic.Name,
                                    one.PartitionIndex,
                                    one.CommittedOffset,
                                    one.CommittedLeaderEpoch,
                                    one.Metadata,
                                    one.ErrorCode
                        ]
                        [
                            "t", 0, 7L, epoch, "at 7", ErrorCode.None
                            "t", 1, -1L, -1, "", ErrorCode.None
                            "t", 9, -1L, -1, "", ErrorCode.None
                            "none", 0, -1L, -1, "", ErrorCode.None
                        ]
                        $"version {version}"

                    if version >= 2 then
                        let all = OffsetFetchRequest(GroupId = "group", Topics = null)
                        let! response = node.Do(fun desk -> desk.Ask<_, OffsetFetchResponse>(all, version))
                        let topic = Array.exactlyOne response.Topics
                        Expect.equal topic.Name "t" "all topics"

                        Expect.equal
                            [ for one in topic.Partitions -> one.PartitionIndex, one.CommittedOffset ]
                            [ 0, 7L ]
                            "that have something"
            })

        test "of many groups, some of which there are not" (fun _ node topicId ->
            task {
                let! _ = commit node (commitRequest "one" "t" [ 0, 7L ])
                let! _ = commit node (commitRequest "two" "t" [ 1, 8L ])

                for version in 8..10 do
                    let wanted group =
                        OffsetFetchRequest.OffsetFetchRequestGroup(
                            GroupId = group,
                            Topics = [|
                                OffsetFetchRequest.OffsetFetchRequestTopics(
                                    Name = "t",
                                    TopicId = topicId,
                                    PartitionIndexes = [| 0; 1 |]
                                )
                            |]
                        )

                    let request =
                        OffsetFetchRequest(
                            RequireStable = true,
                            Groups = [|
                                wanted "one"
                                wanted "none"
                                OffsetFetchRequest.OffsetFetchRequestGroup(GroupId = "two", Topics = null)
                            |]
                        )

                    let! response =
                        node.Do(fun desk -> desk.Ask<_, OffsetFetchResponse>(request, version))

                    Expect.equal
                        [
                            for group in response.Groups do
                                for topic in group.Topics do
                                    for one in topic.Partitions ->
                                        group.GroupId, one.PartitionIndex, one.CommittedOffset, one.ErrorCode
                        ]
                        [
                            "one", 0, 7L, ErrorCode.None
                            "one", 1, -1L, ErrorCode.None
                            "none", 0, -1L, ErrorCode.None
                            "none", 1, -1L, ErrorCode.None
                            "two", 1, 8L, ErrorCode.None
                        ]
                        $"version {version}"

                    for group in response.Groups do
                        Expect.equal group.ErrorCode ErrorCode.None "error"

                        for topic in group.Topics do
                            Expect.equal
                                (topic.Name, topic.TopicId)
                                (if version < 10 then "t", Guid.Empty else "", topicId)
                                "topic"
            })

        test
            "of a topic id that there is not is UNKNOWN_TOPIC_ID, and of a deleted topic nothing is left"
            (fun _ node id ->
                task {
                    let ask topicId =
                        task {
                            let request =
                                OffsetFetchRequest(
                                    Groups = [|
                                        OffsetFetchRequest.OffsetFetchRequestGroup(
                                            GroupId = "group",
                                            Topics = [|
                                                OffsetFetchRequest.OffsetFetchRequestTopics(
                                                    TopicId = topicId,
                                                    PartitionIndexes = [| 0 |]
                                                )
                                            |]
                                        )
                                    |]
                                )

                            let! response = node.Do(fun desk -> desk.Ask<_, OffsetFetchResponse>(request, 10))
                            let one = response.Groups[0].Topics[0].Partitions[0]
                            return one.CommittedOffset, one.ErrorCode
                        }

                    let! _ = commit node (commitRequest "group" "t" [ 0, 7L ])
                    let! before = ask id
                    Expect.equal before (7L, ErrorCode.None) "known"
                    let! unknown = ask (Guid.NewGuid())
                    Expect.equal unknown (-1L, ErrorCode.UnknownTopicId) "unknown"

                    let delete = DeleteTopicsRequest(TopicNames = [| "t" |], TimeoutMs = 20_000)

                    let! _ = node.Do(fun desk -> desk.Ask<_, DeleteTopicsResponse>(delete, 5))
                    let! after = ask id
                    Expect.equal after (-1L, ErrorCode.UnknownTopicId) "deleted"
                    let! _ = create node "t" 3
                    let! offsets = committed node "group"
                    Expect.isEmpty offsets "a topic of the same name is another"
                })
    ]

let private deleteRequest (group: string) (partitions: (string * int list) list) =
    OffsetDeleteRequest(
        GroupId = group,
        Topics = [|
            for name, indexes in partitions ->
                OffsetDeleteRequest.OffsetDeleteRequestTopic(
                    Name = name,
                    Partitions = [|
                        for index in indexes -> OffsetDeleteRequest.OffsetDeleteRequestPartition(PartitionIndex = index)
                    |]
                )
        |]
    )

let private delete (node: Node) group partitions =
    task {
        let request = deleteRequest group partitions
        let! response = node.Do(fun desk -> desk.Ask<_, OffsetDeleteResponse>(request, 0))

        return
            response.ErrorCode,
            [
                for topic in response.Topics do
                    for one in topic.Partitions -> topic.Name, one.PartitionIndex, one.ErrorCode
            ]
    }

/// What a consumer of these topics says of itself.
let subscription (names: string list) =
    let bytes = ResizeArray<byte>()

    let int16 (value: int) =
        bytes.AddRange [ byte (value >>> 8); byte value ]

    let int32 (value: int) =
        bytes.AddRange [ byte (value >>> 24); byte (value >>> 16); byte (value >>> 8); byte value ]

    int16 1
    int32 names.Length

    for name in names do
        int16 name.Length
        bytes.AddRange(Text.Encoding.UTF8.GetBytes name)

    int32 0
    int32 0
    ReadOnlyMemory(bytes.ToArray())

let private deleting =
    testList "OffsetDelete" [
        test "forgets offsets, and says what there is not" (fun _ node _ ->
            task {
                let! _ = commit node (commitRequest "group" "t" [ 0, 1L; 1, 2L ])
                let! outcome = delete node "group" [ "t", [ 0; 2; 3 ]; "none", [ 0 ] ]

                Expect.equal
                    outcome
                    (ErrorCode.None,
                     [
                         "t", 0, ErrorCode.None
                         "t", 2, ErrorCode.None
                         "t", 3, ErrorCode.UnknownTopicOrPartition
                         "none", 0, ErrorCode.UnknownTopicOrPartition
                     ])
                    "outcome"

                let! offsets = committed node "group"
                Expect.equal offsets [ ("t", 1), 2L ] "what is left"
            })

        test "of an empty group id, and of a group that there is not" (fun _ node _ ->
            task {
                let! error, topics = delete node "" [ "t", [ 0 ] ]
                Expect.equal error ErrorCode.InvalidGroupId "empty"
                Expect.isEmpty topics "no topics"
                let! error, _ = delete node "none" [ "t", [ 0 ] ]
                Expect.equal error ErrorCode.GroupIdNotFound "unknown"
            })

        test
            "leaves topics alone that a member reads, and everything of groups that are not consumers"
            (fun rig node _ ->
                task {
                    let! _ = create node "other" 1
                    let! _ = commit node (commitRequest "group" "t" [ 0, 1L ])
                    let! _ = commit node (commitRequest "group" "other" [ 0, 1L ])

                    let one =
                        Consumer(
                            "group",
                            change = (fun request -> request.Protocols[0].Metadata <- subscription [ "t" ])
                        )

                    do! gather rig [ one, node ]
                    let! outcome = delete node "group" [ "t", [ 0 ]; "other", [ 0 ] ]

                    Expect.equal
                        outcome
                        (ErrorCode.None, [ "t", 0, ErrorCode.GroupSubscribedToTopic; "other", 0, ErrorCode.None ])
                        "outcome"

                    let connect =
                        Consumer("connect", change = (fun request -> request.ProtocolType <- "connect"))

                    do! connect.Join node
                    let! error, _ = delete node "connect" [ "t", [ 0 ] ]
                    Expect.equal error ErrorCode.NonEmptyGroup "as long as it has members"
                })
    ]

let tests = testList "offsets of groups" [ committing; fetching; deleting ]
