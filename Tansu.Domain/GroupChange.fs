namespace Tansu.Domain

/// A group as a decision changes it, and the events so far, newest first. Marks of entries do not matter to the judgement.
[<Struct; NoComparison; NoEquality>]
type internal GroupChange = { Group: Group; Events: GroupEvent list }

/// How decisions about groups are put together.
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal GroupChange =
    /// Nothing has been decided yet.
    let unchanged (group: Group) = { Group = group; Events = [] }

    /// One more event.
    let add event (change: GroupChange) = {
        Group = Group.evolve change.Group event { EntryNumber = 0L; TimeMs = 0L }
        Events = event :: change.Events
    }

    /// The events, and a reply.
    let decided reply (change: GroupChange) : Decision<GroupEvent, GroupReply> = {
        Events = change.Events |> List.rev |> List.toArray
        Reply = reply
    }

    /// No events, and a reply.
    let refused reply : Decision<GroupEvent, GroupReply> = { Events = [||]; Reply = reply }
