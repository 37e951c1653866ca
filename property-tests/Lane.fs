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

/// How many there are.
[<Literal>]
let count = 4

/// The tests that are in a lane (or those that are not).
let only inLane test =
    let rec select isInLane test =
        match test with
        | TestCase _ -> if isInLane = inLane then test else TestList([], Normal)
        | TestList(tests, state) -> TestList(List.map (select isInLane) tests, state)
        | TestLabel(label, test, state) -> TestLabel(label, select isInLane test, state)
        | Test.Sequenced(how, test) -> Test.Sequenced(how, select how.IsSynchronousGroup test)

    select false test
