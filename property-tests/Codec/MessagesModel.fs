/// What the tests of the messages share: the spec files read a second time, independently of the generator, random
/// instances that use exactly the fields a version has, and structural comparison.
module Tansu.PropertyTests.Codec.MessagesModel

open System
open System.Collections.Generic
open System.IO
open System.Reflection
open System.Text.Json
open Tansu.Codec

type Versions = { low: int; high: int }

type Field = { name: string; versions: Versions; nullable: Versions; isTagged: bool }

type Spec = {
    name: string
    apiKey: int
    versions: Versions
    flexible: Versions
    /// The fields of the message and of every struct in it, by name.
    structs: Map<string, Field list>
}

/// One message: how to read, write and invent it.
type Message = {
    spec: Spec
    clrType: Type
    /// API key, lowest, highest and first flexible version, as the generated class states them.
    statics: int16 * int16 * int16 * int16
    read: ReadOnlyMemory<byte> -> int16 -> obj
    write: KafkaWriter -> obj -> int16 -> unit
}

let private noVersions = { low = 0; high = -1 }

let private parseVersions (text: string) =
    match text with
    | "none" -> noVersions
    | _ when text.EndsWith '+' -> { low = int (text.TrimEnd '+'); high = Int32.MaxValue }
    | _ ->
        match text.Split '-' with
        | [| one |] -> { low = int one; high = int one }
        | ends -> { low = int ends[0]; high = int ends[1] }

let contains version versions =
    versions.low <= version && version <= versions.high

let private textOf (key: string) (json: JsonElement) =
    match json.TryGetProperty key with
    | true, value -> Some(value.GetString())
    | _ -> None

let private field (json: JsonElement) = {
    name = (textOf "name" json).Value
    versions = parseVersions (textOf "versions" json).Value
    nullable =
        textOf "nullableVersions" json
        |> Option.map parseVersions
        |> Option.defaultValue noVersions
    isTagged = fst (json.TryGetProperty "tag")
}

let rec private structsOf (name: string) (json: JsonElement) = [
    let fields = List.ofSeq (json.GetProperty("fields").EnumerateArray())
    name, List.map field fields

    for inner in fields do
        if fst (inner.TryGetProperty "fields") then
            yield! structsOf ((textOf "type" inner).Value.Replace("[]", "")) inner
]

let private readSpec (path: string) =
    use document = JsonDocument.Parse(File.ReadAllBytes path)
    let json = document.RootElement
    let name = (textOf "name" json).Value

    let common =
        match json.TryGetProperty "commonStructs" with
        | true, structs -> [
            for one in structs.EnumerateArray() do
                yield! structsOf (textOf "name" one).Value one
          ]
        | _ -> []

    {
        name = name
        apiKey =
            match json.TryGetProperty "apiKey" with
            | true, key -> key.GetInt32()
            | _ -> -1
        versions = parseVersions (textOf "validVersions" json).Value
        flexible = parseVersions (textOf "flexibleVersions" json).Value
        structs = Map.ofList (structsOf name json @ common)
    }

let private specFolder =
    let rec up (folder: DirectoryInfo) =
        let specs = Path.Combine(folder.FullName, "Tansu.Codec", "spec")
        if Directory.Exists specs then specs else up folder.Parent

    up (DirectoryInfo AppContext.BaseDirectory)

type Access =
    static member Of<'T when 'T :> IMessage<'T>>(spec: Spec) = {
        spec = spec
        clrType = typeof<'T>
        statics = ('T.ApiKey, 'T.LowestVersion, 'T.HighestVersion, 'T.FirstFlexibleVersion)
        read =
            fun frame version ->
                let mutable reader = KafkaReader(frame, KafkaReader.DefaultMaxElements)
                let message = 'T.Read(&reader, version)
                reader.RequireEnd()
                box message
        write = fun writer message version -> (unbox<'T> message).Write(writer, version)
    }

let specs =
    Directory.EnumerateFiles(specFolder, "*.json", SearchOption.AllDirectories)
    |> Seq.sort
    |> Seq.map readSpec
    |> List.ofSeq

/// Every generated message with its spec.
let messages =
    let access = typeof<Access>.GetMethod "Of"

    [
        for spec in specs do
            let clrType =
                typeof<KafkaWriter>.Assembly.GetTypes()
                |> Array.find (fun one -> one.Name = spec.name && not one.IsNested)

            access.MakeGenericMethod(clrType).Invoke(null, [| box spec |]) :?> Message
    ]

let named name =
    messages |> List.find (fun message -> message.spec.name = name)

let versionsOf message = [ message.spec.versions.low .. message.spec.versions.high ]

let write message (value: obj) (version: int) =
    use writer = new KafkaWriter()
    message.write writer value (int16 version)
    writer.ToArray()

let private randomText (random: Random) =
    let symbols = [| "a"; "Z"; "-"; "."; "\000"; "é"; "世"; "\U0001F600" |]

    let length =
        if random.Next 50 = 0 then
            random.Next 3000
        else
            random.Next 12

    String.Join("", Array.init length (fun _ -> symbols[random.Next symbols.Length]))

let private randomBytes (random: Random) =
    let length =
        if random.Next 10 = 0 then
            random.Next 5000
        else
            random.Next 30

    let bytes = Array.zeroCreate length
    random.NextBytes bytes
    ReadOnlyMemory<byte> bytes

let private randomNumber (random: Random) (lowest: int64) (highest: int64) =
    match random.Next 6 with
    | 0 -> 0L
    | 1 -> lowest
    | 2 -> highest
    | 3 -> -1L &&& highest
    | _ -> random.NextInt64(lowest, highest)

let private randomRecords (random: Random) =
    match random.Next 3 with
    | 0 -> RecordBytes(randomBytes random)
    | _ ->
        let slices = Array.init (random.Next 5) (fun _ -> randomBytes random)
        RecordBytes(slices, slices.Length)

let private isNullAllowed version (field: Field) (clrType: Type) =
    contains version field.nullable
    || (field.isTagged && clrType.IsNested && not clrType.IsArray)

let private isStreamed (clrType: Type) =
    clrType.IsGenericType
    && clrType.GetGenericTypeDefinition() = typedefof<IReadOnlyCollection<_>>

/// A random instance with values in exactly the fields that the version has.
let rec private invent (random: Random) (spec: Spec) version (clrType: Type) : obj =
    let instance = Activator.CreateInstance clrType

    for field in spec.structs[clrType.Name] do
        if contains version field.versions then
            let property = clrType.GetProperty field.name
            property.SetValue(instance, inventField random spec version field property.PropertyType)

    instance

and private inventField random spec version field (clrType: Type) : obj =
    if isNullAllowed version field clrType && random.Next 3 = 0 then
        if clrType = typeof<RecordBytes> then
            box RecordBytes.Null
        else
            null
    elif clrType.IsArray || isStreamed clrType then
        let element =
            if clrType.IsArray then
                clrType.GetElementType()
            else
                clrType.GenericTypeArguments[0]

        let count =
            if element.IsPrimitive && random.Next 10 = 0 then
                random.Next 2000
            else
                random.Next 4

        let elements = Array.CreateInstance(element, count)

        for index in 0 .. count - 1 do
            elements.SetValue(inventValue random spec version element, index)

        box elements
    else
        inventValue random spec version clrType

and private inventValue random spec version (clrType: Type) : obj =
    match clrType with
    | _ when clrType = typeof<string> -> box (randomText random)
    | _ when clrType = typeof<bool> -> box (random.Next 2 = 1)
    | _ when clrType = typeof<sbyte> -> box (sbyte (randomNumber random -128L 127L))
    | _ when clrType = typeof<int16> -> box (int16 (randomNumber random -32768L 32767L))
    | _ when clrType = typeof<ErrorCode> -> Enum.ToObject(clrType, int16 (randomNumber random -32768L 32767L))
    | _ when clrType = typeof<int> -> box (int (randomNumber random (int64 Int32.MinValue) (int64 Int32.MaxValue)))
    | _ when clrType = typeof<int64> -> box (randomNumber random Int64.MinValue Int64.MaxValue)
    | _ when clrType = typeof<uint16> -> box (uint16 (randomNumber random 0L 65535L))
    | _ when clrType = typeof<uint32> -> box (uint32 (randomNumber random 0L 4294967295L))
    | _ when clrType = typeof<float> -> box (BitConverter.Int64BitsToDouble(random.NextInt64()))
    | _ when clrType = typeof<Guid> ->
        let bytes = Array.zeroCreate 16
        random.NextBytes bytes
        box (Guid bytes)
    | _ when clrType = typeof<ReadOnlyMemory<byte>> -> box (randomBytes random)
    | _ when clrType = typeof<Nullable<ReadOnlyMemory<byte>>> -> box (randomBytes random)
    | _ when clrType = typeof<RecordBytes> -> box (randomRecords random)
    | _ when clrType.IsNested -> invent random spec version clrType
    | _ -> failwith $"a field of type {clrType.Name}: teach the tests to invent it"

let sample (seed: int) message version =
    invent (Random seed) message.spec version message.clrType

/// Where two values differ, or nothing if they are equal.
let rec difference (path: string) (left: obj) (right: obj) : string option =
    match left, right with
    | null, null -> None
    | null, _
    | _, null -> Some $"{path}: one is null"
    | (:? string as left), (:? string as right) ->
        if left = right then
            None
        else
            Some $"{path}: '{left}' and '{right}'"
    | (:? ReadOnlyMemory<byte> as left), (:? ReadOnlyMemory<byte> as right) ->
        if left.Span.SequenceEqual right.Span then
            None
        else
            Some $"{path}: other bytes"
    | (:? RecordBytes as left), (:? RecordBytes as right) ->
        if
            left.IsNull = right.IsNull
            && left.Joined().Span.SequenceEqual(right.Joined().Span)
        then
            None
        else
            Some $"{path}: other records"
    | (:? Array as left), (:? Array as right) ->
        if left.Length <> right.Length then
            Some $"{path}: {left.Length} and {right.Length} elements"
        else
            Seq.init left.Length id
            |> Seq.tryPick (fun index -> difference $"{path}[{index}]" (left.GetValue index) (right.GetValue index))
    | _ when left.GetType().IsClass ->
        left.GetType().GetProperties(BindingFlags.Public ||| BindingFlags.Instance)
        |> Seq.tryPick (fun property ->
            difference $"{path}.{property.Name}" (property.GetValue left) (property.GetValue right))
    | _ ->
        if left.Equals right then
            None
        else
            Some $"{path}: {left} and {right}"
