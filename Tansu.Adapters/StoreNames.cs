using System.Buffers;

namespace Tansu.Adapters;

/// <summary>
/// Which names logs and objects may have: the same on every store, and such that none can leave the store's own directory or
/// prefix, or differ between file systems.
/// </summary>
internal static class StoreNames
{
    private const int LogNameChars = 64;
    private const int BlobNameChars = 400;
    private const int BlobPartChars = 200;

    private static readonly SearchValues<char> LogChars = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");

    private static readonly SearchValues<char> BlobChars =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

    /// <exception cref="ArgumentException">The name is not allowed.</exception>
    public static void CheckLog(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.Length is 0 or > LogNameChars || !char.IsAsciiLetterLower(name[0]) || name.AsSpan().ContainsAnyExcept(LogChars))
        {
            throw new ArgumentException(
                "A log's name is made of lower-case letters, digits and '-', begins with a letter and has at most 64 characters.",
                nameof(name));
        }
    }

    /// <exception cref="ArgumentException">The name is not allowed.</exception>
    public static void CheckBlob(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (!IsBlob(name))
        {
            throw new ArgumentException(
                "An object's name has parts of letters, digits, '-', '_' and '.', which do not begin with a dot, separated by '/'.",
                nameof(name));
        }
    }

    /// <summary>Whether an object may have this name.</summary>
    public static bool IsBlob(string name)
    {
        var allowed = name.Length is > 0 and <= BlobNameChars;
        foreach (var part in name.AsSpan().Split('/'))
        {
            allowed = allowed && IsBlobPart(name.AsSpan(part));
        }

        return allowed;
    }

    private static bool IsBlobPart(ReadOnlySpan<char> part) =>
        part.Length is > 0 and <= BlobPartChars && part[0] != '.' && !part.ContainsAnyExcept(BlobChars);
}
