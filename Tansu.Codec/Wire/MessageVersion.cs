using System.Diagnostics.CodeAnalysis;

namespace Tansu.Codec;

/// <summary>The checks that generated messages share.</summary>
internal static class MessageVersion
{
    /// <summary>Refuses to read a version that the message does not have.</summary>
    public static void RequireReadable(string message, short version, short lowest, short highest)
    {
        if (version < lowest || version > highest)
        {
            throw new KafkaFormatException($"{message} has versions {lowest} to {highest}, not {version}.");
        }
    }

    /// <summary>Refuses to write a version that the message does not have.</summary>
    public static void RequireWritable(string message, short version, short lowest, short highest)
    {
        if (version < lowest || version > highest)
        {
            throw new ArgumentOutOfRangeException(
                nameof(version),
                version,
                $"{message} has versions {lowest} to {highest}.");
        }
    }

    /// <summary>Gives the error for a field that is null in a version that cannot say so.</summary>
    [DoesNotReturn]
    public static void ThrowNull(string field, short version) =>
        throw new InvalidOperationException($"{field} is null, which version {version} cannot say.");
}
