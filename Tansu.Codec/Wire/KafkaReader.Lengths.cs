namespace Tansu.Codec;

/// <content>Everything that starts with a length or a count: strings, bytes, records, arrays, nullable structs, tagged fields.</content>
public ref partial struct KafkaReader
{
    private const int Null = -1;

    /// <summary>Reads a string that must not be null. Bytes that are not UTF-8 become U+FFFD.</summary>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 16 bits.</param>
    public string ReadString(bool compact) => ReadNullableString(compact) ?? throw Malformed("a string is null");

    /// <summary>Reads a string or null. Bytes that are not UTF-8 become U+FFFD.</summary>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 16 bits.</param>
    public string? ReadNullableString(bool compact)
    {
        var length = compact ? ReadCompactLength() : RequireLength(ReadInt16());
        if (length > MaxStringBytes)
        {
            throw Malformed($"a string has {length} bytes, {MaxStringBytes} are allowed");
        }

        return length == Null ? null : Text(Take(length));
    }

    /// <summary>Reads bytes that must not be null: a slice of the frame.</summary>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public ReadOnlyMemory<byte> ReadBytes(bool compact) => ReadNullableBytes(compact) ?? throw Malformed("bytes are null");

    /// <summary>Reads bytes or null: a slice of the frame.</summary>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public ReadOnlyMemory<byte>? ReadNullableBytes(bool compact)
    {
        var length = compact ? ReadCompactLength() : RequireLength(ReadInt32());
        return length == Null ? null : TakeMemory(length);
    }

    /// <summary>Reads records or null: a slice of the frame.</summary>
    /// <param name="compact">Whether the length is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    public RecordBytes ReadRecords(bool compact)
    {
        var length = compact ? ReadCompactLength() : RequireLength(ReadInt32());
        return length == Null ? default : new RecordBytes(TakeMemory(length));
    }

    /// <summary>Reads the number of elements of an array that must not be null.</summary>
    /// <param name="compact">Whether the count is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    /// <param name="elementBytes">The least number of bytes one element takes, at least 1: bounds what the count may claim.</param>
    public int ReadArrayCount(bool compact, int elementBytes)
    {
        var count = ReadNullableArrayCount(compact, elementBytes);
        return count == Null ? throw Malformed("an array is null") : count;
    }

    /// <summary>Reads the number of elements of an array, -1 if it is null.</summary>
    /// <param name="compact">Whether the count is an unsigned varint plus one (flexible versions) instead of 32 bits.</param>
    /// <param name="elementBytes">The least number of bytes one element takes, at least 1: bounds what the count may claim.</param>
    public int ReadNullableArrayCount(bool compact, int elementBytes)
    {
        var count = compact ? ReadCompactLength() : RequireLength(ReadInt32());
        if (count == Null)
        {
            return Null;
        }

        if ((long)count * elementBytes > Remaining)
        {
            throw Malformed($"an array claims {count} elements of at least {elementBytes} bytes and {Remaining} bytes are left");
        }

        if (count > _elementsLeft)
        {
            throw Malformed($"an array has {count} elements, {_elementsLeft} more are allowed in this frame");
        }

        _elementsLeft -= count;
        return count;
    }

    /// <summary>Reads the marker in front of a struct that may be null: whether it is there.</summary>
    public bool ReadStructPresence() => ReadInt8() switch
    {
        1 => true,
        -1 => false,
        var marker => throw Malformed($"a nullable struct starts with {marker} instead of 1 or -1"),
    };

    /// <summary>Throws for a nullable struct that is null in a version that does not allow it.</summary>
    public readonly void RequireStruct(bool present)
    {
        if (!present)
        {
            throw Malformed("a struct is null");
        }
    }

    /// <summary>Reads how many tagged fields follow (KIP-482).</summary>
    public int ReadTagCount()
    {
        var count = ReadUnsignedVarint();
        // A tag and a size take a byte each.
        return count <= (uint)Remaining / 2 ? (int)count : throw Malformed($"{count} tagged fields do not fit");
    }

    /// <summary>Reads the number and the size of one tagged field.</summary>
    /// <param name="end">The position after the field's value, to be given to <see cref="EndTag"/>.</param>
    public uint ReadTag(out int end)
    {
        var tag = ReadUnsignedVarint();
        var size = ReadUnsignedVarint();
        if (size > (uint)Remaining)
        {
            throw Malformed($"tagged field {tag} claims {size} bytes and {Remaining} are left");
        }

        end = _position + (int)size;
        return tag;
    }

    /// <summary>Checks that a known tagged field had the size it claimed.</summary>
    public readonly void EndTag(int end)
    {
        if (_position != end)
        {
            throw Malformed($"a tagged field ends at byte {end} by its size and at byte {_position} by its content");
        }
    }

    /// <summary>Skips the value of a tagged field that is not known.</summary>
    public void SkipTag(int end) => Skip(end - _position);

    /// <summary>Skips tagged fields, for structs that know none.</summary>
    public void SkipTags()
    {
        for (var left = ReadTagCount(); left > 0; left--)
        {
            ReadTag(out var end);
            SkipTag(end);
        }
    }

    private int ReadCompactLength()
    {
        var lengthPlusOne = ReadUnsignedVarint();
        return lengthPlusOne <= int.MaxValue ? (int)lengthPlusOne - 1 : throw Malformed($"length {lengthPlusOne} is too large");
    }

    private readonly int RequireLength(int length) =>
        length >= Null ? length : throw Malformed($"length {length} is negative");
}
