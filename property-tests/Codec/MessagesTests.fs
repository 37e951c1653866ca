module Tansu.PropertyTests.Codec.MessageTests

open Expecto

let tests: Test =
    testList "wire format" [ MessagesRoundTrip.tests; MessagesHostile.tests; MessagesWire.tests ]
