/// The commands that speak to a cluster.
module Tansu.PropertyTests.CommandLine.Tests

open Expecto

let tests =
    testList "command line" [
        Parsing.tests
        Output.tests
        RecordText.tests
        testSequenced (
            testList "against brokers" [
                Clients.tests
                Topics.tests
                Groups.tests
                Configs.tests
                Failures.tests
                Cats.tests
                Measuring.tests
                Dumping.tests
            ]
        )
    ]
