/// Everything that runs the real program.
module Tansu.PropertyTests.EndToEnd.Tests

open Expecto
open Tansu.PropertyTests

/// One after another, and the longest in lanes: each has processes of its own, and the machine may be small.
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
            Lane.file Crashes.tests
            ManyBrokers.tests
            Backup.tests
            Operating.tests
            Lane.clients GroupHelloWorld.tests
            Lane.clients GroupFeatures.tests
            GroupMixing.tests
            Lane.clients Transactions.tests
            Lane.clients TransactionReaders.tests
            Pipeline.tests
            Lane.file Compacting.tests
            Soak.tests
        ]
    )
