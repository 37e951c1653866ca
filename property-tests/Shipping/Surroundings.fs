/// What a program in a root of its own finds outside: a name server, and a server behind TLS.
module Tansu.PropertyTests.Shipping.Surroundings

open System
open System.Collections.Concurrent
open System.IO
open System.Net
open System.Net.Security
open System.Net.Sockets
open System.Security.Cryptography
open System.Security.Cryptography.X509Certificates
open System.Text
open System.Threading
open System.Threading.Tasks

/// Runs until the peer or the test goes away, which is no error.
let private untilGone (work: unit -> Task) =
    task {
        try
            do! work ()
        with
        | :? IOException
        | :? SocketException
        | :? ObjectDisposedException
        | :? OperationCanceledException
        | :? Security.Authentication.AuthenticationException -> ()
    }

/// The name of a DNS question and where it ends.
let private nameAt (message: byte array) (start: int) =
    let rec labels (position: int) (read: string list) =
        match int message[position] with
        | 0 -> String.Join('.', List.rev read), position + 1
        | length ->
            let label = Encoding.ASCII.GetString(message, position + 1, length)
            labels (position + 1 + length) (label :: read)

    labels start []

/// A name server on port 53 of `address` that knows one name, which is 127.0.0.1.
type NameServer(address: IPAddress, known: string) =
    let socket = new UdpClient(IPEndPoint(address, 53))
    let asked = ConcurrentQueue<string>()

    let answer (question: byte array) =
        let name, questionEnd = nameAt question 12
        asked.Enqueue name
        let isKnown = name.Equals(known, StringComparison.OrdinalIgnoreCase)
        let asksForIPv4 = question[questionEnd + 1] = 1uy
        let hasAddress = isKnown && asksForIPv4

        Array.concat [
            question[0..1]
            [| 0x81uy; (if isKnown then 0x80uy else 0x83uy) |]
            [| 0uy; 1uy; 0uy; (if hasAddress then 1uy else 0uy); 0uy; 0uy; 0uy; 0uy |]
            question[12 .. questionEnd + 3]
            if hasAddress then
                // The name again (as a pointer), A, IN, 60 s, four bytes.
                [| 0xC0uy; 12uy; 0uy; 1uy; 0uy; 1uy; 0uy; 0uy; 0uy; 60uy; 0uy; 4uy |]
                [| 127uy; 0uy; 0uy; 1uy |]
        ]

    let serving =
        untilGone (fun () ->
            task {
                while true do
                    let! received = socket.ReceiveAsync()
                    let! _ = socket.SendAsync(answer received.Buffer, received.RemoteEndPoint)
                    ()
            })

    /// The names that were asked for.
    member _.Asked = List.ofSeq asked

    interface IDisposable with
        member _.Dispose() =
            socket.Dispose()
            serving.Wait()

/// A certificate authority of the test's own.
type Authority() =
    let key = ECDsa.Create ECCurve.NamedCurves.nistP256

    let certificate =
        let request =
            CertificateRequest("CN=Tansu test authority", key, HashAlgorithmName.SHA256)

        request.CertificateExtensions.Add(X509BasicConstraintsExtension(true, false, 0, true))
        request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays -1.0, DateTimeOffset.UtcNow.AddDays 1.0)

    /// Writes its certificate for those who shall trust it.
    member _.WriteTo(path: string) =
        File.WriteAllText(path, certificate.ExportCertificatePem() + "\n")

    /// A server's certificate for some names.
    member _.Issue(names: string list) =
        use serverKey = ECDsa.Create ECCurve.NamedCurves.nistP256

        let request =
            CertificateRequest("CN=Tansu test server", serverKey, HashAlgorithmName.SHA256)

        let alternatives = SubjectAlternativeNameBuilder()

        for name in names do
            alternatives.AddDnsName name

        request.CertificateExtensions.Add(alternatives.Build())

        use issued =
            request.Create(
                certificate,
                DateTimeOffset.UtcNow.AddHours -1.0,
                DateTimeOffset.UtcNow.AddHours 12.0,
                [| 1uy; 2uy; 3uy |]
            )

        issued.CopyWithPrivateKey serverKey

    interface IDisposable with
        member _.Dispose() =
            certificate.Dispose()
            key.Dispose()

/// Speaks TLS to clients and hands what they say to a server that does not.
type TlsFront(certificate: X509Certificate2, behind: Uri) =
    let listener = new TcpListener(IPAddress.Loopback, 0)
    let stopping = new CancellationTokenSource()
    let mutable handshakes = 0

    let serve (client: TcpClient) =
        untilGone (fun () ->
            task {
                use client = client
                use outside = new SslStream(client.GetStream())
                do! outside.AuthenticateAsServerAsync certificate
                Interlocked.Increment &handshakes |> ignore
                use server = new TcpClient()
                do! server.ConnectAsync(behind.Host, behind.Port, stopping.Token)
                use inside = server.GetStream()

                let! _ =
                    Task.WhenAny(
                        outside.CopyToAsync(inside, stopping.Token),
                        inside.CopyToAsync(outside, stopping.Token)
                    )

                return ()
            })

    let accepting =
        listener.Start()

        untilGone (fun () ->
            task {
                while true do
                    let! client = listener.AcceptTcpClientAsync stopping.Token
                    serve client |> ignore
            })

    member _.Port = (listener.LocalEndpoint :?> IPEndPoint).Port

    /// How many clients trusted it.
    member _.Handshakes = Volatile.Read &handshakes

    interface IDisposable with
        member _.Dispose() =
            stopping.Cancel()
            listener.Dispose()
            accepting.Wait()
