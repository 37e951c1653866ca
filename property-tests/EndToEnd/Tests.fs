/// Everything that runs the real program.
module Tansu.PropertyTests.EndToEnd.Tests

open Expecto

/// One after another: each has processes of its own, and the machine may be small.
let tests =
    testSequenced (
        testList "end to end" [
            Process.tests
            Memory.tests
            Hostile.tests
            Stopping.tests
            Suspending.tests
            Clients.tests
            Administration.tests
            Crashes.tests
            ManyBrokers.tests
            Backup.tests
            Operating.tests
            GroupHelloWorld.tests
            GroupFeatures.tests
            GroupMixing.tests
            Transactions.tests
            TransactionReaders.tests
            Pipeline.tests
            Compacting.tests
            Soak.tests
        ]
    )
