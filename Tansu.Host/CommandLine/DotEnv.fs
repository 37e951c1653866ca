namespace Tansu.Host.CommandLine

open System
open System.Text

/// A `.env` file: one `NAME=value` a line, `#` comments, an optional `export` in front, optional quotes around the value.
module DotEnv =
    /// A file larger than this is somebody's mistake.
    [<Literal>]
    let MaxCharacters = 1048576

    let private isName (text: string) =
        text <> ""
        && not (Char.IsAsciiDigit text[0])
        && text |> Seq.forall (fun c -> Char.IsAsciiLetterOrDigit c || c = '_')

    let private valueOf (text: string) =
        let isQuotedBy (quote: char) =
            text.Length >= 2 && text[0] = quote && text[text.Length - 1] = quote

        if isQuotedBy '"' || isQuotedBy '\'' then
            text.Substring(1, text.Length - 2)
        else
            match text.IndexOf(" #", StringComparison.Ordinal) with
            | -1 -> text
            | comment -> text.Substring(0, comment).TrimEnd()

    /// The variables of the file, a later line winning over an earlier one; or what is wrong with which line.
    let parse (text: string) : Result<Map<string, string>, string> =
        let line (variables: Map<string, string>) (number: int, raw: string) =
            let trimmed = raw.Trim()

            let entry =
                if trimmed.StartsWith("export ", StringComparison.Ordinal) then
                    trimmed.Substring(7).TrimStart()
                else
                    trimmed

            let equals = entry.IndexOf '='

            if entry = "" || entry[0] = '#' then
                Ok variables
            elif equals > 0 && isName (entry.Substring(0, equals).TrimEnd()) then
                let name = entry.Substring(0, equals).TrimEnd()
                Ok(variables |> Map.add name (valueOf (entry.Substring(equals + 1).Trim())))
            else
                Error $".env line {number}: expected NAME=value"

        if text.Length > MaxCharacters then
            Error $".env has {text.Length} characters; at most {MaxCharacters} are allowed"
        else
            text.Split '\n'
            |> Seq.indexed
            |> Seq.fold
                (fun state (index, raw) -> state |> Result.bind (fun variables -> line variables (index + 1, raw)))
                (Ok Map.empty)

/// `${NAME}` in values.
module Expansion =
    // A variable may refer to another; deeper than this is a circle.
    let private maxDepth = 16
    let private maxCharacters = 65536

    /// The value with every `${NAME}` replaced; or what cannot be replaced.
    let expand (lookup: string -> string option) (value: string) : Result<string, string> =
        let rec go (depth: int) (text: string) : Result<string, string> =
            let result = StringBuilder()

            let rec from (position: int) =
                match text.IndexOf("${", position, StringComparison.Ordinal) with
                | -1 -> Ok(result.Append(text, position, text.Length - position).ToString())
                | start ->
                    match text.IndexOf('}', start) with
                    | -1 -> Error "a '${' without '}'"
                    | finish ->
                        let name = text.Substring(start + 2, finish - start - 2)

                        match lookup name with
                        | None -> Error $"the variable '{name}' is not set"
                        | Some _ when depth = maxDepth -> Error $"the variable '{name}' refers to itself"
                        | Some inner ->
                            match go (depth + 1) inner with
                            | Error reason -> Error reason
                            | Ok expanded when result.Length + expanded.Length > maxCharacters ->
                                Error $"it is longer than {maxCharacters} characters when expanded"
                            | Ok expanded ->
                                result.Append(text, position, start - position).Append(expanded) |> ignore
                                from (finish + 1)

            from 0

        go 0 value
