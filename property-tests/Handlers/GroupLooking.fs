/// DescribeGroups, ListGroups and DeleteGroups at one broker.
module Tansu.PropertyTests.Handlers.GroupLooking

open System
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Handlers.GroupRequests

let private describeIn version (node: Node) (groups: string list) includesOperations =
    let request =
        DescribeGroupsRequest(Groups = Array.ofList groups, IncludeAuthorizedOperations = includesOperations)

    node.Do(fun desk -> desk.Ask<_, DescribeGroupsResponse>(request, version))

let private describing =
    testList "DescribeGroups" [
        nodeTest "tells of members what the version can tell" (fun rig node ->
            task {
                let one = Consumer("group", "instance")
                do! gather rig [ one, node ]

                for version in 0..6 do
                    let! response = describeIn version node [ "group" ] (version >= 3)
                    let group = Array.exactlyOne response.Groups
                    Expect.equal (group.ErrorCode, group.GroupId) (ErrorCode.None, "group") "group"
                    Expect.equal group.GroupState "Stable" "state"
                    Expect.equal (group.ProtocolType, group.ProtocolData) ("consumer", "range") "protocol"

                    Expect.equal
                        group.AuthorizedOperations
                        (if version >= 3 then 0b1101_0100_1000 else Int32.MinValue)
                        $"operations in version {version}"

                    let described = Array.exactlyOne group.Members
                    Expect.equal described.MemberId one.Id "member id"
                    Expect.equal described.GroupInstanceId (if version >= 4 then "instance" else null) "instance"
                    Expect.equal described.ClientHost "/test" "where it comes from"
                    Expect.equal (text described.MemberMetadata) "metadata" "metadata"
                    Expect.equal (text described.MemberAssignment) one.Id "assignment"

                let! response = describeIn 5 node [ "group" ] false
                Expect.equal response.Groups[0].AuthorizedOperations Int32.MinValue "nobody asked"
            })

        nodeTest "follows a group through its states, and shows metadata only when it is stable" (fun rig node ->
            task {
                let one, other = Consumer "group", Consumer "group"
                let! state = stateOf node "group"
                Expect.equal state "Dead" "before"
                let joining = rig.Spawn(fun () -> one.Join node)
                do! rig.Sleep(seconds 0.1)
                let! described = describe node "group"
                Expect.equal described.GroupState "PreparingRebalance" "joining"
                Expect.equal described.ProtocolData "" "no protocol yet"
                Expect.equal (text described.Members[0].MemberMetadata) "" "no metadata"
                do! joining
                let! state = stateOf node "group"
                Expect.equal state "CompletingRebalance" "joined"
                do! one.Sync node
                let! state = stateOf node "group"
                Expect.equal state "Stable" "assigned"
                let joining = rig.Spawn(fun () -> other.Join node)
                do! rig.Sleep(seconds 0.1)
                let! described = describe node "group"
                Expect.equal described.GroupState "PreparingRebalance" "another joins"
                Expect.equal described.Members.Length 2 "both"

                Expect.equal [ for one in described.Members -> text one.MemberMetadata ] [ ""; "" ] "metadata"

                Expect.contains
                    [ for one in described.Members -> text one.MemberAssignment ]
                    one.Id
                    "the first has its assignment still"

                do! one.Join node
                do! joining
                do! one.Leave node
                do! other.Leave node
                let! described = describe node "group"
                Expect.equal described.GroupState "Empty" "all have left"
                Expect.equal (described.ProtocolType, described.ProtocolData) ("consumer", "") "its type stays"
            })

        nodeTest "of a group that there is not is Dead, and from version 6 GROUP_ID_NOT_FOUND" (fun _ node ->
            task {
                for version in 0..6 do
                    let! response = describeIn version node [ "none"; "" ] false

                    for group in response.Groups do
                        Expect.equal group.GroupState "Dead" "state"
                        Expect.isEmpty group.Members "members"

                        Expect.equal
                            group.ErrorCode
                            (if version < 6 then
                                 ErrorCode.None
                             else
                                 ErrorCode.GroupIdNotFound)
                            $"version {version}"

                        Expect.equal (isNull group.ErrorMessage) (version < 6) "message"
            })
    ]

let private list version (node: Node) (states: string list) (types: string list) =
    task {
        let request =
            ListGroupsRequest(StatesFilter = Array.ofList states, TypesFilter = Array.ofList types)

        let! response =
            node.Do(fun desk -> desk.Ask<_, ListGroupsResponse>(request, version))

        Expect.equal response.ErrorCode ErrorCode.None "error"

        return
            [
                for group in response.Groups -> group.GroupId, group.ProtocolType, group.GroupState, group.GroupType
            ]
            |> List.sort
    }

let private listing =
    testList "ListGroups" [
        nodeTest "lists every group, by state and type from the versions that have them" (fun rig node ->
            task {
                let! _ = create node "t" 1
                let! _ = commit node (commitRequest "simple" "t" [ 0, 1L ])
                do! gather rig [ Consumer "stable", node ]
                let half = Consumer "half"
                do! half.Join node

                for version in 0..5 do
                    let! groups = list version node [] []
                    let state name = if version >= 4 then name else ""
                    let kind = if version >= 5 then "classic" else ""

                    Expect.equal
                        groups
                        [
                            "half", "consumer", state "CompletingRebalance", kind
                            "simple", "", state "Empty", kind
                            "stable", "consumer", state "Stable", kind
                        ]
                        $"version {version}"

                for states, types, expected in
                    [
                        [ "Stable" ], [], [ "stable" ]
                        [ "stable"; "EMPTY" ], [], [ "simple"; "stable" ]
                        [ "PreparingRebalance" ], [], []
                        [ "Nonsense" ], [], []
                        [], [ "classic" ], [ "half"; "simple"; "stable" ]
                        [], [ "Classic"; "consumer" ], [ "half"; "simple"; "stable" ]
                        [], [ "consumer" ], []
                        [ "Stable" ], [ "classic" ], [ "stable" ]
                    ] do
                    let! groups = list 5 node states types

                    Expect.equal [ for name, _, _, _ in groups -> name ] expected $"states %A{states}, types %A{types}"
            })
    ]

let private deleting =
    testList "DeleteGroups" [
        nodeTest "deletes empty groups with their offsets, and says which it cannot" (fun rig node ->
            task {
                let! _ = create node "t" 1

                for version in 0..2 do
                    let! _ = commit node (commitRequest "simple" "t" [ 0, 1L ])
                    let one = Consumer "busy"
                    do! gather rig [ one, node ]

                    let request = DeleteGroupsRequest(GroupsNames = [| "simple"; "busy"; "none"; "" |])

                    let! response =
                        node.Do(fun desk -> desk.Ask<_, DeleteGroupsResponse>(request, version))

                    Expect.equal
                        [ for one in response.Results -> one.GroupId, one.ErrorCode ]
                        [
                            "simple", ErrorCode.None
                            "busy", ErrorCode.NonEmptyGroup
                            "none", ErrorCode.GroupIdNotFound
                            "", ErrorCode.GroupIdNotFound
                        ]
                        $"version {version}"

                    let! offsets = committed node "simple"
                    Expect.isEmpty offsets "offsets"
                    let! state = stateOf node "simple"
                    Expect.equal state "Dead" "state"
                    do! one.Leave node
            })
    ]

let tests = testList "looking at groups" [ describing; listing; deleting ]
