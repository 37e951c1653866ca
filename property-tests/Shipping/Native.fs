/// The native program of ./publish, and roots for it to run in.
module Tansu.PropertyTests.Shipping.Native

open System
open System.Diagnostics
open System.IO
open Expecto
open Tansu.PropertyTests

/// The program itself.
let program =
    lazy
        (if not (File.Exists Machine.nativeProgram) then
             failtest $"{Machine.nativeProgram} is missing: run ./publish"

         Machine.nativeProgram)

/// What a line of the Dockerfile says of the image.
let private image (instruction: string) =
    File.ReadLines(Path.Combine(Machine.repository, "Dockerfile"))
    |> Seq.filter (fun line -> line.StartsWith(instruction + " ", StringComparison.Ordinal))
    |> Seq.exactlyOne
    |> fun line -> line.Substring(instruction.Length + 1)

let private user = image "USER"
let private entryPoint = (image "ENTRYPOINT").Trim('[', ']', '"')

/// Only root may change the root, and answer on port 53.
let needsRoot () =
    if Environment.UserName <> "root" then
        skiptest "needs root"

/// Starts the program in another root, as the image's user.
let commandIn (root: string) = [ "chroot"; $"--userspec={user}"; root; entryPoint ]

/// An empty root with the program alone, which may write into /data.
let bareRoot (directory: string) =
    let root = Directory.CreateDirectory(Path.Combine(directory, "root")).FullName
    File.Copy(program.Value, Path.Combine(root, "tansu"))
    let data = Directory.CreateDirectory(Path.Combine(root, "data")).FullName
    use chown = Process.Start("chown", $"{user} {data}")
    chown.WaitForExit()
    root

/// The root of the image, laid out by the script that the Dockerfile runs, with the certificates of a file.
let imageRoot (directory: string) (certificates: string) =
    program.Force() |> ignore
    let root = Path.Combine(directory, "root")
    let script = Path.Combine(Machine.repository, ".ci", "image-root")
    let start = ProcessStartInfo(script, [ root ], RedirectStandardError = true)
    start.Environment["SSL_CERT_FILE"] <- certificates
    use laying = Process.Start start
    let errors = laying.StandardError.ReadToEnd()
    laying.WaitForExit()
    Expect.equal laying.ExitCode 0 $"the root is laid out: {errors}"
    root
