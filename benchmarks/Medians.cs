using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>How figures are summed up and shown.</summary>
internal static class Medians
{
    public static double Of<TResult>(List<TResult> results, Func<TResult, double> figure) => Of(results.Select(figure));

    public static double Of(IEnumerable<double> figures)
    {
        var ordered = figures.Order().ToList();
        return ordered[ordered.Count / 2];
    }

    /// <summary>The figure below which a share of them lies.</summary>
    public static double At(IReadOnlyList<double> sorted, double share) => sorted[(int)(share * (sorted.Count - 1))];

    public static string Percent(double ratio) => ratio.ToString("P0", CultureInfo.InvariantCulture);
}
