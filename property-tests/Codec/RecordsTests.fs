module Tansu.PropertyTests.Codec.RecordTests

open Expecto

let tests: Test =
    testList "record batches" [ RecordsReading.tests; RecordsValidation.tests; RecordsHostile.tests ]
