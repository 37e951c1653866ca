/// All tests of the host.
module Tansu.PropertyTests.Host.Tests

open Expecto

let tests =
    testList "host" [
        OptionTests.tests
        StartHeapTests.tests
        ReceiverTests.all
        ConnectionTests.tests
        LimitTests.tests
        AbuseTests.tests
        ApiVersionsTests.tests
        MetricsTests.tests
    ]
