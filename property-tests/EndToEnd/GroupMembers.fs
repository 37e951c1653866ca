/// Consumers of three families, each in a process of its own, which can leave its group or be killed.
module Tansu.PropertyTests.EndToEnd.GroupMembers

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Threading
open Confluent.Kafka
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

type Family =
    | ConfluentKafka
    | Kcat
    | Kafkajs

/// The one way of sharing out partitions that all three offer.
let private assignor = "roundrobin"

/// The shortest session that brokers take, in milliseconds.
let private sessionMs = 6000

/// Settings of a Confluent.Kafka consumer that notices quickly what happens in its group.
let consumerConfig (bootstrap: string) (group: string) =
    Clients.configure
        (ConsumerConfig(
            GroupId = group,
            AutoOffsetReset = AutoOffsetReset.Earliest,
            SessionTimeoutMs = sessionMs,
            HeartbeatIntervalMs = 500,
            AutoCommitIntervalMs = 500,
            FetchWaitMaxMs = 200,
            TopicMetadataRefreshIntervalMs = 1000
        ))
        bootstrap

/// The command that is a Confluent.Kafka consumer: prints "partition offset value" for every record; SIGTERM
/// makes it leave.
let consume (arguments: string list) =
    match arguments with
    | [ bootstrap; group; topic; name ] ->
        let config = consumerConfig bootstrap group
        config.ClientId <- name
        config.PartitionAssignmentStrategy <- PartitionAssignmentStrategy.RoundRobin
        // What is committed has been printed.
        config.EnableAutoOffsetStore <- false

        use consumer =
            ConsumerBuilder<byte array, byte array>(config)
                .SetLogHandler(fun _ log -> Console.Error.WriteLine log.Message)
                .SetErrorHandler(fun _ error -> Console.Error.WriteLine error.Reason)
                .Build()

        use stop = new CancellationTokenSource()

        use _ =
            PosixSignalRegistration.Create(
                PosixSignal.SIGTERM,
                fun context ->
                    context.Cancel <- true
                    stop.Cancel()
            )

        use output = new StreamWriter(Console.OpenStandardOutput(), AutoFlush = true)
        consumer.Subscribe topic

        while not stop.IsCancellationRequested do
            match consumer.Consume(TimeSpan.FromMilliseconds 100.0) with
            | null -> ()
            | record ->
                output.Write
                    $"{record.Partition.Value} {record.Offset.Value} {Encoding.ASCII.GetString record.Message.Value}\n"

                consumer.StoreOffset record

        consumer.Close()
        0
    | _ -> failwith "consume-in-group <brokers> <group> <topic> <client id>"

let private commandLine family bootstrap group topic name =
    match family with
    | ConfluentKafka ->
        "dotnet",
        [
            Path.Combine(AppContext.BaseDirectory, "Tansu.PropertyTests.dll")
            "consume-in-group"
            bootstrap
            group
            topic
            name
        ]
    | Kcat ->
        let settings = [
            $"client.id={name}"
            "auto.offset.reset=earliest"
            $"partition.assignment.strategy={assignor}"
            $"session.timeout.ms={sessionMs}"
            "heartbeat.interval.ms=500"
            "auto.commit.interval.ms=500"
            "fetch.wait.max.ms=200"
            "reconnect.backoff.ms=20"
            "reconnect.backoff.max.ms=200"
            "topic.metadata.refresh.interval.ms=1000"
        ]

        "kcat",
        [ "-b"; bootstrap; "-G"; group; "-u"; "-f"; @"%p %o %s\n" ]
        @ (settings |> List.collect (fun setting -> [ "-X"; setting ]))
        @ [ topic ]
    | Kafkajs ->
        "node",
        [
            Path.Combine(Machine.repository, "property-tests", "clients", "group-member.js")
            bootstrap
            group
            topic
            name
        ]

/// A consumer that has not ended so long after it was told to leave is stuck, not slow.
let private spinning = TimeSpan.FromSeconds 20.0

/// A consumer that runs; `onRecord` gets partition, offset and value.
type GroupMember
    (
        family: Family,
        name: string,
        bootstrap: string,
        group: string,
        topic: string,
        onRecord: int -> int64 -> string -> unit
    ) =
    let said = ConcurrentQueue<string>()
    let newest = ConcurrentDictionary<int, int64>()

    let running =
        let fileName, arguments = commandLine family bootstrap group topic name

        let info =
            ProcessStartInfo(fileName, RedirectStandardOutput = true, RedirectStandardError = true)

        for argument in arguments do
            info.ArgumentList.Add argument

        Process.Start info

    let onOutput (line: string) =
        let parts = line.Split ' '

        match parts with
        | [| partition; offset; value |] when Char.IsAsciiDigit line[0] ->
            newest[int partition] <- int64 offset
            onRecord (int partition) (int64 offset) value
        | _ -> said.Enqueue line

    do
        running.OutputDataReceived.Add(fun event ->
            if not (String.IsNullOrEmpty event.Data) then
                onOutput event.Data)

        running.ErrorDataReceived.Add(fun event ->
            if not (isNull event.Data) then
                said.Enqueue event.Data)

        running.BeginOutputReadLine()
        running.BeginErrorReadLine()

    member _.Family = family

    /// Its client id.
    member _.Name = name
    member _.HasEnded = running.HasExited

    /// Everything it has said but records.
    member _.Log =
        $"{name} ({running.Id}):\n  "
        + String.Join("\n  ", said |> Seq.rev |> Seq.truncate 60 |> Seq.rev)

    /// SIGKILL: the group learns of it by the silence. Whatever was printed has been taken in.
    member _.Kill() =
        running.Kill()
        running.WaitForExit()

    /// SIGTERM: leaves the group and ends.
    member this.Leave() =
        use kill = Process.Start("kill", $"-TERM {running.Id}")
        kill.WaitForExit()

        let worked = running.TotalProcessorTime

        if
            family = Kafkajs
            && not (running.WaitForExit spinning)
            && running.TotalProcessorTime - worked > spinning / 4.0
        then
            // kafkajs 2.2.4 never ends if the brokers that it knows change while it stops: FetchManager makes new fetchers after the old ones
            // were told to end, and a fetch of a stopped Runner returns at once, so that they go round for ever without a turn for anything else.
            this.Kill()
        elif not (running.WaitForExit patience) then
            failwith $"does not leave: {this.Log}"
        else
            // Only this waits for the output, too.
            running.WaitForExit()

            if running.ExitCode <> 0 then
                failwith $"left with exit code {running.ExitCode}: {this.Log}"

            // kcat drops a record that it is handed after the signal, without a word, and commits that it has read it.
            if family = Kcat then
                for KeyValue(partition, offset) in newest do
                    onRecord partition (offset + 1L) (string (offset + 1L))

    interface IDisposable with
        member _.Dispose() =
            if not running.HasExited then
                running.Kill()
                running.WaitForExit()

            running.Dispose()
