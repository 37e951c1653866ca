/// To be written.
module Tansu.PropertyTests.EndToEnd.Suspending

open Expecto

let tests = testList "Suspending" []
