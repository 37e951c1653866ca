using Microsoft.FSharp.Core;

namespace Tansu.Adapters;

/// <summary>F#'s value options as C# likes them.</summary>
internal static class ValueOptions
{
    /// <summary>The value, if there is one.</summary>
    public static bool TryGet<T>(this FSharpValueOption<T> option, out T value)
        where T : notnull
    {
        value = option.IsSome ? option.Value : default!;
        return option.IsSome;
    }
}
