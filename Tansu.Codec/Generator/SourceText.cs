using System.Text;

namespace Tansu.Codec.Generator;

/// <summary>C# text with indentation and blocks.</summary>
internal sealed class SourceText
{
    private readonly StringBuilder _text = new();
    private int _depth;

    public void Line(string line = "")
    {
        if (line.Length > 0)
        {
            _text.Append(' ', _depth * 4).Append(line);
        }

        _text.Append('\n');
    }

    public void Open(string head = "")
    {
        if (head.Length > 0)
        {
            Line(head);
        }

        Line("{");
        _depth++;
    }

    public void Close(string tail = "")
    {
        _depth--;
        Line("}" + tail);
    }

    /// <summary>A block with a condition, or just its content if the condition is empty.</summary>
    public void If(string condition, Action content)
    {
        if (condition.Length == 0)
        {
            content();
            return;
        }

        Open($"if ({condition})");
        content();
        Close();
    }

    public void Summary(string about) => Line($"/// <summary>{Escape(about)}</summary>");

    public void Parameter(string name, string about) => Line($"/// <param name=\"{name}\">{Escape(about)}</param>");

    public void Remarks(IReadOnlyList<string> sentences)
    {
        if (sentences.Count == 1)
        {
            Line($"/// <remarks>{Escape(sentences[0])}</remarks>");
        }
        else if (sentences.Count > 1)
        {
            Line("/// <remarks>");
            foreach (var sentence in sentences)
            {
                Line($"/// <para>{Escape(sentence)}</para>");
            }

            Line("/// </remarks>");
        }
    }

    public static string Escape(string text) => text
        .Replace("&", "&amp;", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace(">", "&gt;", StringComparison.Ordinal);

    public override string ToString() => _text.ToString();
}
