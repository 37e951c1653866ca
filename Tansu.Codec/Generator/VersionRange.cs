using System.Globalization;

namespace Tansu.Codec.Generator;

/// <summary>Versions from <paramref name="Low"/> to <paramref name="High"/>, both included; empty if Low is above High.</summary>
internal readonly record struct VersionRange(int Low, int High)
{
    public static VersionRange None => new(0, -1);

    public bool IsEmpty => Low > High;

    /// <summary>Parses "3", "3-9", "3+" or "none", cut to <paramref name="within"/>.</summary>
    public static VersionRange Parse(string text, VersionRange within)
    {
        if (text == "none")
        {
            return None;
        }

        VersionRange parsed;
        if (text.EndsWith('+'))
        {
            parsed = new VersionRange(Number(text[..^1]), int.MaxValue);
        }
        else
        {
            var dash = text.IndexOf('-', StringComparison.Ordinal);
            parsed = dash < 0
                ? new VersionRange(Number(text), Number(text))
                : new VersionRange(Number(text[..dash]), Number(text[(dash + 1)..]));
        }

        return parsed.Within(within);
    }

    public bool Contains(int version) => version >= Low && version <= High;

    public VersionRange Within(VersionRange other) => new(Math.Max(Low, other.Low), Math.Min(High, other.High));

    /// <summary>The C# condition that tells this range apart inside <paramref name="scope"/>; empty if it is all of it.</summary>
    public string ConditionIn(VersionRange scope)
    {
        var low = Low > scope.Low ? $"version >= {Low}" : "";
        var high = High < scope.High ? $"version <= {High}" : "";
        return low.Length > 0 && high.Length > 0 ? $"{low} && {high}" : low + high;
    }

    private static int Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new SpecException($"'{text}' is not a version");
}
