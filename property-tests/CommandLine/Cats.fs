/// `tansu cat` against a broker, with kcat at the other side.
module Tansu.PropertyTests.CommandLine.Cats

open System
open System.Collections.Concurrent
open System.IO
open System.Text
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Host.CommandLine
open Tansu.Host.Commands.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.CommandLine.Running

/// Takes what is written, a line at a time, for others to look at.
type private Lines() =
    inherit MemoryStream()
    let lines = ConcurrentQueue<string>()
    let rest = StringBuilder()
    let changed = new SemaphoreSlim(0)

    member _.Seen = List.ofSeq lines

    /// Waits until there are so many.
    member this.UntilAsync(count: int) =
        task {
            while lines.Count < count do
                let! isChanged = changed.WaitAsync patience
                Expect.isTrue isChanged $"{lines.Count} lines of {count}"
        }

    override _.WriteAsync(bytes: ReadOnlyMemory<byte>, _: CancellationToken) =
        rest.Append(Encoding.UTF8.GetString bytes.Span) |> ignore
        let parts = (string rest).Split '\n'
        parts[.. parts.Length - 2] |> Array.iter lines.Enqueue
        rest.Clear().Append(parts[parts.Length - 1]) |> ignore
        changed.Release() |> ignore
        ValueTask.CompletedTask

/// Runs `tansu cat` with streams of the test's, until it ends or is told to stop.
let private catWith (stop: CancellationToken) (input: Stream) (output: Stream) bootstrap arguments =
    task {
        match parseIn [ "BOOTSTRAP_SERVER", bootstrap ] ("cat" :: arguments) with
        | UseCluster(settings, asked) ->
            use error = new StringWriter()

            let! exitCode =
                CatCommand.RunAsync(settings, asked, "1.2.3", input, output, error, stop)

            return exitCode, string error
        | Refuse(line, _) -> return failtest line
        | _ -> return failtest "not cat"
    }

/// Runs `tansu cat` with a text as its input.
let private cat bootstrap (input: string) arguments =
    task {
        use input = new MemoryStream(Encoding.UTF8.GetBytes input)
        use output = new MemoryStream()

        let! exitCode, error =
            catWith CancellationToken.None input output bootstrap arguments

        return { ExitCode = exitCode; Output = Encoding.UTF8.GetString(output.ToArray()); Error = error }
    }

/// Writes lines, all of which have to be written.
let private produce bootstrap topic (lines: string seq) arguments =
    task {
        let lines = Array.ofSeq lines
        let text = lines |> Array.map (fun line -> line + "\n") |> String.concat ""
        let! ran = cat bootstrap text ("produce" :: topic :: arguments)

        let records =
            if lines.Length = 1 then
                "1 record"
            else
                $"{lines.Length} records"

        Expect.equal ran.ExitCode 0 ran.Error
        Expect.stringStarts ran.Error $"{records} written" "the count"
    }

/// Reads lines, with nothing said to standard error.
let private consume bootstrap topic arguments =
    task {
        let! ran = cat bootstrap "" ("consume" :: topic :: arguments)
        Expect.equal (ran.ExitCode, ran.Error) (0, "") "consume"
        return ran.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray
    }

let private kcat (broker: RealBroker) topic arguments input =
    shell "kcat" ([ "-b"; broker.Bootstrap; "-t"; topic; "-q" ] @ arguments) input

let private create (broker: RealBroker) topic arguments =
    task {
        let! _ = succeed broker.Bootstrap ([ "topic"; "create"; topic ] @ arguments)
        return ()
    }

let private withBroker name (check: RealBroker -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            do! check broker
        })

let private toKcat (broker: RealBroker) =
    task {
        do! create broker "t" [ "--partitions"; "3" ]
        let lines = [ "a:1"; "b:2"; "c:NIL"; "plain"; "a:3" ]

        do!
            produce broker.Bootstrap "t" lines [
                "--key-separator"
                ":"
                "--header"
                "source=web"
                "--null-value"
                "NIL"
                "--compression"
                "zstd"
            ]

        let! read = kcat broker "t" [ "-C"; "-e"; "-f"; "%k|%s|%S|%h\n" ] ""

        Expect.equal
            (read.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.sort)
            [|
                "a|1|1|source=web"
                "a|3|1|source=web"
                "b|2|1|source=web"
                "c||-1|source=web"
                "|plain|5|source=web"
            |]
            "what kcat sees"
        // The same key goes to the same partition, the one that other Kafka clients choose.
        let! placed = kcat broker "t" [ "-C"; "-e"; "-f"; "%k %p\n" ] ""
        let ofA = placed.Split '\n' |> Array.filter _.StartsWith("a ")
        Expect.equal ofA [| "a 1"; "a 1" |] "murmur2 of a, modulo 3"
    }

let private fromKcat (broker: RealBroker) =
    task {
        let! _ =
            kcat broker "t" [ "-P"; "-K:"; "-Z"; "-H"; "h=1"; "-z"; "gzip" ] "k1:v1\nk2:\n"

        let! read = consume broker.Bootstrap "t" [ "--format"; @"%t/%p/%o %k=%v %S %h\n" ]
        Expect.equal read [ "t/0/0 k1=v1 2 h=1"; "t/0/1 k2= -1 h=1" ] "text"
        let! read = consume broker.Bootstrap "t" [ "--json" ]
        let first = json read[0]
        Expect.equal (text "key" first, text "value" first, text "headers.0.value" first) ("k1", "v1", "1") "JSON"
        Expect.equal (number "offset" first) 0L "offset"

        let! ran =
            cat broker.Bootstrap (String.concat "\n" read) [ "produce"; "copy"; "--json" ]

        Expect.equal (ran.ExitCode, ran.Error.Trim()) (0, "2 records written") "copied"
        let! again = consume broker.Bootstrap "copy" [ "--format"; "json" ]
        let said (line: string) = line.Replace("\"copy\"", "\"t\"")
        Expect.equal (List.map said again) read "as it was, timestamps too"
    }

let private positions (broker: RealBroker) =
    task {
        let consume = consume broker.Bootstrap "t"

        let timed = [
            for number in 0..9 -> $"{{\"value\":\"{number}\",\"timestamp\":{1000 + number * 10}}}"
        ]

        do! produce broker.Bootstrap "t" timed [ "--json"; "--batch-bytes"; "1" ]
        let numbers from until = [ for number in from..until -> string number ]

        for from, expected in
            [
                "beginning", numbers 0 9
                "end", []
                "7", numbers 7 9
                "-3", numbers 7 9
                "-100", numbers 0 9
                "100", []
                "@1035", numbers 4 9
                "1970-01-01T00:00:01.090Z", numbers 9 9
            ] do
            let! read = consume [ "--from"; from ]
            Expect.equal read expected from

        let! read = consume [ "--count"; "4"; "--partition"; "0" ]
        Expect.equal read (numbers 0 3) "count"
        // In the middle of a batch.
        do! produce broker.Bootstrap "b" (numbers 0 9) []
        let! read = cat broker.Bootstrap "" [ "consume"; "b"; "--from"; "6"; "--count"; "2" ]
        Expect.equal read.Output "6\n7\n" "within a batch"
    }

let private following (broker: RealBroker) =
    task {
        do! create broker "t" []
        use output = new Lines()
        use stop = new CancellationTokenSource()

        let running =
            catWith stop.Token Stream.Null output broker.Bootstrap [ "consume"; "t"; "--follow" ]

        do! produce broker.Bootstrap "t" [ "a"; "b" ] []
        do! output.UntilAsync 2
        do! produce broker.Bootstrap "t" [ "c" ] []
        do! output.UntilAsync 3
        do! stop.CancelAsync()
        let! ended = running.WaitAsync patience
        Expect.equal (ended, output.Seen) ((0, ""), [ "a"; "b"; "c" ]) "all, and a quiet end"
    }

let private transactions (broker: RealBroker) =
    task {
        do! produce broker.Bootstrap "t" [ "{\"value\":1}"; "{\"value\":2}" ] [ "--json"; "--transactional-id"; "x" ]

        let! ran =
            cat broker.Bootstrap "{\"value\":3}\nnonsense\n" [ "produce"; "t"; "--json"; "--transactional-id"; "x" ]

        Expect.equal ran.ExitCode 1 "a line is wrong"
        Expect.stringContains ran.Error "line 2" "which"
        Expect.stringContains ran.Error "aborted" "what came of it"
        do! produce broker.Bootstrap "t" [ "4" ] []
        let! committed = consume broker.Bootstrap "t" []
        Expect.equal committed [ "1"; "2"; "4" ] "what counts"
        let! all = consume broker.Bootstrap "t" [ "--isolation"; "read_uncommitted" ]
        Expect.equal all [ "1"; "2"; "3"; "4" ] "what is there"
        let! seen = kcat broker "t" [ "-C"; "-e" ] ""
        Expect.equal seen "1\n2\n4\n" "for kcat too"
    }

let private resuming (broker: RealBroker) =
    task {
        let consume = consume broker.Bootstrap "t"
        do! produce broker.Bootstrap "t" [ "1"; "2"; "3"; "4"; "5" ] []
        let! read = consume [ "--group"; "g"; "--count"; "2" ]
        Expect.equal read [ "1"; "2" ] "the first"
        let! read = consume [ "--group"; "g"; "--from"; "end" ]
        Expect.equal read [ "3"; "4"; "5" ] "from where it was, in the middle of a batch"
        let! read = consume [ "--group"; "g" ]
        Expect.equal read [] "nothing comes twice"
        let! read = consume [ "--group"; "h"; "--from"; "-1" ]
        Expect.equal read [ "5" ] "another group"
        let! document = succeedJson broker.Bootstrap [ "group"; "describe"; "g" ]
        Expect.equal (text "groups.0.state" document) "Empty" "it has left"
    }

let private sharing (broker: RealBroker) =
    task {
        do! create broker "t" [ "--partitions"; "4" ]
        use first = new Lines()
        use second = new Lines()
        use stop = new CancellationTokenSource()
        let arguments = [ "consume"; "t"; "--group"; "g"; "--follow" ]
        let runFirst = catWith stop.Token Stream.Null first broker.Bootstrap arguments

        let write name partition =
            produce broker.Bootstrap "t" [ name ] [ "--partition"; string partition ]

        for partition in 0..3 do
            do! write $"before {partition}" partition

        do! first.UntilAsync 4
        let runSecond = catWith stop.Token Stream.Null second broker.Bootstrap arguments

        // Until the second one has got something: then both have partitions.
        let mutable round = 0

        while second.Seen.IsEmpty do
            Expect.isLessThan round 600 "the second member reads"

            for partition in 0..3 do
                do! write $"{round} {partition}" partition

            round <- round + 1

        let all = 4 + 4 * round
        let clock = Diagnostics.Stopwatch.StartNew()

        while first.Seen.Length + second.Seen.Length < all && clock.Elapsed < patience do
            do! Task.Yield()

        do! stop.CancelAsync()
        let! ended = Task.WhenAll [ runFirst; runSecond ]
        Expect.equal ended [| 0, ""; 0, "" |] "quiet ends"

        let expected = [
            for partition in 0..3 do
                $"before {partition}"

                for round in 0 .. round - 1 do
                    $"{round} {partition}"
        ]

        Expect.equal (List.sort (first.Seen @ second.Seen)) (List.sort expected) "each record once"
    }

/// A broker at a port that stays the same when it is started again.
let private startAt (scratch: Scratch) (port: int) =
    RealBroker.Start(
        scratch.Path,
        [
            "--listener-url"
            $"tcp://127.0.0.1:{port}"
            "--advertised-listener-url"
            $"tcp://127.0.0.1:{port}"
            "--storage-engine"
            scratch.Store
        ]
    )

/// Numbered lines, some at a time; tells how many were taken.
type private Numbers(count: int, onTaken: int -> Task) =
    inherit MemoryStream()
    let mutable next = 0

    override _.ReadAsync(buffer: Memory<byte>, _: CancellationToken) =
        ValueTask<int>(
            task {
                if next = count then
                    return 0
                else
                    let last = min count (next + 100)
                    let text = [ for number in next .. last - 1 -> $"{number}\n" ] |> String.concat ""
                    next <- last
                    do! onTaken next
                    Encoding.ASCII.GetBytes(text).CopyTo buffer
                    return text.Length
            }
        )

let private interrupted =
    testCaseTask "a broker that is killed again and again loses, repeats and moves nothing" (fun () ->
        task {
            use scratch = new Scratch()
            let port = Machine.freePort ()
            let mutable broker = startAt scratch port
            let count = 20_000

            let onTaken taken : Task =
                task {
                    if taken % 4000 = 0 then
                        broker.Kill()
                        broker <- startAt scratch port
                }

            use input = new Numbers(count, onTaken)

            let! ended =
                catWith CancellationToken.None input Stream.Null $"127.0.0.1:{port}" [
                    "produce"
                    "t"
                    "--batch-bytes"
                    "500"
                ]

            Expect.equal ended (0, $"{count} records written\n") "all are written"
            let! read = consume $"127.0.0.1:{port}" "t" []
            Expect.equal read [ for number in 0 .. count - 1 -> string number ] "each once, in order"
            (broker :> IDisposable).Dispose()
        })

let private failing (broker: RealBroker) =
    task {
        let! error = cat broker.Bootstrap "" [ "consume"; "none" ]
        Expect.equal error.ExitCode 1 "no topic"
        Expect.stringContains error.Error "topic none: " "which"
        do! create broker "small" [ "--config"; "max.message.bytes=1000" ]

        let! ran =
            cat broker.Bootstrap ("a\n" + String('x', 5000) + "\n") [ "produce"; "small" ]

        Expect.equal ran.ExitCode 1 "too large"
        Expect.stringContains ran.Error "MESSAGE_TOO_LARGE" "why"
        let! ran = cat broker.Bootstrap "a\n" [ "produce"; "small"; "--partition"; "1" ]
        Expect.equal ran.ExitCode 1 "no such partition"
        let! ran = cat broker.Bootstrap "" [ "consume"; "small"; "--partition"; "1" ]
        Expect.equal ran.ExitCode 1 "no such partition"
        let! ran = cat $"127.0.0.1:{Machine.freePort ()}" "a\n" [ "produce"; "small" ]
        Expect.equal ran.ExitCode 1 "nobody there"

        for acks in [ "0"; "1" ] do
            do! produce broker.Bootstrap $"acks{acks}" [ "a"; "b" ] [ "--acks"; acks; "--compression"; "lz4" ]

            let! read =
                cat broker.Bootstrap "" [ "consume"; $"acks{acks}"; "--follow"; "--count"; "2" ]

            Expect.equal read.Output "a\nb\n" acks
    }

/// The program in a shell, where what a terminal sees counts.
let private inShell (broker: RealBroker) =
    task {
        let shell script =
            shell "bash" [ "-c"; script; "bash"; String.concat " " tansu; broker.Bootstrap ] ""

        let consume = "$1 cat consume t --bootstrap-server $2"
        let! _ = shell "seq 1 200000 | $1 cat produce t --bootstrap-server $2 2>&1"
        let! closed = shell $"{consume} | head -n 1; echo ${{PIPESTATUS[0]}}"
        Expect.equal closed "1\n0\n" "whoever reads has gone away"

        // Whoever runs the tests in the background has them ignore SIGINT, which would be inherited.
        let! stopped =
            shell
                $"coproc env --default-signal=INT {consume} --from -1 --follow; read -r line <&${{COPROC[0]}}; kill -INT $COPROC_PID; wait $COPROC_PID; echo $line $?"

        Expect.equal stopped "200000 0\n" "SIGINT"

        let! appended =
            shell $"out=$(mktemp); ({consume} --count 1; echo next) > $out; cat $out; rm $out"

        Expect.equal appended "1\nnext\n" "a file that others write to as well"
    }

let tests =
    testList "cat" [
        withBroker "what is produced kcat reads: keys, headers, tombstones, partitions" toKcat
        withBroker "what kcat produces is read, and copied as JSON" fromKcat
        withBroker "reading begins where it is told to" positions
        withBroker "following goes on until it is told to stop" following
        withBroker "a transaction counts if all of it was written" transactions
        withBroker "a group goes on where it was" resuming
        withBroker "two members of a group share out the partitions" sharing
        interrupted
        withBroker "what cannot be done is said, and ends with 1" failing
        withBroker "in a shell: closed pipes, SIGINT, files" inShell
    ]
