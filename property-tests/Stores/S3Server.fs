/// A real S3 server for the tests, started when the first test needs it and stopped when the program ends. Each test has a prefix of its own.
module Tansu.PropertyTests.Stores.S3Server

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Http
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests

let private script =
    Path.Combine(Machine.repository, "property-tests", "servers", "ceph-s3.sh")

let private run (arguments: string list) =
    task {
        let start = ProcessStartInfo(script, arguments, RedirectStandardError = true)
        use child = Process.Start start
        let! errors = child.StandardError.ReadToEndAsync()
        do! child.WaitForExitAsync()

        if child.ExitCode <> 0 then
            failwith $"the S3 server for the tests does not start: {errors}"
    }

let private server =
    lazy
        (task {
            let directory =
                Path.Combine(Path.GetTempPath(), "tansu-ceph-" + Guid.NewGuid().ToString "N")

            let port = Machine.freePort ()
            AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> (run [ "stop"; directory ]).Wait())

            do!
                run [
                    "start"
                    directory
                    $"{port}"
                    $"{Machine.freePort ()}"
                    $"{Environment.ProcessId}"
                ]

            return $"http://127.0.0.1:{port}", directory
        })

/// Where the server is.
let endpoint () =
    task {
        let! address, _ = server.Value
        return address
    }

/// Sends a signal to the process that speaks S3: `STOP` and `CONT` hang it and let it go on.
let signal (name: string) =
    task {
        let! _, directory = server.Value

        let pid =
            File.ReadAllText(Path.Combine(directory, "run", "client.rgw.a.pid")).Trim()

        use kill = Process.Start("kill", $"-{name} {pid}")
        do! kill.WaitForExitAsync()
    }

/// The environment of a broker that may use the bucket `test`.
let environment (endpoint: string) =
    Map.ofList [
        "AWS_ACCESS_KEY_ID", "testaccess"
        "AWS_SECRET_ACCESS_KEY", "testsecretkey"
        "AWS_ENDPOINT_URL", endpoint
    ]

let private lookup (variables: Map<string, string>) =
    Func<string, string>(fun name -> variables |> Map.tryFind name |> Option.toObj)

/// How a store is opened: what differs from a broker's.
type Opening = {
    url: string
    options: StoreOptions
    change: Map<string, string> -> Map<string, string>
    wrap: HttpMessageHandler -> HttpMessageHandler
}

/// A place in the bucket that no other test has.
let freshPlace () = "test/" + Guid.NewGuid().ToString "N"

let at url = { url = url; options = StoreOptions.Default; change = id; wrap = id }

let openWith (opening: Opening) =
    task {
        let! endpoint, _ = server.Value
        let variables = opening.change (environment endpoint)

        return!
            S3Store.OpenAsync(
                opening.url,
                opening.options,
                lookup variables,
                Func<HttpMessageHandler, HttpMessageHandler> opening.wrap,
                CancellationToken.None
            )
    }

/// A store of its own, for the contract. Trims delete at once, or they could not be seen.
let fresh () =
    task {
        let options = StoreOptions(S3TrimGrace = TimeSpan.Zero)
        let! store = openWith { at (freshPlace ()) with options = options }
        return store :> IStore
    }

/// Lets a test decide what becomes of every request: `send` passes it on to the server.
type Decide =
    HttpRequestMessage -> CancellationToken -> (unit -> Task<HttpResponseMessage>) -> Task<HttpResponseMessage>

type private Intercept(inner: HttpMessageHandler, decide: Decide) =
    inherit HttpMessageHandler()
    let invoker = new HttpMessageInvoker(inner)

    override _.SendAsync(request, token) =
        decide request token (fun () -> invoker.SendAsync(request, token))

    override _.Dispose disposing =
        if disposing then
            invoker.Dispose()

        base.Dispose disposing

let intercept (decide: Decide) (inner: HttpMessageHandler) : HttpMessageHandler = new Intercept(inner, decide)

/// An answer with an error in S3's words.
let errorAnswer (status: int) (code: string) (request: HttpRequestMessage) =
    new HttpResponseMessage(
        enum<HttpStatusCode> status,
        RequestMessage = request,
        Content =
            new StringContent(
                $"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>",
                Text.Encoding.UTF8,
                "application/xml"
            )
    )
