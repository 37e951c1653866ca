using Tansu.Codec;
using Tansu.Domain;
using Tansu.Host.Handlers;

namespace Tansu.Host;

/// <summary>One configuration that a request changes.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Operation">What to do: 0 set, 1 delete, 2 append, 3 subtract (KIP-339).</param>
/// <param name="Value">The value, where the operation takes one.</param>
internal readonly record struct AlteredConfig(string Name, sbyte Operation, string? Value);

/// <summary>One resource that a request changes.</summary>
internal sealed record AlteredResource(sbyte Type, string Name, AlteredConfig[] Configs);

/// <summary>What became of one resource.</summary>
internal readonly record struct AlteredResult(ErrorCode Error, string? Message);

/// <summary>Changes configurations, for AlterConfigs and IncrementalAlterConfigs alike.</summary>
internal static class ConfigAlteration
{
    private const sbyte Set = 0;
    private const sbyte Delete = 1;
    private const sbyte Append = 2;
    private const sbyte Subtract = 3;

    /// <summary>Judges every resource by itself, and applies what is sound with one command.</summary>
    public static async ValueTask<AlteredResult[]> AlterAsync(Broker broker, AlteredResource[] resources, bool replacesAll, bool validateOnly)
    {
        var results = new AlteredResult[resources.Length];
        var sound = new List<(int Index, TopicConfigChanges Changes)>();
        var owned = new List<(int Index, OwnerConfigChanges Changes)>();
        for (var index = 0; index < resources.Length; index++)
        {
            var resource = resources[index];
            var isRepeated = resources.Count(other => other.Type == resource.Type && other.Name == resource.Name) > 1;
            results[index] = isRepeated
                ? new AlteredResult(ErrorCode.InvalidRequest, "Each resource must appear at most once.")
                : Check(broker, resource);
            if (results[index].Error != ErrorCode.None)
            {
                continue;
            }

            ConfigChange[] changes = [.. resource.Configs.Select(ToChange)];
            if (ConfigResources.OwnerOf(resource) is { } owner)
            {
                owned.Add((index, new OwnerConfigChanges(owner, replacesAll, changes)));
            }
            else
            {
                sound.Add((index, new TopicConfigChanges(resource.Name, replacesAll, changes)));
            }
        }

        var command = CatalogCommand.NewAlterTopicConfigs([.. sound.Select(static item => item.Changes)], validateOnly);
        var outcomes = await broker.JudgeTopicsAsync(command, sound.Count, 0);
        for (var place = 0; place < sound.Count; place++)
        {
            results[sound[place].Index] = new AlteredResult(outcomes[place].Error, outcomes[place].Message);
        }

        foreach (var (index, changes) in owned)
        {
            results[index] = await broker.AlterOwnerConfigsAsync(changes, validateOnly);
        }

        return results;
    }

    private static AlteredResult Check(Broker broker, AlteredResource resource)
    {
        if (resource.Configs.Select(static config => config.Name).Distinct(StringComparer.Ordinal).Count() != resource.Configs.Length)
        {
            return Invalid("Error due to duplicate config keys");
        }

        var nulls = resource.Configs.Where(static config => config.Operation != Delete && config.Value is null).Select(static config => config.Name).ToArray();
        if (nulls.Length > 0)
        {
            return Invalid($"Null value not supported for : {string.Join(", ", nulls)}");
        }

        var unknown = Array.Find(resource.Configs, static config => config.Operation is < Set or > Subtract);
        if (unknown.Name is not null)
        {
            return Invalid($"Unknown operations type {unknown.Operation}");
        }

        return (ConfigResource)resource.Type switch
        {
            ConfigResource.Topic => new AlteredResult(ErrorCode.None, null),
            ConfigResource.Broker when resource.Name.Length > 0 && ConfigResources.CheckBroker(broker, resource.Name) is { } problem => Invalid(problem),
            ConfigResource.Broker when resource.Name.Length > 0 => Invalid(
                "A single broker's configurations are set by flags and environment when it starts. Defaults of topics can be changed for all brokers: name none."),
            ConfigResource.Group when resource.Name.Length == 0 => Invalid("Group name must not be empty"),
            ConfigResource.Broker or ConfigResource.Group => new AlteredResult(ErrorCode.None, null),
            ConfigResource.BrokerLogger => Invalid("The log level is set by --log-level when the broker starts; it cannot be changed while it runs."),
            ConfigResource.ClientMetrics => Invalid("This broker asks for no client metrics."),
            _ => Invalid($"Unknown resource type {resource.Type}"),
        };
    }

    private static AlteredResult Invalid(string message) => new(ErrorCode.InvalidRequest, message);

    private static ConfigChange ToChange(AlteredConfig config) => config.Operation switch
    {
        Delete => ConfigChange.NewDeleteConfig(config.Name),
        Append => ConfigChange.NewAppendConfig(config.Name, config.Value!),
        Subtract => ConfigChange.NewSubtractConfig(config.Name, config.Value!),
        _ => ConfigChange.NewSetConfig(config.Name, config.Value!),
    };
}
