namespace Tansu.Domain

/// Where things go by hashing. The hash is the same on every broker and in every version: shards of groups are kept for ever,
/// and leaders that brokers disagree on make them write to one log side by side.
[<RequireQualifiedAccess>]
module Placement =
    /// SplitMix64's finalizer: every bit of the input moves every bit of the result.
    let private mix (value: uint64) =
        let value = (value ^^^ (value >>> 30)) * 0xBF58476D1CE4E5B9UL
        let value = (value ^^^ (value >>> 27)) * 0x94D049BB133111EBUL
        value ^^^ (value >>> 31)

    /// A stable 64-bit hash of a name: FNV-1a over its UTF-16 code units, mixed.
    let hashOf (name: string) =
        let mutable hash = 0xCBF29CE484222325UL

        for character in name do
            hash <- (hash ^^^ uint64 character) * 0x00000100000001B3UL

        mix hash

    /// The node that rendezvous hashing picks for a log among live nodes, in whatever order they come: a node that comes or goes moves only
    /// the logs that it gets or had. `liveNodeIds` must not be empty.
    let leaderOfLog (log: string) (liveNodeIds: int[]) =
        let hash = hashOf log

        liveNodeIds
        |> Array.maxBy (fun nodeId -> struct (mix (hash + uint64 nodeId * 0x9E3779B97F4A7C15UL), nodeId))

    /// For each shard, the leader of its partitions and the coordinator of its groups: what rendezvous hashing picks, except that no node
    /// gets more than its share while others have less. With few shards chance alone would leave some nodes with nothing to do.
    let leaders (shardCount: int) (liveNodeIds: int[]) =
        let share = (shardCount + liveNodeIds.Length - 1) / liveNodeIds.Length
        let led = System.Collections.Generic.Dictionary<int, int>()

        let load nodeId =
            match led.TryGetValue nodeId with
            | true, count -> count
            | _ -> 0

        Array.init shardCount (fun shard ->
            let nodeId =
                liveNodeIds
                |> Array.filter (fun nodeId -> load nodeId < share)
                |> leaderOfLog $"shard-{shard}"

            led[nodeId] <- load nodeId + 1
            nodeId)

    /// The controller: the leader of the catalog.
    let controller (liveNodeIds: int[]) = leaderOfLog "catalog" liveNodeIds

    /// The shard of a group or a transactional id. What is stored depends on it: it must never change.
    let shardOfKey (shardCount: int) (key: string) = int (hashOf key % uint64 shardCount)
