/// The file of the native program.
module Tansu.PropertyTests.Shipping.Binary

open System
open System.IO
open Expecto

/// The types of an ELF file's segments, or of its sections.
let private typesOf (image: byte array) (tableAt: int) (entrySizeAt: int) (countAt: int) (typeAt: int) = [
    let table = int (BitConverter.ToInt64(image, tableAt))
    let size = int (BitConverter.ToUInt16(image, entrySizeAt))

    for index in 0 .. int (BitConverter.ToUInt16(image, countAt)) - 1 do
        BitConverter.ToInt32(image, table + index * size + typeAt)
]

let private segmentTypes image = typesOf image 0x20 0x36 0x38 0
let private sectionTypes image = typesOf image 0x28 0x3A 0x3C 4

let private Dynamic = 2
let private Interpreter = 3
let private SymbolTable = 2

let private largest = 28_000_000L

let tests =
    testList "the file" [
        testCase "is linked statically: it names no loader and no shared library"
        <| fun () ->
            let segments = segmentTypes (File.ReadAllBytes Native.program.Value)
            Expect.isNonEmpty segments "it has segments"
            Expect.isFalse (List.contains Interpreter segments) "PT_INTERP"
            Expect.isFalse (List.contains Dynamic segments) "PT_DYNAMIC"

        testCase "is stripped"
        <| fun () ->
            let sections = sectionTypes (File.ReadAllBytes Native.program.Value)
            Expect.isNonEmpty sections "it has sections"
            Expect.isFalse (List.contains SymbolTable sections) "a symbol table"

        testCase $"has at most {largest} bytes"
        <| fun () -> Expect.isLessThanOrEqual (FileInfo Native.program.Value).Length largest "size"
    ]
