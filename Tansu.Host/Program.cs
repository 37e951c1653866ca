using System.Diagnostics;
using System.Reflection;
using Tansu.Host;
using Tansu.Host.CommandLine;
using Tansu.Host.Commands;
using Tansu.Host.Commands.Perf;
using Tansu.Host.Commands.Records;

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
        Publish(broker.dotEnv);
        return await BrokerCommand.RunAsync(broker.options, version, startedAt).ConfigureAwait(false);
    case Command.VerifyStore verify:
        Publish(verify.dotEnv);
        return await VerifyStoreCommand.RunAsync(verify.storageEngine, verify.rounds, verify.json, Console.Out, Console.Error).ConfigureAwait(false);
    case Command.DumpStore dump:
        Publish(dump.dotEnv);
        return await Interruption.HeedAsync(
            stop => DumpCommand.RunAsync(dump.storageEngine, dump.task, Console.Out, Console.Error, stop)).ConfigureAwait(false);
    case Command.UseCluster { task: ClientTask.ProduceRecords or ClientTask.ConsumeRecords } cat:
        return await CatCommand.RunHereAsync(cat.settings, cat.task, version).ConfigureAwait(false);
    case Command.UseCluster { task: ClientTask.Measure measure } perf:
        return await Interruption.HeedAsync(
            stop => PerfCommand.RunAsync(perf.settings, measure.Item, version, Console.Out, Console.Error, stop)).ConfigureAwait(false);
    case Command.UseCluster use:
        return await ClusterCommand.RunAsync(use.settings, use.task, version, Console.Out, Console.Error).ConfigureAwait(false);
    default:
        return 2;
}

// Libraries read the environment by themselves (the S3 client its credentials), so the `.env` file's variables go there.
static void Publish(IReadOnlyDictionary<string, string> dotEnv)
{
    foreach (var (name, value) in dotEnv)
    {
        Environment.SetEnvironmentVariable(name, value);
    }
}
