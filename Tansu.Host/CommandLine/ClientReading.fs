namespace Tansu.Host.CommandLine

open System
open System.Globalization
open System.Text.RegularExpressions

/// Turns what was typed after a client command into a task. Every refusal is one line that names the flag and what is allowed.
module internal ClientReading =
    /// Thrown and caught in this file only: many flags in a row read better than as many nested binds.
    exception private WrongUsage of line: string

    let refuse line = raise (WrongUsage line)

    /// What was typed: flags with their values, in order.
    type Said = (string * string) list

    let all (flag: string) (said: Said) =
        said |> List.filter (fun (name, _) -> name = flag) |> List.map snd

    let has flag said = not (List.isEmpty (all flag said))

    let one (flag: string) (said: Said) =
        match all flag said with
        | [] -> None
        | [ value ] -> Some value
        | _ -> refuse $"{flag} is given more than once"

    let valued (name: string) (parse: string -> Result<'value, string>) (text: string) =
        match parse text with
        | Ok value -> value
        | Error allowed -> refuse $"{name}: '{text}' is not allowed: expected {allowed}"

    let number flag lowest highest fallback said =
        one flag said
        |> Option.map (valued flag (Value.wholeNumber lowest highest))
        |> Option.defaultValue fallback

    /// What stands without a flag; at least one is needed.
    let private named (what: string) (said: Said) =
        match all "" said with
        | [] -> refuse $"no {what} is given"
        | names -> names |> List.distinct |> Array.ofList

    let theOnly what said =
        match named what said with
        | [| name |] -> name
        | _ -> refuse $"more than one {what} is given"

    /// One broker: `host:port`, `tcp://host:port`, an IPv6 address with or without brackets; 9092 without a port.
    let server (text: string) : Result<Endpoint, string> =
        let bare =
            if text.StartsWith("tcp://", StringComparison.Ordinal) then
                text.Substring 6
            else
                text

        let isBareAddress =
            not (bare.StartsWith '[')
            && bare.IndexOf ':' <> bare.LastIndexOf ':'
            && fst (Net.IPAddress.TryParse bare)

        let url = if isBareAddress then $"tcp://[{bare}]" else $"tcp://{bare}"

        Value.endpointOn 9092 1 url
        |> Result.mapError (fun _ -> "host:port with a port from 1 to 65535, several with commas between")

    let private settings (variable: string -> string option) (said: Said) : ClientSettings =
        let name, text =
            match one ClientCommands.BootstrapServer said, variable ClientCommands.BootstrapVariable with
            | Some text, _ -> ClientCommands.BootstrapServer, text
            | None, Some text -> ClientCommands.BootstrapVariable, text
            | None, None -> ClientCommands.BootstrapServer, ClientCommands.DefaultBootstrapServer

        let text =
            match Expansion.expand variable text with
            | Ok text -> text
            | Error reason -> refuse $"{name}: '{text}' is not allowed: {reason}"

        {
            BootstrapServers = text.Split ',' |> Array.map (fun part -> valued name server (part.Trim()))
            TimeoutMs = number "--timeout-ms" 1 Int32.MaxValue ClientCommands.DefaultTimeoutMs said
            Json = has "--json" said
        }

    let private change (flag: string) (text: string) : ConfigChange =
        match text.IndexOf '=' with
        | equals when equals > 0 -> { Name = text.Substring(0, equals); Value = text.Substring(equals + 1) }
        | _ -> refuse $"""{(if flag = "" then "a change" else flag)}: '{text}' is not allowed: expected name=value"""

    let private deletion name : ConfigChange = { Name = name; Value = null }

    let private sets said =
        all "--config" said |> List.map (change "--config")

    // 0:1,1:0 is two partitions of two copies each.
    let private assignments (text: string) =
        let broker (text: string) =
            valued "--assignment" (Value.wholeNumber 0 Int32.MaxValue) (text.Trim())

        text.Split ','
        |> Array.map (fun partition -> partition.Split ':' |> Array.map broker)

    let private createTopics said =
        let assignments =
            one "--assignment" said |> Option.map assignments |> Option.defaultValue [||]

        if
            assignments.Length > 0
            && (has "--partitions" said || has "--replication-factor" said)
        then
            refuse
                "--assignment says how many partitions and copies there are: leave --partitions and --replication-factor out"

        CreateTopics(
            named "topic" said,
            {
                Partitions = number "--partitions" 1 Int32.MaxValue -1 said
                ReplicationFactor = number "--replication-factor" 1 32767 -1 said
                Configs = Array.ofList (sets said)
                Assignments = assignments
                IfNotExists = has "--if-not-exists" said
            }
        )

    let private alterTopics said =
        let topics = named "topic" said
        let changes = sets said @ (all "--delete-config" said |> List.map deletion)
        let partitions = number "--partitions" 1 Int32.MaxValue -1 said

        if partitions < 0 && List.isEmpty changes then
            refuse "nothing to alter is given: --partitions, --config or --delete-config"

        AlterTopics(topics, partitions, Array.ofList changes)

    // orders:0,2 or orders; a name has no colon in it.
    let private scope (text: string) : TopicScope =
        match text.IndexOf ':' with
        | -1 when text <> "" -> { Topic = text; Partitions = [||] }
        | colon when colon > 0 ->
            let number (text: string) =
                valued "--topic" (Value.wholeNumber 0 Int32.MaxValue) (text.Trim())

            {
                Topic = text.Substring(0, colon)
                Partitions = text.Substring(colon + 1).Split ',' |> Array.map number |> Array.distinct
            }
        | _ -> refuse $"--topic: '{text}' is not allowed: expected a topic, or topic:partition,partition"

    let private split flag (said: Said) =
        all flag said
        |> List.collect (fun text ->
            List.ofArray (text.Split(',', StringSplitOptions.TrimEntries ||| StringSplitOptions.RemoveEmptyEntries)))
        |> Array.ofList

    let wholeNumber64 (text: string) : Result<int64, string> =
        match Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
        | true, value -> Ok value
        | _ -> Error "a whole number"

    let private offset (text: string) : Result<int64, string> =
        match wholeNumber64 text with
        | Ok value when value >= 0L -> Ok value
        | _ -> Error "a whole number from 0"

    let time (text: string) : Result<int64, string> =
        let styles = DateTimeStyles.AssumeUniversal ||| DateTimeStyles.AdjustToUniversal

        match DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, styles) with
        | true, value when Regex.IsMatch(text, @"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}.*)?\z") ->
            Ok(value.ToUnixTimeMilliseconds())
        | _ -> Error "a time such as 2026-01-31T12:00:00.000Z or 2026-01-31T12:00:00+01:00"

    let private duration (text: string) : Result<int64, string> =
        let matched =
            Regex.Match(
                text,
                @"^P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})(?:\.(\d{1,3}))?S)?)?\z",
                RegexOptions.IgnoreCase
            )

        let part (index: int) =
            if matched.Groups[index].Success then
                Int64.Parse(matched.Groups[index].Value, CultureInfo.InvariantCulture)
            else
                0L

        let isEmpty =
            Seq.forall (fun (index: int) -> not matched.Groups[index].Success) [ 1..4 ]

        if matched.Success && not isEmpty then
            let fraction =
                Int64.Parse(matched.Groups[5].Value.PadRight(3, '0'), CultureInfo.InvariantCulture)

            Ok((((part 1 * 24L + part 2) * 60L + part 3) * 60L + part 4) * 1000L + fraction)
        else
            Error "a duration such as PT30S, PT1H30M or P7D"

    let private target (said: Said) =
        let given =
            said
            |> List.choose (fun (flag, text) ->
                match flag with
                | "--to-earliest" -> Some ToEarliest
                | "--to-latest" -> Some ToLatest
                | "--to-current" -> Some ToCurrent
                | "--to-offset" -> Some(ToOffset(valued flag offset text))
                | "--to-datetime" -> Some(ToTime(valued flag time text))
                | "--shift-by" -> Some(ShiftBy(valued flag wholeNumber64 text))
                | "--by-duration" -> Some(ByDuration(valued flag duration text))
                | _ -> None)

        match given with
        | [ target ] -> target
        | _ ->
            refuse
                "exactly one of --to-earliest, --to-latest, --to-current, --to-offset, --to-datetime, --shift-by and --by-duration is needed"

    let private resetOffsets said =
        let groups = named "group" said
        let topics = all "--topic" said |> List.map scope |> Array.ofList

        if (topics.Length > 0) = has "--all-topics" said then
            refuse "either --topic or --all-topics is needed"

        if has "--execute" said && has "--dry-run" said then
            refuse "either --execute or --dry-run may be given"

        ResetOffsets(groups, topics, target said, has "--execute" said)

    let private deleteOffsets said =
        let group = theOnly "group" said

        match all "--topic" said with
        | [] -> refuse "no --topic is given"
        | topics -> DeleteOffsets(group, topics |> List.map scope |> Array.ofList)

    let private owner (said: Said) =
        match one "--topic" said, one "--broker" said, one "--group" said with
        | Some topic, None, None -> OfTopic topic
        | None, Some "default", None -> OfAllBrokers
        | None, Some id, None ->
            OfBroker(
                valued
                    "--broker"
                    (Value.wholeNumber 0 Int32.MaxValue
                     >> Result.mapError (fun allowed -> $"{allowed}, or 'default'"))
                    id
            )
        | None, None, Some group -> OfGroup group
        | _ -> refuse "exactly one of --topic, --broker and --group is needed"

    let private getConfigs said =
        GetConfigs(owner said, Array.ofList (all "" said), has "--all" said, has "--describe" said)

    let private setConfigs said =
        let owner = owner said

        let set (text: string) =
            match change "" text with
            | { Value = "" } as change -> deletion change.Name
            | change -> change

        match List.map set (all "" said) @ List.map deletion (all "--delete" said) with
        | [] -> refuse "nothing to set is given: name=value, or --delete name"
        | changes -> SetConfigs(owner, Array.ofList changes)

    /// The task of a command, by its two words.
    let private task (other: string -> Said -> ClientTask) (command: string) (said: Said) : ClientTask =
        match command with
        | "topic create" -> OnTopics(createTopics said)
        | "topic list" -> OnTopics ListTopics
        | "topic describe" -> OnTopics(DescribeTopics(Array.ofList (List.distinct (all "" said))))
        | "topic alter" -> OnTopics(alterTopics said)
        | "topic delete" -> OnTopics(DeleteTopics(named "topic" said, has "--if-exists" said))
        | "group list" -> OnGroups(ListGroups(split "--state" said, split "--type" said))
        | "group describe" -> OnGroups(DescribeGroups(Array.ofList (List.distinct (all "" said))))
        | "group reset-offsets" -> OnGroups(resetOffsets said)
        | "group delete" -> OnGroups(DeleteGroups(named "group" said))
        | "group delete-offsets" -> OnGroups(deleteOffsets said)
        | "config get" -> OnConfigs(getConfigs said)
        | "config set" -> OnConfigs(setConfigs said)
        | _ -> other command said

    /// What a reader makes of flags, or one line that says what is wrong.
    let readBy (reader: Said -> 'task) (said: Said) : Result<'task, string> =
        try
            Ok(reader said)
        with WrongUsage line ->
            Error line

    /// Settings and task, or one line that says what is wrong. The commands of another file are read by `other`.
    let read
        (other: string -> Said -> ClientTask)
        (command: string)
        (variable: string -> string option)
        (said: Said)
        : Result<ClientSettings * ClientTask, string> =
        readBy (fun said -> settings variable said, task other command said) said
