namespace Tansu.Domain

open System

/// What members of type `consumer` say of themselves (the message ConsumerProtocolSubscription).
[<RequireQualifiedAccess>]
module ConsumerProtocol =
    /// Its protocol type.
    [<Literal>]
    let Type = "consumer"

    let private readInt16 (bytes: ReadOnlySpan<byte>) =
        int (Buffers.Binary.BinaryPrimitives.ReadInt16BigEndian bytes)

    /// The topics a member subscribes to; none if the metadata cannot be read.
    let subscribedTopics (metadata: byte[]) : string[] voption =
        let mutable position = 6
        let mutable isSound = metadata.Length >= position

        let count =
            if isSound then
                Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan(metadata, 2, 4))
            else
                0

        // Each takes at least two bytes.
        isSound <- isSound && count >= 0 && count <= (metadata.Length - position) / 2
        let topics = ResizeArray<string>()

        while isSound && topics.Count < count do
            isSound <- metadata.Length - position >= 2

            if isSound then
                let length = readInt16 (ReadOnlySpan(metadata, position, 2))
                position <- position + 2
                isSound <- length >= 0 && length <= metadata.Length - position

                if isSound then
                    topics.Add(Text.Encoding.UTF8.GetString(metadata, position, length))
                    position <- position + length

        if isSound then ValueSome(topics.ToArray()) else ValueNone

/// A classic group's rules: Kafka's, without its timers. What depends on time comes as a command that says which phase, or which sign of
