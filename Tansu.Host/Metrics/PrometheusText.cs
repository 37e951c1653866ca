using System.Globalization;
using System.Text;
using Tansu.Adapters.Measuring;

namespace Tansu.Host.Metrics;

/// <summary>Writes metrics in the Prometheus text format, version 0.0.4.</summary>
internal sealed class PrometheusText
{
    /// <summary>The format's media type.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>What histograms of microseconds are divided by: Prometheus counts in seconds.</summary>
    public const double MicrosecondsPerSecond = 1_000_000;

    private readonly StringBuilder _text = new();
    private string _name = "";

    /// <summary>Begins a metric whose value only grows; its samples follow.</summary>
    public PrometheusText Counter(string name, string help) => Begin(name, "counter", help);

    /// <summary>Begins a metric whose value goes up and down; its samples follow.</summary>
    public PrometheusText Gauge(string name, string help) => Begin(name, "gauge", help);

    /// <summary>Begins a metric that counts by size; its samples follow.</summary>
    public PrometheusText Histogram(string name, string help) => Begin(name, "histogram", help);

    /// <summary>A sample.</summary>
    /// <param name="value">Its value.</param>
    /// <param name="labels">Names and values.</param>
    public PrometheusText Sample(double value, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        Line("", labels, null, value);
        return this;
    }

    /// <summary>The samples of a histogram.</summary>
    /// <param name="histogram">What was counted.</param>
    /// <param name="divisor">What its values are divided by.</param>
    /// <param name="labels">Names and values.</param>
    public PrometheusText Sample(Histogram histogram, double divisor, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        // The sum first: it may then be of fewer values than are counted, never of more.
        var sum = histogram.Sum / divisor;
        var counts = histogram.Cumulated();
        for (var bucket = 0; bucket < counts.Length; bucket++)
        {
            var bound = bucket < histogram.Bounds.Length
                ? (histogram.Bounds[bucket] / divisor).ToString(CultureInfo.InvariantCulture)
                : "+Inf";
            Line("_bucket", labels, bound, counts[bucket]);
        }

        Line("_sum", labels, null, sum);
        Line("_count", labels, null, counts[^1]);
        return this;
    }

    /// <summary>All that was written.</summary>
    public override string ToString() => _text.ToString();

    private PrometheusText Begin(string name, string type, string help)
    {
        _name = name;
        _text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");
        return this;
    }

    private void Line(string suffix, ReadOnlySpan<(string Name, string Value)> labels, string? bound, double value)
    {
        _text.Append(_name).Append(suffix);
        var separator = '{';
        foreach (var (name, labelValue) in labels)
        {
            _text.Append(CultureInfo.InvariantCulture, $"{separator}{name}=\"{Escape(labelValue)}\"");
            separator = ',';
        }

        if (bound is not null)
        {
            _text.Append(CultureInfo.InvariantCulture, $"{separator}le=\"{bound}\"");
            separator = ',';
        }

        _text.Append(CultureInfo.InvariantCulture, $"{(separator == ',' ? "}" : "")} {value:0.######}\n");
    }

    private static string Escape(string labelValue) => labelValue
        .Replace("\\", "\\\\", StringComparison.Ordinal)
        .Replace("\"", "\\\"", StringComparison.Ordinal)
        .Replace("\n", "\\n", StringComparison.Ordinal);
}
