using Tansu.Host.CommandLine;

var command = CommandLine.ParseHere(args, "0.1.0", Environment.CurrentDirectory);
Console.WriteLine(command switch
{
    Command.Print print => print.text,
    Command.Refuse refuse => $"{refuse.exitCode} {refuse.text}",
    Command.RunBroker run => run.options.ToString(),
    _ => "?",
});
return 0;
