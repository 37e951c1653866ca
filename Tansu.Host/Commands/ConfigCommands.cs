using Tansu.Host.Client;
using Tansu.Host.CommandLine;
using Config = Tansu.Codec.Messages.DescribeConfigsResponse.DescribeConfigsResourceResult;

namespace Tansu.Host.Commands;

/// <summary>`tansu config`.</summary>
internal sealed class ConfigCommands(KafkaClient client, CommandOutput output)
{
    private readonly KafkaAdmin _admin = new(client);

    /// <summary>Does what is asked.</summary>
    /// <exception cref="KafkaClientException">It could not be done.</exception>
    public Task RunAsync(ConfigTask task, CancellationToken cancellationToken) => task switch
    {
        ConfigTask.GetConfigs get => GetAsync(Owner.Of(get.owner), get.names, get.defaults, get.explain, cancellationToken),
        ConfigTask.SetConfigs set => SetAsync(Owner.Of(set.owner), set.changes, cancellationToken),
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    private async Task GetAsync(Owner owner, string[] names, bool defaults, bool explain, CancellationToken cancellationToken)
    {
        var all = await DescribeAsync(owner, cancellationToken);
        foreach (var name in names)
        {
            if (!Array.Exists(all, config => config.Name == name))
            {
                output.Fail($"{owner}: there is no configuration {name}");
            }
        }

        var chosen = Array.FindAll(all, config =>
            names.Length > 0 ? Array.IndexOf(names, config.Name) >= 0 : defaults || ConfigWords.IsSet(config));
        Array.Sort(chosen, (one, other) => string.CompareOrdinal(one.Name, other.Name));
        if (explain)
        {
            Explain(chosen);
        }
        else
        {
            var table = new TextTable("CONFIG", "VALUE", "SOURCE");
            foreach (var config in chosen)
            {
                table.Add(config.Name, ValueOf(config), ConfigWords.Source(config.ConfigSource));
            }

            output.Table(table);
        }

        output.Document(json =>
        {
            json.WriteString("resource", owner.Word);
            json.WriteString("name", owner.Name);
            json.WriteObjects("configs", chosen, config =>
            {
                json.WriteString("name", config.Name);
                json.WriteString("value", config.Value);
                json.WriteString("source", ConfigWords.Source(config.ConfigSource));
                json.WriteBoolean("readOnly", config.ReadOnly);
                json.WriteBoolean("sensitive", config.IsSensitive);
                if (!explain)
                {
                    return;
                }

                json.WriteString("type", ConfigWords.Type(config.ConfigType));
                json.WriteString("documentation", config.Documentation);
                json.WriteObjects("synonyms", config.Synonyms, synonym =>
                {
                    json.WriteString("name", synonym.Name);
                    json.WriteString("value", synonym.Value);
                    json.WriteString("source", ConfigWords.Source(synonym.Source));
                });
            });
        });
    }

    private void Explain(Config[] configs)
    {
        foreach (var config in configs)
        {
            output.Line($"{config.Name} = {ValueOf(config)}");
            var notes = config.ReadOnly ? ", read-only" : "";
            output.Line($"    {ConfigWords.Type(config.ConfigType)}, {ConfigWords.Source(config.ConfigSource)}{notes}");
            foreach (var synonym in config.Synonyms)
            {
                output.Line($"    {ConfigWords.Source(synonym.Source)}: {synonym.Name} = {synonym.Value ?? "-"}");
            }

            if (!string.IsNullOrEmpty(config.Documentation))
            {
                output.Line($"    {config.Documentation.ReplaceLineEndings(" ")}");
            }
        }
    }

    private async Task SetAsync(Owner owner, ConfigChange[] changes, CancellationToken cancellationToken)
    {
        try
        {
            await _admin.AlterConfigsAsync(owner.Resource, owner.Name, changes, cancellationToken);
        }
        catch (KafkaClientException failure) when (failure.Error is not null)
        {
            output.Fail($"{owner}: {failure.Message}");
            return;
        }

        foreach (var change in changes)
        {
            output.Line(change.Value is null ? $"{owner}: {change.Name} deleted" : $"{owner}: {change.Name} = {change.Value}");
        }

        output.Document(json =>
        {
            json.WriteString("resource", owner.Word);
            json.WriteString("name", owner.Name);
            json.WriteObjects("changes", changes, change =>
            {
                json.WriteString("name", change.Name);
                json.WriteString("value", change.Value);
            });
        });
    }

    private async Task<Config[]> DescribeAsync(Owner owner, CancellationToken cancellationToken)
    {
        try
        {
            return await _admin.DescribeConfigsAsync(owner.Resource, owner.Name, cancellationToken);
        }
        catch (KafkaClientException failure) when (failure.Error is { } error)
        {
            throw new KafkaClientException(error with { Message = $"{owner}: {error.Message}" });
        }
    }

    private static string? ValueOf(Config config) => config.IsSensitive ? "(hidden)" : config.Value;

    /// <summary>What configurations belong to, as the config APIs name it.</summary>
    private sealed record Owner(ConfigResource Resource, string Word, string Name)
    {
        public static Owner Of(ConfigOwner owner) => owner switch
        {
            ConfigOwner.OfTopic topic => new Owner(ConfigResource.Topic, "topic", topic.name),
            ConfigOwner.OfBroker broker => new Owner(ConfigResource.Broker, "broker", TopicCommands.Number(broker.id)),
            ConfigOwner.OfGroup group => new Owner(ConfigResource.Group, "group", group.name),
            _ => new Owner(ConfigResource.Broker, "broker", ""),
        };

        public override string ToString() => Name.Length == 0 ? "all brokers" : $"{Word} {Name}";
    }
}
