using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <summary>
/// A client of any Kafka cluster: keeps one connection to each broker that it talks to, knows who leads, coordinates and controls, and
/// repeats what may work in a moment. May be used by several tasks at once.
/// </summary>
internal sealed class KafkaClient(ClientOptions options) : IAsyncDisposable
{
    private readonly SemaphoreSlim _opening = new(1, 1);
    private readonly Dictionary<Endpoint, KafkaConnection> _connections = [];
    private volatile ClusterMetadata? _brokers;

    /// <summary>How it was told to behave.</summary>
    public ClientOptions Options { get; } = options;

    /// <summary>A connection to any broker: one that is open, else one of those known, else a bootstrap server.</summary>
    /// <exception cref="KafkaClientException">None of them can be reached.</exception>
    public async Task<KafkaConnection> AnyAsync(CancellationToken cancellationToken)
    {
        KafkaClientException? failure = null;
        foreach (var address in (IEnumerable<Endpoint>)[.. Options.BootstrapServers, .. _brokers?.Nodes.Values ?? []])
        {
            try
            {
                return await ConnectAsync(address, cancellationToken);
            }
            catch (KafkaClientException unreachable)
            {
                failure = failure is null
                    ? unreachable
                    : new KafkaClientException(
                        $"{failure.Message}; {unreachable.Message}", failure.IsRetriable && unreachable.IsRetriable, unreachable);
            }
        }

        // Nothing has ever answered: whoever typed the address should hear of it now and not after all retries.
        throw _brokers is null && failure is not null
            ? new KafkaClientException(failure.Message, isRetriable: false, failure)
            : failure ?? new KafkaClientException("no bootstrap server is given", isRetriable: false);
    }

    /// <summary>A connection to a broker by its id.</summary>
    /// <exception cref="KafkaClientException">There is no such broker (any more), or it cannot be reached.</exception>
    public async Task<KafkaConnection> NodeAsync(int nodeId, CancellationToken cancellationToken)
    {
        var brokers = _brokers;
        if (brokers is null || !brokers.Nodes.ContainsKey(nodeId))
        {
            brokers = await MetadataAsync([], cancellationToken);
        }

        return brokers.Nodes.TryGetValue(nodeId, out var address)
            ? await ConnectAsync(address, cancellationToken)
            : throw new KafkaClientException($"there is no broker {nodeId}", isRetriable: false);
    }

    /// <summary>A connection to the controller, which creates, alters and deletes topics; to any broker if none is named.</summary>
    public async Task<KafkaConnection> ControllerAsync(CancellationToken cancellationToken)
    {
        var brokers = await MetadataAsync([], cancellationToken);
        return brokers.Nodes.TryGetValue(brokers.ControllerId, out var address)
            ? await ConnectAsync(address, cancellationToken)
            : await AnyAsync(cancellationToken);
    }

    /// <summary>A connection to the coordinator of a group or of a transactional id.</summary>
    public async Task<KafkaConnection> CoordinatorAsync(CoordinatorType type, string key, CancellationToken cancellationToken)
    {
        const short firstWithKeys = 4;
        const short firstWithType = 1;
        var connection = await AnyAsync(cancellationToken);
        var version = connection.VersionOf<FindCoordinatorRequest>();
        if (type != CoordinatorType.Group && version < firstWithType)
        {
            throw new KafkaClientException("the broker knows no transactions", isRetriable: false);
        }

        var request = version >= firstWithKeys
            ? new FindCoordinatorRequest { KeyType = (sbyte)type, CoordinatorKeys = [key] }
            : new FindCoordinatorRequest { KeyType = (sbyte)type, Key = key };
        var response = await connection.AskAsync<FindCoordinatorRequest, FindCoordinatorResponse>(request, version, cancellationToken);
        if (version < firstWithKeys)
        {
            KafkaError.ThrowIf(response.ErrorCode, response.ErrorMessage);
            return await ConnectAsync(new Endpoint(response.Host, response.Port), cancellationToken);
        }

        var coordinator = response.Coordinators.Length == 1
            ? response.Coordinators[0]
            : throw new KafkaClientException("FindCoordinator was not answered", isRetriable: false);
        KafkaError.ThrowIf(coordinator.ErrorCode, coordinator.ErrorMessage);
        return await ConnectAsync(new Endpoint(coordinator.Host, coordinator.Port), cancellationToken);
    }

    /// <summary>Asks for topics, without creating any. Each answer renews what is known of the brokers.</summary>
    /// <param name="topics">Their names; null for all, empty for the brokers alone.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<ClusterMetadata> MetadataAsync(string[]? topics, CancellationToken cancellationToken) =>
        MetadataAsync(topics, createsTopics: false, cancellationToken);

    /// <summary>Asks for a topic, which the broker creates if it does so for producers, until it has leaders.</summary>
    /// <exception cref="KafkaClientException">There is no such topic, and the broker creates none.</exception>
    public async Task<ClusterMetadata> CreatedTopicAsync(string topic, CancellationToken cancellationToken)
    {
        const int mostUnknown = 5;
        var unknown = 0;
        return await RetryAsync(
            async token =>
            {
                var metadata = await MetadataAsync([topic], createsTopics: true, token);
                if (metadata.Topics.TryGetValue(topic, out var answer)
                    && answer.ErrorCode == ErrorCode.UnknownTopicOrPartition
                    && ++unknown < mostUnknown)
                {
                    // Being created: brokers answer so at first.
                    throw new KafkaClientException(KafkaError.Of(answer.ErrorCode)!.Message, isRetriable: true);
                }

                foreach (var partition in metadata.Topic(topic).Partitions)
                {
                    metadata.LeaderOf(topic, partition.PartitionIndex);
                }

                return metadata;
            },
            cancellationToken);
    }

    private async Task<ClusterMetadata> MetadataAsync(
        string[]? topics, bool createsTopics, CancellationToken cancellationToken)
    {
        var connection = await AnyAsync(cancellationToken);
        var version = connection.VersionOf<MetadataRequest>();
        var request = new MetadataRequest
        {
            // Version 0 says "all" by an empty array, and cannot ask for none.
            Topics = topics is null
                ? version == 0 ? [] : null
                : Array.ConvertAll(topics, name => new MetadataRequest.MetadataRequestTopic { Name = name }),
            AllowAutoTopicCreation = createsTopics,
        };
        var response = await connection.AskAsync<MetadataRequest, MetadataResponse>(request, version, cancellationToken);
        KafkaError.ThrowIf(response.ErrorCode);
        var metadata = new ClusterMetadata(response);
        if (metadata.Nodes.Count > 0)
        {
            _brokers = metadata;
        }

        return metadata;
    }

    /// <summary>
    /// Repeats an attempt as long as its failure is one that may pass, with growing waits, up to <see cref="ClientOptions.Timeout"/>.
    /// </summary>
    /// <param name="attempt">Asks anew who is to be asked: the cause of a retry is often that another broker is.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="KafkaClientException">It failed for good, or for too long.</exception>
    public async Task<T> RetryAsync<T>(Func<CancellationToken, Task<T>> attempt, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(Options.Timeout, Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        KafkaClientException? last = null;
        for (var wait = Options.Backoff; ; wait = wait * 2 < Options.MaxBackoff ? wait * 2 : Options.MaxBackoff)
        {
            try
            {
                return await attempt(either.Token);
            }
            catch (KafkaClientException failure) when (failure.IsRetriable && !deadline.IsCancellationRequested)
            {
                last = failure;
            }
            catch (OperationCanceledException) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                throw TookTooLong(last);
            }

            try
            {
                await Task.Delay(wait, Options.TimeProvider, either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw TookTooLong(last);
            }
        }
    }

    /// <summary>Closes all connections.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var connection in _connections.Values)
        {
            await connection.DisposeAsync();
        }

        _connections.Clear();
        _opening.Dispose();
    }

    private KafkaClientException TookTooLong(KafkaClientException? last)
    {
        var reason = last is null ? "no broker answered" : last.Message;
        return new KafkaClientException($"not done within {Options.Timeout.TotalMilliseconds:F0} ms: {reason}", isRetriable: false, last);
    }

    private async Task<KafkaConnection> ConnectAsync(Endpoint address, CancellationToken cancellationToken)
    {
        await _opening.WaitAsync(cancellationToken);
        try
        {
            if (_connections.TryGetValue(address, out var connection))
            {
                if (connection.IsOpen)
                {
                    return connection;
                }

                _connections.Remove(address);
                await connection.DisposeAsync();
            }

            connection = await KafkaConnection.ConnectAsync(address, Options, cancellationToken);
            _connections.Add(address, connection);
            return connection;
        }
        finally
        {
            _opening.Release();
        }
    }
}
