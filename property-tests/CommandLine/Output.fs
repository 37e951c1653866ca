/// Tables and the words of errors.
module Tansu.PropertyTests.CommandLine.Output

open System
open System.IO
open Expecto
open Tansu.Codec
open Tansu.Host.Client
open Tansu.Host.Commands
open Tansu.PropertyTests
open Tansu.PropertyTests.CommandLine.Running

let private tables =
    testList "tables" [
        testCase "columns are as wide as they need to be, numbers stand to the right, nothing is a dash"
        <| fun () ->
            let table = TextTable("NAME", "COUNT", "NOTE")
            table.Add("a", "1", null)
            table.Add("longer", "-20", "x y")
            Expect.equal (string table) "NAME    COUNT  NOTE\na           1  -\nlonger    -20  x y\n" "table"

        testCase "a cell cannot break the table or the terminal"
        <| fun () ->
            let table = TextTable [| "A" |]
            table.Add [| "x\n\u001b[31my\t" |]
            Expect.equal (string table) "A\nx??[31my?\n" "table"

        Check.property "any cells make one line for each row" (fun (rows: string list) ->
            let table = TextTable("A", "B")

            for cell in rows do
                table.Add(cell, "b")

            (string table).Split('\n').Length = rows.Length + 2)
    ]

let private documents =
    testList "documents" [
        testCase "JSON holds any text"
        <| fun () ->
            use output = new StringWriter()
            use error = new StringWriter()
            let answer = CommandOutput(output, error, true)
            answer.Line "for people"
            answer.Document(fun writer -> writer.WriteString("text", "ä\"\n\u0000<&>"))
            Expect.equal (json (string output) |> text "text") "ä\"\n\u0000<&>" "text"
            Expect.stringContains (string output) "ä\\\"" "as it is"

        testCase "a failure is one line"
        <| fun () ->
            use output = new StringWriter()
            use error = new StringWriter()
            let answer = CommandOutput(output, error, false)
            Expect.isFalse answer.HasFailed "nothing yet"
            answer.Fail "one\r\ntwo"
            Expect.isTrue answer.HasFailed "failed"
            Expect.equal (string error) $"tansu: one two{Environment.NewLine}" "line"
            Expect.equal (string output) "" "nothing to standard output"
    ]

let private errors =
    testCase "every error code has a name of Kafka's form and words"
    <| fun () ->
        for code in Enum.GetValues<ErrorCode>() do
            if code <> ErrorCode.None then
                let error = KafkaError.Of(code, null)
                Expect.isMatch (code.KafkaName()) "^[A-Z]+(_[A-Z]+)*$" "name"
                Expect.isNotEmpty error.Message "words"

        let said = KafkaError.Of(ErrorCode.InvalidConfig, "No such thing.")
        Expect.equal (string said) "No such thing (INVALID_CONFIG)" "what the broker said"
        Expect.isNull (KafkaError.Of(ErrorCode.None, "x")) "none"

let tests = testList "output" [ tables; documents; errors ]
