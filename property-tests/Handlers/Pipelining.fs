/// Requests of one connection do not wait for one another's store write.
module Tansu.PropertyTests.Handlers.Pipelining

open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Replica.ScriptedLog

let tests =
    testList "pipelining" [
        testCaseTask "five produce requests in flight on one connection share a commit, in their order" (fun () ->
            task {
                let! store, log = scriptedStore "shard-0"
                let! desk = Desk.Open(store = store)
                let! _ = desk.Create("a", 1, [])
                let before = log.Appends
                let gate = TaskCompletionSource()
                log.Script [ After gate.Task ]
                let first = desk.Produce("a", [ 0, batch 1 ])

                Expect.isTrue
                    (SpinWait.SpinUntil((fun () -> log.Appends = before + 1), patience))
                    "the first is being stored"

                let others = [ for _ in 1..5 -> desk.Produce("a", [ 0, batch 1 ]) ]
                gate.SetResult()
                let! answers = Task.WhenAll(first :: others).WaitAsync patience
                let offsets = [ for answer in answers -> (List.exactlyOne answer).BaseOffset ]
                Expect.equal offsets [ 0L .. 5L ] "in their order"
                Expect.equal (log.Appends - before) 2 "two commits for six requests"
            })
    ]
