/// The replica over a store.
module Tansu.PropertyTests.Replica.Tests

open Expecto

let tests =
    testList "replica" [
        Commits.tests
        Layouts.tests
        Gathering.tests
        Starting.tests
        Objects.tests
        Following.tests
        Trimmed.tests
        Reading.tests
        NodeRegistries.tests
        GroupWaking.tests
        Loading.tests
        Compacting.tests
        Housekeepers.tests
        Costs.tests
        CompactionCosts.tests
        StoredGroups.tests
        StoredTransactions.tests
        CompactingTransactions.tests
    ]
