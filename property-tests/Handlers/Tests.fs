/// Every API, in process.
module Tansu.PropertyTests.Handlers.Tests

open Expecto

let tests =
    testList "handlers" [
        Everything.tests
        Producing.tests
        Fetching.tests
        Looking.tests
        Administering.tests
        AdminAnswers.tests
        ClusterConfigs.tests
        Pipelining.tests
        SeveralNodes.tests
        Measuring.tests
        Loading.tests
        Forgetting.tests
        GroupMembers.tests
        GroupOffsets.tests
        GroupLooking.tests
        GroupsEverywhere.tests
        GroupTimes.tests
        GroupMarks.tests
        Transacting.tests
        TransactionFencing.tests
        TransactionLooking.tests
        TransactionStress.tests
    ]
