using Tansu.Codec;

namespace Tansu.Adapters.Replica;

/// <summary>
/// A stored structure: its version, then the generated message. An event has its type before that. An older build refuses a
/// version that it does not know; tagged fields added within a version are skipped.
/// </summary>
internal static class EventFrame
{
    public static void Write<T>(KafkaWriter writer, sbyte type, T message)
        where T : IMessage<T>
    {
        writer.WriteInt8(type);
        WriteVersioned(writer, message);
    }

    public static void WriteVersioned<T>(KafkaWriter writer, T message)
        where T : IMessage<T>
    {
        writer.WriteInt8((sbyte)T.HighestVersion);
        message.Write(writer, T.HighestVersion);
    }

    /// <exception cref="KafkaFormatException">The version is unknown or the bytes are damaged.</exception>
    public static T Read<T>(ref KafkaReader reader)
        where T : IMessage<T> => T.Read(ref reader, reader.ReadInt8());
}
