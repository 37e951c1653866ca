/// A worker of the pipeline, in a process of its own: it copies records from one topic to another, exactly once, until it is told to stop or killed.
module Tansu.PropertyTests.EndToEnd.PipelineWorker

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Threading
open Confluent.Kafka
open Tansu.PropertyTests.EndToEnd.RealBroker

let input = "input"
let output = "output"
let group = "copiers"

/// How long a transaction of a worker may be open, in milliseconds.
let transactionMs = 6_000

/// The shortest session that brokers take, in milliseconds.
let private sessionMs = 6000

/// What a worker says on its output, with a number of records.
[<Literal>]
let private Committed = "committed"

[<Literal>]
let private Aborted = "aborted"

/// A transaction that has not come to its end by then never will: it has been aborted.
let private deadline = TimeSpan.FromMilliseconds(float transactionMs)

/// librdkafka 2.16 never returns from SendOffsetsToTransaction, whatever its timeout, if the group's coordinator dies and goes from the metadata
/// meanwhile (issues 5456 and 5511 of confluentinc/librdkafka). Only a new process helps.
type private Watchdog() =
    let mutable since = -1L

    let look () =
        while true do
            Thread.Sleep 500
            let begun = Volatile.Read &since

            if begun >= 0L && Stopwatch.GetElapsedTime begun > deadline then
                Console.Error.WriteLine "a transaction does not end: the worker gives up"
                Process.GetCurrentProcess().Kill()

    do Thread(look, IsBackground = true).Start()

    /// Ends the process if this takes too long.
    member _.Watch(work: unit -> unit) =
        Volatile.Write(&since, Stopwatch.GetTimestamp())

        try
            work ()
        finally
            Volatile.Write(&since, -1L)

/// Calls again what a client says may be called again.
let rec private retried (call: unit -> unit) =
    try
        call ()
    with :? KafkaRetriableException ->
        retried call

/// One incarnation of a worker.
type private Copier
    (
        bootstrap: string,
        transactionalId: string,
        instance: string,
        maxBatch: int,
        random: Random,
        stop: CancellationToken
    ) =
    let gathered = List<ConsumeResult<byte array, byte array>>()
    let watchdog = Watchdog()

    let log (text: string) =
        Console.Error.WriteLine $"{DateTime.UtcNow:``HH:mm:ss.fff``} {text}"

    let say (what: string) records =
        Console.Out.WriteLine $"{what} {records}"

    let producer =
        let config =
            Clients.configure
                (ProducerConfig(
                    TransactionalId = transactionalId,
                    TransactionTimeoutMs = transactionMs,
                    MessageTimeoutMs = transactionMs,
                    LingerMs = 5.0,
                    TopicMetadataRefreshIntervalMs = 1000
                ))
                bootstrap

        ProducerBuilder<byte array, byte array>(config)
            .SetLogHandler(fun _ message -> log message.Message)
            .SetErrorHandler(fun _ error -> log error.Reason)
            .Build()

    let consumer =
        let config =
            Clients.configure
                (ConsumerConfig(
                    GroupId = group,
                    GroupInstanceId = instance,
                    EnableAutoCommit = false,
                    EnableAutoOffsetStore = false,
                    AutoOffsetReset = AutoOffsetReset.Earliest,
                    IsolationLevel = IsolationLevel.ReadCommitted,
                    SessionTimeoutMs = sessionMs,
                    HeartbeatIntervalMs = 500,
                    FetchWaitMaxMs = 100,
                    QueuedMinMessages = 10_000,
                    TopicMetadataRefreshIntervalMs = 1000
                ))
                bootstrap

        // What has been gathered is read again by whoever gets the partitions.
        ConsumerBuilder<byte array, byte array>(config)
            .SetLogHandler(fun _ message -> log message.Message)
            .SetErrorHandler(fun _ error -> log error.Reason)
            .SetPartitionsRevokedHandler(
                Action<IConsumer<byte array, byte array>, List<TopicPartitionOffset>>(fun _ _ -> gathered.Clear())
            )
            .SetPartitionsLostHandler(
                Action<IConsumer<byte array, byte array>, List<TopicPartitionOffset>>(fun _ _ -> gathered.Clear())
            )
            .Build()

    let gather () =
        let wanted = random.Next(1, maxBatch + 1)
        let clock = Stopwatch.StartNew()

        while gathered.Count < wanted
              && (gathered.Count = 0 || clock.ElapsedMilliseconds < 500L)
              && not stop.IsCancellationRequested do
            match consumer.Consume(TimeSpan.FromMilliseconds 50.0) with
            | null -> ()
            | result -> gathered.Add result

    let rec send (result: ConsumeResult<byte array, byte array>) =
        try
            producer.Produce(
                TopicPartition(output, result.Partition),
                Message(Key = result.Message.Key, Value = result.Message.Value)
            )
        with :? ProduceException<byte array, byte array> as error when error.Error.Code = ErrorCode.Local_QueueFull ->
            producer.Poll(TimeSpan.FromMilliseconds 20.0) |> ignore
            send result

    let transact () =
        producer.BeginTransaction()

        for result in gathered do
            send result

        let offsets = [
            for place, results in gathered |> Seq.groupBy _.TopicPartition ->
                TopicPartitionOffset(place, Offset(1L + (results |> Seq.map _.Offset.Value |> Seq.max)))
        ]

        retried (fun () -> producer.SendOffsetsToTransaction(offsets, consumer.ConsumerGroupMetadata, patience))
        retried (fun () -> producer.CommitTransaction patience)

    let abort () =
        retried (fun () -> producer.AbortTransaction patience)

    /// Goes on reading after what has been committed.
    let rewind () =
        for next in consumer.Committed patience do
            let offset =
                if next.Offset = Offset.Unset then
                    Offset.Beginning
                else
                    next.Offset

            consumer.Seek(TopicPartitionOffset(next.TopicPartition, offset))

    member _.Run() =
        producer.InitTransactions patience
        consumer.Subscribe input

        while not stop.IsCancellationRequested do
            gather ()
            let records = gathered.Count

            if records > 0 && not stop.IsCancellationRequested then
                try
                    watchdog.Watch transact
                    say Committed records
                with :? KafkaTxnRequiresAbortException as error ->
                    log $"aborts: {error.Message}"
                    abort ()
                    say Aborted records
                    rewind ()

                gathered.Clear()

        consumer.Close()

    interface IDisposable with
        member _.Dispose() =
            consumer.Dispose()
            producer.Dispose()

/// The command that is a worker. SIGTERM, or the end of its input, makes it stop.
let copy (arguments: string list) =
    match arguments with
    | [ bootstrap; transactionalId; instance; maxBatch; seed ] ->
        use stop = new CancellationTokenSource()

        use _ =
            PosixSignalRegistration.Create(
                PosixSignal.SIGTERM,
                fun context ->
                    context.Cancel <- true
                    stop.Cancel()
            )

        // Whoever started it may be killed, too.
        let orphaned () =
            Console.In.ReadToEnd() |> ignore
            Environment.Exit 1

        Thread(orphaned, IsBackground = true).Start()
        let instance = if instance = "-" then null else instance

        try
            use copier =
                new Copier(bootstrap, transactionalId, instance, int maxBatch, Random(int seed), stop.Token)

            copier.Run()
            0
        with :? KafkaException as error ->
            Console.Error.WriteLine $"ends: {error.Message}"
            1
    | _ ->
        failwith "copy-exactly-once <brokers> <transactional id> <group instance id or -> <records in a batch> <seed>"

/// A worker that runs.
type Worker(bootstrap: string, transactionalId: string, instance: string option, maxBatch: int, seed: int) =
    let said = ConcurrentQueue<string>()
    let mutable committed = 0
    let mutable aborted = 0
    let mutable wasKilled = false

    let running =
        let info =
            ProcessStartInfo(
                "dotnet",
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true
            )

        for argument in
            [
                Path.Combine(AppContext.BaseDirectory, "Tansu.PropertyTests.dll")
                "copy-exactly-once"
                bootstrap
                transactionalId
                Option.defaultValue "-" instance
                string maxBatch
                string seed
            ] do
            info.ArgumentList.Add argument

        Process.Start info

    let remember (line: string) =
        said.Enqueue line

        if said.Count > 60 then
            said.TryDequeue() |> ignore

    let onOutput (line: string | null) =
        match line with
        | null -> ()
        | line when line.StartsWith(Committed, StringComparison.Ordinal) -> Interlocked.Increment &committed |> ignore
        | line when line.StartsWith(Aborted, StringComparison.Ordinal) -> Interlocked.Increment &aborted |> ignore
        | line -> remember line

    do
        running.OutputDataReceived.Add(fun event -> onOutput event.Data)

        running.ErrorDataReceived.Add(fun event ->
            if not (isNull event.Data) then
                remember event.Data)

        running.BeginOutputReadLine()
        running.BeginErrorReadLine()

    let signal (name: string) =
        use kill = Process.Start("kill", $"-{name} {running.Id}")
        kill.WaitForExit()

    /// Transactions that it said to have committed. One that is killed may not have said all.
    member _.Committed = Volatile.Read &committed

    /// Transactions that it said to have aborted.
    member _.Aborted = Volatile.Read &aborted

    /// Whether it has ended by itself.
    member _.HasFailed = not wasKilled && running.HasExited

    /// Who it is, and the last line that it said.
    member _.LastWords =
        $"{transactionalId} has ended: {Seq.tryLast said |> Option.defaultValue String.Empty}"

    /// The last lines that it said.
    member _.Log = $"{transactionalId} ({running.Id}):\n  " + String.Join("\n  ", said)

    /// SIGKILL: its transaction stays open.
    member _.Kill() =
        wasKilled <- true
        running.Kill()
        running.WaitForExit()

    /// SIGSTOP: it stands still as it is.
    member _.Suspend() = signal "STOP"

    /// SIGCONT: it goes on, and may be no member of its group any more.
    member _.Resume() = signal "CONT"

    /// SIGTERM: it finishes its transaction, leaves its group and ends.
    member this.Stop() =
        signal "TERM"

        if not (running.WaitForExit patience) then
            failwith $"a worker does not stop: {this.Log}"

        // Only this waits for the output, too.
        running.WaitForExit()

    interface IDisposable with
        member _.Dispose() =
            if not running.HasExited then
                running.Kill()
                running.WaitForExit()

            running.Dispose()
