using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands;

/// <summary>The commands that speak to a running cluster, over the Kafka protocol and so to any broker that speaks it.</summary>
public static class ClusterCommand
{
    /// <summary>Does what is asked.</summary>
    /// <param name="settings">Where the cluster is, and how to answer.</param>
    /// <param name="task">What is asked.</param>
    /// <param name="version">The program's version, which it tells the brokers.</param>
    /// <param name="output">For the answer.</param>
    /// <param name="errors">For failures, one line each.</param>
    /// <returns>The exit code: 0 if all was done, 1 if something failed.</returns>
    public static async Task<int> RunAsync(
        ClientSettings settings, ClientTask task, string version, TextWriter output, TextWriter errors)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(task);
        var answer = new CommandOutput(output, errors, settings.Json);
        var client = ClientOf(settings, version);
        await using var _ = client.ConfigureAwait(false);
        try
        {
            await RunAsync(client, task, answer, CancellationToken.None).ConfigureAwait(false);
        }
        catch (KafkaClientException failure)
        {
            answer.Fail(failure.Message);
        }

        return answer.HasFailed ? 1 : 0;
    }

    /// <summary>A client of the cluster that the flags name.</summary>
    internal static KafkaClient ClientOf(ClientSettings settings, string version) => new(new ClientOptions
    {
        BootstrapServers = settings.BootstrapServers,
        Timeout = TimeSpan.FromMilliseconds(settings.TimeoutMs),
        SoftwareVersion = version,
    });

    private static Task RunAsync(KafkaClient client, ClientTask task, CommandOutput output, CancellationToken cancellationToken) =>
        task switch
        {
            ClientTask.OnTopics topics => new TopicCommands(client, output).RunAsync(topics.Item, cancellationToken),
            ClientTask.OnGroups groups => new GroupCommands(client, output).RunAsync(groups.Item, cancellationToken),
            ClientTask.OnConfigs configs => new ConfigCommands(client, output).RunAsync(configs.Item, cancellationToken),
            _ => throw new ArgumentOutOfRangeException(nameof(task)),
        };
}
