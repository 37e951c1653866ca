/// Rules and laws of the pure core.
module Tansu.PropertyTests.Domain.Tests

open Expecto

let tests =
    testList "domain" [
        Appends.tests
        Removals.tests
        ChunkLists.tests
        PartitionTables.tests
        Topics.tests
        Nodes.tests
        Laws.tests
        Compacting.tests
        CompactingLaws.tests
        GroupJoins.tests
        GroupStatics.tests
        GroupRebalances.tests
        GroupSyncs.tests
        GroupCommits.tests
        GroupLaws.tests
        Transactions.tests
        TransactionLaws.tests
    ]
