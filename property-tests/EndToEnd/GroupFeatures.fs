module Tansu.PropertyTests.EndToEnd.GroupFeatures

open Expecto
let tests = testList "groups, features" []
