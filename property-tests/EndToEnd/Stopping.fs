/// To be written.
module Tansu.PropertyTests.EndToEnd.Stopping

open Expecto

let tests = testList "Stopping" []
