using System.Globalization;
using System.Text;

namespace Tansu.Host.Commands;

/// <summary>A table for people: a row of headings and rows of cells, in columns as wide as they need to be.</summary>
/// <param name="headings">What stands above each column. A column whose cells are all numbers is set to the right.</param>
internal sealed class TextTable(params string[] headings)
{
    private const string Gap = "  ";
    private const string Nothing = "-";

    private readonly List<string[]> _rows = [];

    /// <summary>Whether there are no rows.</summary>
    public bool IsEmpty => _rows.Count == 0;

    /// <summary>Adds a row, one cell for each heading; null and empty are shown as `-`.</summary>
    public void Add(params string?[] cells)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(cells.Length, headings.Length);
        _rows.Add(Array.ConvertAll(cells, cell => string.IsNullOrEmpty(cell) ? Nothing : OnOneLine(cell)));
    }

    /// <summary>The lines, each ended, without blanks at their ends.</summary>
    public override string ToString()
    {
        var widths = new int[headings.Length];
        var isNumeric = new bool[headings.Length];
        for (var column = 0; column < headings.Length; column++)
        {
            widths[column] = headings[column].Length;
            foreach (var row in _rows)
            {
                widths[column] = Math.Max(widths[column], row[column].Length);
            }

            isNumeric[column] = _rows.TrueForAll(row => IsNumber(row[column])) && _rows.Exists(row => row[column] != Nothing);
        }

        var text = new StringBuilder();
        Append(headings);
        _rows.ForEach(Append);
        return text.ToString();

        void Append(string[] row)
        {
            var line = new StringBuilder();
            for (var column = 0; column < row.Length; column++)
            {
                line.Append(isNumeric[column] ? row[column].PadLeft(widths[column]) : row[column].PadRight(widths[column])).Append(Gap);
            }

            text.Append(line.ToString().TrimEnd()).Append('\n');
        }
    }

    // Whatever a broker or a client calls itself cannot break the table, or the terminal.
    private static string OnOneLine(string cell)
    {
        var characters = cell.ToCharArray();
        for (var i = 0; i < characters.Length; i++)
        {
            characters[i] = char.IsControl(characters[i]) ? '?' : characters[i];
        }

        return new string(characters);
    }

    private static bool IsNumber(string cell) => cell == Nothing || long.TryParse(cell, CultureInfo.InvariantCulture, out _);
}
