/// The native program where nothing else is.
module Tansu.PropertyTests.Shipping.Roots

open System
open System.IO
open System.Net
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Shipping.Surroundings
open Tansu.PropertyTests.Stores

let private listener = [ "--listener-url"; "tcp://127.0.0.1:0" ]

/// A client from outside writes and reads back.
let private serves (broker: RealBroker) =
    task {
        let common = [ "-b"; broker.Bootstrap; "-t"; "shipped"; "-q" ]
        let text = "one\ntwo\nthree\n"
        let! _ = shell "kcat" (common @ [ "-P" ]) text
        let! back = shell "kcat" (common @ [ "-C"; "-e"; "-o"; "beginning" ]) ""
        Expect.equal back text $"what was written; the broker said:\n{broker.Log}"
    }

let private bare =
    testCaseTask
        "in an empty root, as a user that is not root: keeps records in files, and has them after SIGKILL"
        (fun () ->
            task {
                Native.needsRoot ()
                use scratch = new Scratch()
                let command = Native.commandIn (Native.bareRoot scratch.Path)
                let arguments = [ "--storage-engine"; "file:///data/store" ] @ listener
                use first = RealBroker.Start(scratch.Path, arguments, command = command)
                do! serves first
                first.Kill()
                use second = RealBroker.Start(scratch.Path, arguments, command = command)

                let! back =
                    shell "kcat" [ "-b"; second.Bootstrap; "-t"; "shipped"; "-q"; "-C"; "-e"; "-o"; "beginning" ] ""

                Expect.equal back "one\ntwo\nthree\n" "the records of the first"
                let exitCode, _ = second.Terminate()
                Expect.equal exitCode 0 "SIGTERM"
            })

let private nameInHosts = "s3-by-hosts.test"
let private nameInDns = "s3-by-dns.test"

/// Runs a test with a broker in the image's root on an S3 store behind TLS, at a name.
let private onS3
    (trusted: bool)
    (name: string)
    (test: TlsFront -> NameServer -> (unit -> RealBroker) -> Threading.Tasks.Task<unit>)
    =
    task {
        Native.needsRoot ()
        use scratch = new Scratch()
        let! s3 = S3Server.endpoint ()
        use authority = new Authority()
        use stranger = new Authority()
        let certificates = Path.Combine(scratch.Path, "certificates.pem")
        (if trusted then authority else stranger).WriteTo certificates
        use certificate = authority.Issue [ nameInHosts; nameInDns ]
        use front = new TlsFront(certificate, Uri s3)
        // An address of 127.0.0.0/8 that other tests on this machine are unlikely to use.
        let address =
            IPAddress [|
                127uy
                53uy
                byte (Environment.ProcessId / 250 % 250)
                byte (Environment.ProcessId % 250 + 1)
            |]

        use names = new NameServer(address, nameInDns)
        let root = Native.imageRoot scratch.Path certificates
        File.WriteAllText(Path.Combine(root, "etc", "hosts"), $"127.0.0.1 localhost {nameInHosts}\n")
        File.WriteAllText(Path.Combine(root, "etc", "resolv.conf"), $"nameserver {address}\n")

        let environment = Map.toList (S3Server.environment $"https://{name}:{front.Port}")

        let start () =
            RealBroker.Start(
                scratch.Path,
                [ "--storage-engine"; "s3://" + S3Server.freshPlace () ] @ listener,
                environment,
                Native.commandIn root
            )

        do! test front names start
    }

let private byHosts =
    testCaseTask "in the image's root: reaches S3 over TLS at a name of /etc/hosts" (fun () ->
        onS3 true nameInHosts (fun front names start ->
            task {
                use broker = start ()
                do! serves broker
                Expect.isGreaterThan front.Handshakes 0 "it came through TLS"
                Expect.isEmpty names.Asked "DNS was not asked"
            }))

let private byDns =
    testCaseTask
        "in the image's root: reaches S3 over TLS at a name that the server of /etc/resolv.conf knows"
        (fun () ->
            onS3 true nameInDns (fun front names start ->
                task {
                    use broker = start ()
                    do! serves broker
                    Expect.isGreaterThan front.Handshakes 0 "it came through TLS"
                    Expect.contains names.Asked nameInDns "DNS was asked"
                }))

let private untrusted =
    testCaseTask "in the image's root: a server of an unknown authority is refused" (fun () ->
        onS3 false nameInHosts (fun _ _ start ->
            task {
                let ended =
                    try
                        use broker = start ()
                        $"it started: {broker.Log}"
                    with error ->
                        error.ToString()

                Expect.stringContains ended "the broker ended" "it does not start"
                Expect.stringContains ended "certificate" "it says why"
            }))

let tests = testList "a root of its own" [ bare; byHosts; byDns; untrusted ]
