namespace Tansu.Host.CommandLine

open System
open System.Globalization
open System.Text
open Tansu.Host.CommandLine.ClientReading

/// Turns what was typed after `tansu cat`, `tansu perf` and `tansu dump` into a task.
module internal RecordReading =
    let private mostBatchBytes = 64 * 1024 * 1024

    let private text flag said : string | null = one flag said |> Option.toObj

    let private oneOf flag (allowed: string list) fallback said =
        match one flag said with
        | None -> fallback
        | Some value when List.contains value allowed -> value
        | Some value ->
            let words = String.concat ", " allowed
            refuse $"{flag}: '{value}' is not allowed: expected one of {words}"

    let private number64 flag lowest fallback said =
        let read (text: string) =
            match Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
            | true, value when value >= lowest -> Ok value
            | _ -> Error $"a whole number from {lowest}"

        one flag said |> Option.map (valued flag read) |> Option.defaultValue fallback

    let private positive flag fallback said =
        let read (text: string) =
            match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
            | true, value when value > 0.0 && Double.IsFinite value -> Ok value
            | _ -> Error "a number above 0"

        one flag said |> Option.map (valued flag read) |> Option.defaultValue fallback

    /// \n, \r, \t, \0, \\ and \xNN; anything else stays.
    let unescape (text: string) =
        let result = StringBuilder()
        let mutable position = 0

        while position < text.Length do
            let next =
                if position + 1 < text.Length then
                    text[position + 1]
                else
                    ' '

            let hex =
                if text[position] = '\\' && next = 'x' && position + 3 < text.Length then
                    match
                        Byte.TryParse(
                            text.Substring(position + 2, 2),
                            NumberStyles.AllowHexSpecifier,
                            CultureInfo.InvariantCulture
                        )
                    with
                    | true, value when value < 128uy -> Some(char value)
                    | _ -> None
                else
                    None

            match text[position], next, hex with
            | '\\', _, Some value ->
                result.Append value |> ignore
                position <- position + 4
            | '\\', ('n' | 'r' | 't' | '0' | '\\' as letter), _ ->
                let value =
                    match letter with
                    | 'n' -> '\n'
                    | 'r' -> '\r'
                    | 't' -> '\t'
                    | '0' -> '\000'
                    | other -> other

                result.Append value |> ignore
                position <- position + 2
            | other, _, _ ->
                result.Append other |> ignore
                position <- position + 1

        result.ToString()

    let private acks said =
        match oneOf "--acks" [ "0"; "1"; "all"; "-1" ] "all" said with
        | "0" -> 0
        | "1" -> 1
        | _ -> -1

    let private compression =
        oneOf "--compression" [ "none"; "gzip"; "snappy"; "lz4"; "zstd" ] "none"

    let private batchBytes fallback =
        number "--batch-bytes" 1 mostBatchBytes fallback

    let private isReadCommitted fallback said =
        oneOf "--isolation" [ "read_committed"; "read_uncommitted" ] fallback said = "read_committed"

    let private header (text: string) : RecordHeaderText =
        match text.IndexOf '=' with
        | equals when equals > 0 -> { Name = text.Substring(0, equals); Value = text.Substring(equals + 1) }
        | _ -> refuse $"--header: '{text}' is not allowed: expected name=value"

    let private produce said : ProduceTask =
        let isJson = has "--json" said || one "--format" said = Some "json"

        match one "--format" said with
        | None
        | Some "json"
        | Some "text" -> ()
        | Some other -> refuse $"--format: '{other}' is not allowed: expected text or json"

        if
            isJson
            && (has "--key-separator" said || has "--key" said || has "--null-value" said)
        then
            refuse "--key, --key-separator and --null-value are for lines of text"

        if has "--key-separator" said && has "--key" said then
            refuse "either --key or --key-separator may be given"

        if one "--key-separator" said = Some "" then
            refuse "--key-separator may not be empty"

        let acks = acks said

        if acks >= 0 && has "--transactional-id" said then
            refuse "--transactional-id needs --acks all"

        {
            Topic = theOnly "topic" said
            Partition = number "--partition" 0 Int32.MaxValue -1 said
            Key = text "--key" said
            KeySeparator = one "--key-separator" said |> Option.map unescape |> Option.toObj
            Headers = all "--header" said |> List.map header |> Array.ofList
            NullValue = text "--null-value" said
            IsJson = isJson
            Compression = compression said
            Acks = acks
            BatchBytes = batchBytes 131072 said
            LingerMs = number "--linger-ms" 0 600000 5 said
            TransactionalId = text "--transactional-id" said
        }

    let private start (text: string) : Result<StartPosition, string> =
        match text, wholeNumber64 text with
        | "beginning", _ -> Ok FromBeginning
        | "end", _ -> Ok FromEnd
        | _, Ok offset when offset >= 0L -> Ok(FromOffset offset)
        | _, Ok last when last > Int64.MinValue -> Ok(FromLast -last)
        | _ ->
            let milliseconds =
                if text.StartsWith '@' then
                    wholeNumber64 (text.Substring 1)
                else
                    time text

            match milliseconds with
            | Ok value when value >= 0L -> Ok(FromTime value)
            | _ ->
                Error
                    "beginning, end, an offset, -N for the last N, a time such as 2026-01-31T12:00:00Z, or @milliseconds"

    let private consume said : ConsumeTask =
        let format = one "--format" said
        let group = one "--group" said

        if has "--follow" said && has "--until" said then
            refuse "either --follow or --until may be given"

        oneOf "--until" [ "end" ] "end" said |> ignore

        if group.IsSome && has "--partition" said then
            refuse "a group shares out the partitions: leave --partition or --group out"

        if has "--json" said && format.IsSome && format <> Some "json" then
            refuse "either --json or another --format may be given"

        let isJson = has "--json" said || format = Some "json"

        {
            Topic = theOnly "topic" said
            Partitions =
                all "--partition" said
                |> List.collect (fun text -> List.ofArray (text.Split ','))
                |> List.map (fun text -> valued "--partition" (Value.wholeNumber 0 Int32.MaxValue) (text.Trim()))
                |> List.distinct
                |> Array.ofList
            From =
                one "--from" said
                |> Option.map (valued "--from" start)
                |> Option.defaultValue FromBeginning
            Follows = has "--follow" said
            Count = number64 "--count" 0L -1L said
            IsReadCommitted = isReadCommitted "read_committed" said
            Group = Option.toObj group
            Format =
                if isJson then
                    null
                else
                    format |> Option.map unescape |> Option.toObj
            IsJson = isJson
            NullValue = one "--null-value" said |> Option.defaultValue ""
        }

    let private perf kind said : PerfTask =
        let recordSize = number "--record-size" 1 mostBatchBytes 100 said

        if has "--throughput" said && has "--target-mb" said then
            refuse "either --throughput or --target-mb may be given"

        let acks = acks said
        let transactionRecords = number64 "--transaction-records" 1L 0L said

        if acks >= 0 && transactionRecords > 0L then
            refuse "--transaction-records needs --acks all"

        let inFlight = number "--in-flight" 1 1000 5 said

        if acks < 0 && inFlight > 5 then
            refuse "--in-flight: with --acks all at most 5 batches are under way at once"

        let fallbackRecords =
            match kind with
            | PerfLatency -> 1000L
            | PerfProduce when not (has "--duration" said) -> 1000000L
            | _ -> -1L

        {
            Kind = kind
            Topic = theOnly "topic" said
            Creates = has "--create" said
            Partitions = number "--partitions" 1 Int32.MaxValue -1 said
            Records = number64 "--records" 1L fallbackRecords said
            DurationMs =
                if has "--duration" said then
                    int64 (Math.Min(positive "--duration" 1.0 said, 1e9) * 1000.0)
                else
                    -1L
            RecordSize = recordSize
            Clients =
                match kind with
                | PerfProduce -> number "--producers" 1 1000 1 said
                | _ -> number "--consumers" 1 1000 1 said
            RecordsPerSecond =
                if has "--target-mb" said then
                    positive "--target-mb" 1.0 said * 1e6 / float recordSize
                elif has "--throughput" said then
                    positive "--throughput" 1.0 said
                else
                    0.0
            Compression = compression said
            Acks = acks
            BatchBytes = batchBytes 131072 said
            LingerMs = number "--linger-ms" 0 600000 5 said
            InFlight = inFlight
            TransactionRecords = transactionRecords
            IsReadCommitted = isReadCommitted "read_uncommitted" said
        }

    /// The task of a command of this file.
    let task (command: string) (said: Said) : ClientTask =
        match command with
        | "cat produce" -> ProduceRecords(produce said)
        | "cat consume" -> ConsumeRecords(consume said)
        | "perf produce" -> Measure(perf PerfProduce said)
        | "perf consume" -> Measure(perf PerfConsume said)
        | "perf latency" -> Measure(perf PerfLatency said)
        | _ -> refuse $"there is no command '{command}'"

    /// What `tansu dump` is asked for, or one line that says what is wrong.
    let dump (said: Said) : Result<DumpTask, string> =
        readBy
            (fun said ->
                if not (List.isEmpty (all "" said)) then
                    refuse "a log is named with --log"

                {
                    Log = one "--log" said |> Option.defaultValue "catalog"
                    From = number64 "--from" 1L 0L said
                    Count = number64 "--count" 0L -1L said
                    Snapshots = has "--snapshots" said
                    Json = has "--json" said
                })
            said
