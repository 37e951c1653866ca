using System.Diagnostics;
using System.Reflection;
using Tansu.Host;
using Tansu.Host.CommandLine;

var startedAt = Stopwatch.GetTimestamp();
var version = typeof(BrokerCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
switch (CommandLine.ParseHere(args, version, Environment.CurrentDirectory))
{
    case Command.Print print:
        Console.Out.WriteLine(print.text);
        return 0;
    case Command.Refuse refusal:
        Console.Error.WriteLine(refusal.text);
        return refusal.exitCode;
    case Command.RunBroker broker:
        // Libraries read the environment by themselves (the S3 client its credentials), so the file's variables go there.
        foreach (var (name, value) in broker.dotEnv)
        {
            Environment.SetEnvironmentVariable(name, value);
        }

        return await BrokerCommand.RunAsync(broker.options, version, startedAt).ConfigureAwait(false);
    default:
        return 2;
}
