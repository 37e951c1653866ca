using Tansu.Host.Client;

namespace Tansu.Host.Commands;

/// <summary>The answer of commands that do the same to several things.</summary>
internal static class Report
{
    /// <summary>Tells of each whether it was done; what was not goes to standard error too.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="kind">Such as `topic`; with an `s` the name of the array.</param>
    /// <param name="outcomes">What came of each.</param>
    /// <param name="done">What was done, such as `created`.</param>
    /// <param name="already">What is said instead where nothing had to be done: one word.</param>
    /// <param name="isDone">Whether an error means that nothing had to be done.</param>
    public static void Write(
        CommandOutput output,
        string kind,
        Outcome<string>[] outcomes,
        string done,
        string already = "",
        Func<KafkaError, bool>? isDone = null)
    {
        var rows = new List<Row>();
        foreach (var (name, error) in outcomes)
        {
            if (error is not { } failure)
            {
                rows.Add(new Row(name, done, null));
                output.Line($"{name}: {done}");
            }
            else if (isDone?.Invoke(failure) == true)
            {
                rows.Add(new Row(name, already, null));
                output.Line($"{name}: {already}");
            }
            else
            {
                rows.Add(new Row(name, "failed", failure));
                output.Fail($"{kind} {name}: {failure}");
            }
        }

        output.Document(json => json.WriteObjects($"{kind}s", rows, row =>
        {
            json.WriteString("name", row.Name);
            json.WriteString("result", row.Result);
            json.WriteError(row.Error);
        }));
    }

    private sealed record Row(string Name, string Result, KafkaError? Error);
}
