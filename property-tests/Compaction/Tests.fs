module Tansu.PropertyTests.Compaction.Tests

open Expecto

let tests: Test =
    testList "compaction" [
        Keys.tests
        Rules.tests
        Rebuilding.tests
        Indexing.tests
        Laws.tests
        Plans.tests
    ]
