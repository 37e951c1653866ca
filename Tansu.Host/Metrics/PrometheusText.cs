using System.Globalization;
using System.Text;

namespace Tansu.Host.Metrics;

/// <summary>Writes metrics in the Prometheus text format, version 0.0.4.</summary>
internal sealed class PrometheusText
{
    /// <summary>The format's media type.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder _text = new();
    private string _name = "";

    /// <summary>Begins a metric whose value only grows; its samples follow.</summary>
    public PrometheusText Counter(string name, string help) => Begin(name, "counter", help);

    /// <summary>Begins a metric whose value goes up and down; its samples follow.</summary>
    public PrometheusText Gauge(string name, string help) => Begin(name, "gauge", help);

    /// <summary>A sample without a label.</summary>
    public PrometheusText Sample(double value)
    {
        _text.Append(CultureInfo.InvariantCulture, $"{_name} {value:0.###}\n");
        return this;
    }

    /// <summary>A sample with a label.</summary>
    public PrometheusText Sample(string label, string labelValue, long value)
    {
        _text.Append(CultureInfo.InvariantCulture, $"{_name}{{{label}=\"{Escape(labelValue)}\"}} {value}\n");
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

    private static string Escape(string labelValue) => labelValue
        .Replace("\\", "\\\\", StringComparison.Ordinal)
        .Replace("\"", "\\\"", StringComparison.Ordinal)
        .Replace("\n", "\\n", StringComparison.Ordinal);
}
