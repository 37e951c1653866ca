module Tansu.PropertyTests.Main

[<EntryPoint>]
let main _ = 0
