using System.Text;

namespace Tansu.Host.Commands;

/// <summary>A table for people: a row of headings and rows of cells, in columns as wide as they need to be.</summary>
/// <param name="headings">What stands above each column. A column whose cells are all numbers is set to the right.</param>
internal sealed class TextTable(params string[] headings)
{
    private const string Gap = "  ";

    private readonly List<string[]> _rows = [];

    /// <summary>Whether there are no rows.</summary>
    public bool IsEmpty => _rows.Count == 0;

    /// <summary>Adds a row, one cell for each heading; null and empty are shown as `-`.</summary>
    public void Add(params string?[] cells)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(cells.Length, headings.Length);
        _rows.Add([.. cells.Select(cell => string.IsNullOrEmpty(cell) ? "-" : OnOneLine(cell))]);
    }

    /// <summary>The lines, each ended, without blanks at their ends.</summary>
    public override string ToString()
    {
        var widths = new int[headings.Length];
        var isNumeric = new bool[headings.Length];
        for (var column = 0; column < headings.Length; column++)
        {
            widths[column] = _rows.Select(row => row[column].Length).Append(headings[column].Length).Max();
            isNumeric[column] = _rows.Count > 0 && _rows.All(row => row[column].All(character => char.IsAsciiDigit(character) || character == '-'));
        }

        var text = new StringBuilder();
        foreach (var row in _rows.Prepend(headings))
        {
            var line = string.Join(Gap, row.Select((cell, column) =>
                isNumeric[column] ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column])));
            text.Append(line.TrimEnd()).Append('\n');
        }

        return text.ToString();
    }

    // Whatever a broker or a client calls itself cannot break the table, or the terminal.
    private static string OnOneLine(string cell) =>
        cell.Any(char.IsControl) ? string.Concat(cell.Select(character => char.IsControl(character) ? '?' : character)) : cell;
}
