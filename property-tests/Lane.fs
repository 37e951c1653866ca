/// Long tests that mostly wait. Those of one lane run one after the other, and the lanes side by side, when all other tests have ended:
/// so what they wait for is nobody else's work, and nobody else minds theirs.
module Tansu.PropertyTests.Lane

open Expecto

/// Tests of the S3 server, which some of them make hang.
let s3 test = testSequencedGroup "S3" test

/// Tests of the PostgreSQL server, which some of them restart.
let postgres test = testSequencedGroup "PostgreSQL" test

/// Tests of brokers that store in directories of their own.
let file test = testSequencedGroup "File" test

/// Tests of what groups and transactions are to real clients.
let clients test = testSequencedGroup "clients" test

/// The tests that are in no lane, those that are, and how many lanes these have.
let split test =
    let inLanes = Test.toTestCodeList test |> List.filter _.sequenced.IsSynchronousGroup

    let names = inLanes |> List.map _.name |> Set
    let count = inLanes |> List.distinctBy _.sequenced |> List.length
    Test.filter "." (names.Contains >> not) test, Test.filter "." names.Contains test, count
