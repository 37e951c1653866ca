/// What ./publish makes: the native program.
module Tansu.PropertyTests.Shipping.Tests

open Expecto

/// One after another: each has processes of its own, and the machine may be small.
let tests =
    testSequenced (
        testList "native program" [
            Binary.tests
            CommandLines.tests
            Roots.tests
            Footprint.tests
            Launching.tests
        ]
    )
