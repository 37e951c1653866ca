namespace Tansu.Domain

open System

/// What `decide` may know besides the state: nothing else reaches it, so the same inputs give the same answer anywhere.
[<Struct>]
type DecideContext = {
    /// The deciding broker's clock, in milliseconds since 1970, never below the time of the newest entry.
    NowMs: int64
    /// The data object that holds the command's record batches; null when they ride inline in the entry.
    DataObject: string | null
    /// Where each of the command's record batches begins in the entry's payload or in the data object, in bytes.
    PayloadPositions: ReadOnlyMemory<int>
}

/// Where an event stands in its log.
[<Struct>]
type EntryContext = {
    /// The number of the entry that holds the event, from 1.
    EntryNumber: int64
    /// The entry's time as its writer saw it, in milliseconds since 1970.
    TimeMs: int64
}

/// What a command comes to: the events to store, and the reply that is released once they are stored.
/// A refusal is a reply, and may carry events.
type Decision<'Event, 'Reply> = {
    /// To be stored together, in this order; empty when the command changes nothing.
    Events: 'Event[]
    /// Parked until the events are in the store.
    Reply: 'Reply
}

/// A log's rules. Both functions are total: `Decide` refuses by its reply, `Evolve` only applies what was decided.
type IDecider<'State, 'Command, 'Event, 'Reply> =
    /// The state before entry 1.
    abstract Initial: 'State

    /// Judges a command against a state.
    abstract Decide: state: 'State * command: 'Command * context: DecideContext -> Decision<'Event, 'Reply>

    /// Applies one stored event.
    abstract Evolve: state: 'State * event: 'Event * context: EntryContext -> 'State

    /// The oldest entry whose inline payload the state refers to; `Int64.MaxValue` when it refers to none. Entries below it
    /// may be trimmed once a snapshot holds their events.
    abstract OldestEntry: state: 'State -> int64

    /// Data objects named before this time (milliseconds since 1970) may be gone unless the state refers to them, so that a new entry
    /// must not refer to one: their batches are uploaded again under a new name.
    abstract ObjectsSinceMs: state: 'State -> int64
