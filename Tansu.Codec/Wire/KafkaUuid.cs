using System.Buffers.Text;

namespace Tansu.Codec;

/// <summary>UUIDs as Kafka's tools write them.</summary>
public static class KafkaUuid
{
    private const int Bytes = 16;

    /// <summary>The 16 bytes, the most significant first, in the Base64 of URLs: 22 characters.</summary>
    public static string ToText(Guid value)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        value.TryWriteBytes(bytes, bigEndian: true, out _);
        return Base64Url.EncodeToString(bytes);
    }
}
