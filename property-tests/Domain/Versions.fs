/// Histories of an immutable value whose older versions must stay what they were.
module Tansu.PropertyTests.Domain.Versions

open System

/// A value and what became of it by so many changes. Mostly the newest is changed, as when a log is folded; sometimes one before it, as after a
/// conflict.
let grown (random: Random) (count: int) (change: Random -> 'version -> 'version) (first: 'version) =
    let versions = ResizeArray [ first ]

    for _ in 1..count do
        let from =
            if random.Next 4 = 0 then
                random.Next versions.Count
            else
                versions.Count - 1

        versions.Add(change random versions[from])

    versions
