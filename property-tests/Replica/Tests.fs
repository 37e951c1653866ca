/// The replica over a store.
module Tansu.PropertyTests.Replica.Tests

open Expecto

let tests = testList "replica" [ Commits.tests; Starting.tests; Reading.tests ]
