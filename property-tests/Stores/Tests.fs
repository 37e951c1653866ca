/// All tests of stores.
module Tansu.PropertyTests.Stores.Tests

open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Stores

let private severalBrokers =
    testTask "memory: stores on one space are brokers on one store" {
        let space = MemorySpace()
        use first = new MemoryStore(space, StoreOptions.Default)
        use second = new MemoryStore(space, StoreOptions.Default)
        let! log = first.OpenLogAsync("shard-0", Helpers.none)
        let! same = second.OpenLogAsync("shard-0", Helpers.none)
        do! Helpers.appendNext log 1L
        let! outcome = Helpers.tryAppend same 1L [| 1uy |] [||]
        Expect.equal outcome AppendOutcome.Conflict "the second broker's"
        do! Helpers.expectEntries same 1L 1L
    }

let tests =
    testList "stores" [
        Contract.contract ("memory", fun () -> Task.FromResult<IStore>(new MemoryStore()))
        Contract.contract ("file", Helpers.temporaryFileStore)
        Contract.contract ("postgres", Postgres.make)
        Contract.contract ("s3", S3Server.fresh)
        severalBrokers
        testList "file" [ FileRecovery.tests; FileFaults.tests; FileSpares.tests; FileModel.tests ]
        Postgres.tests
        testList "s3" [
            S3Opening.tests
            S3Signing.tests
            S3Logs.tests
            S3Ranges.tests
            S3Faults.tests
            S3Trims.tests
        ]
    ]
