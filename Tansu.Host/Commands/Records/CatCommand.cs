using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Records;

/// <summary>`tansu cat`: records from standard input and to standard output.</summary>
public static class CatCommand
{
    /// <summary>Writes or reads records with this process's own streams, until SIGINT or SIGTERM.</summary>
    /// <param name="settings">Where the cluster is.</param>
    /// <param name="task">What is asked.</param>
    /// <param name="version">The program's version, which it tells the brokers.</param>
    /// <returns>The exit code: 0 if all was done, 1 if something failed.</returns>
    public static async Task<int> RunHereAsync(ClientSettings settings, ClientTask task, string version)
    {
        var input = Console.OpenStandardInput();
        await using var output = new StandardOutput();
        return await Interruption.HeedAsync(stop => RunAsync(settings, task, version, input, output, Console.Error, stop)).ConfigureAwait(false);
    }

    /// <summary>Writes or reads records.</summary>
    /// <param name="settings">Where the cluster is.</param>
    /// <param name="task">What is asked.</param>
    /// <param name="version">The program's version, which it tells the brokers.</param>
    /// <param name="input">What to write.</param>
    /// <param name="output">Takes what was read.</param>
    /// <param name="errors">For failures and, when records were written, their number.</param>
    /// <param name="cancellationToken">Says to stop, which is no failure.</param>
    /// <returns>The exit code: 0 if all was done, 1 if something failed.</returns>
    public static async Task<int> RunAsync(
        ClientSettings settings,
        ClientTask task,
        string version,
        Stream input,
        Stream output,
        TextWriter errors,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(errors);
        var client = ClusterCommand.ClientOf(settings, version);
        await using var _ = client.ConfigureAwait(false);
        try
        {
            switch (task)
            {
                case ClientTask.ProduceRecords produce:
                    return await new ProduceCommand(client, produce.Item, input, errors).RunAsync(cancellationToken).ConfigureAwait(false) ? 0 : 1;
                case ClientTask.ConsumeRecords consume:
                    await new ConsumeCommand(client, consume.Item, output, errors).RunAsync(cancellationToken).ConfigureAwait(false);
                    return 0;
                default:
                    throw new ArgumentOutOfRangeException(nameof(task));
            }
        }
        catch (KafkaClientException failure)
        {
            await errors.WriteLineAsync($"tansu: {failure.Message.ReplaceLineEndings(" ")}").ConfigureAwait(false);
            return 1;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return 0;
        }
        catch (IOException closed) when (StandardOutput.IsClosed(closed))
        {
            return 0;
        }
        catch (IOException failure)
        {
            await errors.WriteLineAsync($"tansu: {failure.Message}").ConfigureAwait(false);
            return 1;
        }
    }
}
