using System.Text;

namespace Tansu.Codec;

/// <content>Everything that starts with a length or a count.</content>
public sealed partial class KafkaWriter
{
    /// <summary>Writes a string.</summary>
    /// <param name="value">The string; at most <see cref="KafkaReader.MaxStringBytes"/> bytes as UTF-8.</param>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 16 bits.</param>
    /// <exception cref="KafkaFormatException">The string is too long.</exception>
    public void WriteString(string value, bool compact)
    {
        var length = Encoding.UTF8.GetByteCount(value);
        if (length > KafkaReader.MaxStringBytes)
        {
            // Reached when a client's broken UTF-8, which grows by replacement characters, is sent back to it.
            throw new KafkaFormatException($"A string of {length} bytes does not fit; {KafkaReader.MaxStringBytes} are allowed.");
        }

        if (compact)
        {
            WriteCompactLength(length);
        }
        else
        {
            WriteInt16((short)length);
        }

        Encoding.UTF8.GetBytes(value, Take(length));
    }

    /// <summary>Writes a string or null.</summary>
    /// <param name="value">The string; at most <see cref="KafkaReader.MaxStringBytes"/> bytes as UTF-8.</param>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 16 bits.</param>
    /// <exception cref="KafkaFormatException">The string is too long.</exception>
    public void WriteNullableString(string? value, bool compact)
    {
        if (value is not null)
        {
            WriteString(value, compact);
        }
        else if (compact)
        {
            WriteUnsignedVarint(0);
        }
        else
        {
            WriteInt16(-1);
        }
    }

    /// <summary>Writes bytes; long ones by reference.</summary>
    /// <param name="value">The bytes, unchanged until <see cref="Reset"/> or <see cref="Dispose"/>.</param>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public void WriteBytes(ReadOnlyMemory<byte> value, bool compact)
    {
        WriteCount(value.Length, compact);
        WriteRaw(value);
    }

    /// <summary>Writes bytes or null; long ones by reference.</summary>
    /// <param name="value">The bytes, unchanged until <see cref="Reset"/> or <see cref="Dispose"/>.</param>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public void WriteNullableBytes(ReadOnlyMemory<byte>? value, bool compact)
    {
        if (value is { } bytes)
        {
            WriteBytes(bytes, compact);
        }
        else
        {
            WriteNullCount(compact);
        }
    }

    /// <summary>Writes records or null; long pieces by reference.</summary>
    /// <param name="value">The records, unchanged until <see cref="Reset"/> or <see cref="Dispose"/>.</param>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public void WriteRecords(RecordBytes value, bool compact)
    {
        if (value.IsNull)
        {
            WriteNullCount(compact);
            return;
        }

        WriteCount(value.Length, compact);
        for (var i = 0; i < value.Count; i++)
        {
            WriteRaw(value[i]);
        }
    }

    /// <summary>Writes bytes without a length; long ones by reference.</summary>
    /// <param name="value">The bytes, unchanged until <see cref="Reset"/> or <see cref="Dispose"/>.</param>
    public void WriteRaw(ReadOnlyMemory<byte> value)
    {
        if (value.Length < ByReferenceBytes)
        {
            value.Span.CopyTo(Take(value.Length));
            return;
        }

        CloseSegment();
        AddSegment(value);
    }

    /// <summary>Writes the number of elements or bytes that follow.</summary>
    /// <param name="count">The number, not negative.</param>
    /// <param name="compact">Whether it is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public void WriteCount(int count, bool compact)
    {
        if (compact)
        {
            WriteCompactLength(count);
        }
        else
        {
            WriteInt32(count);
        }
    }

    /// <summary>Writes null in place of an array, bytes or records.</summary>
    /// <param name="compact">Whether it is an unsigned varint (flexible versions) instead of 32 bits.</param>
    public void WriteNullCount(bool compact)
    {
        if (compact)
        {
            WriteUnsignedVarint(0);
        }
        else
        {
            WriteInt32(-1);
        }
    }

    /// <summary>Writes the marker in front of a struct that may be null.</summary>
    public void WriteStructPresence(bool present) => WriteInt8(present ? (sbyte)1 : (sbyte)-1);

    /// <summary>
    /// Starts the value of a tagged field whose size is not known beforehand. It is written to the writer returned,
    /// which belongs to this one, and put in place by <see cref="EndTag"/>.
    /// </summary>
    public KafkaWriter BeginTag() => _scratch ??= new KafkaWriter();

    /// <summary>Writes a tagged field (KIP-482): number, size, and the value written since <see cref="BeginTag"/>.</summary>
    public void EndTag(uint tag, KafkaWriter value)
    {
        ArgumentNullException.ThrowIfNull(value);
        WriteTag(tag, value.Length);
        foreach (var part in value.Payload())
        {
            // Copied whatever its length: the scratch writer's chunks are used again for the next field.
            part.Span.CopyTo(Take(part.Length));
        }

        value.Reset();
    }

    /// <summary>Writes the number and the size in front of the value of a tagged field (KIP-482).</summary>
    public void WriteTag(uint tag, int valueBytes)
    {
        WriteUnsignedVarint(tag);
        WriteUnsignedVarint((uint)valueBytes);
    }

    private void WriteCompactLength(int length) => WriteUnsignedVarint((uint)length + 1);
}
