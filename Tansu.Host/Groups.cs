using System.Net;
using Tansu.Adapters.Groups;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec;
using Tansu.Domain;
using Tansu.Host.Handlers;
using Tansu.Host.Requests;

namespace Tansu.Host;

/// <summary>What handlers of consumer groups share: refusals and failures of the store turned into Kafka's errors.</summary>
internal static class Groups
{
    /// <summary>What a broker answers that cannot say anything about a group just now; clients look for the coordinator and ask again.</summary>
    private const ErrorCode NotNow = ErrorCode.CoordinatorNotAvailable;

    /// <summary>The coordinator of a group at this broker.</summary>
    public static GroupCoordinator CoordinatorOf(this Broker broker, string groupId) => broker.Cluster.ShardOf(groupId).Groups;

    /// <summary>Asks a group.</summary>
    /// <returns>The reply, or why there is none.</returns>
    public static ValueTask<(GroupReply? Reply, ErrorCode Error)> AskGroupAsync(this Broker broker, string groupId, GroupCommand command) =>
        AskGroupAsync(() => broker.CoordinatorOf(groupId).AskAsync(groupId, command, broker.Settings.CoordinatorTimeout));

    /// <summary>Asks a group.</summary>
    /// <param name="ask">Asks.</param>
    /// <param name="tooLarge">What it is called that the request is too much for the log.</param>
    /// <returns>The reply, or why there is none.</returns>
    public static async ValueTask<(GroupReply? Reply, ErrorCode Error)> AskGroupAsync(
        Func<Task<GroupReply>> ask,
        ErrorCode tooLarge = ErrorCode.UnknownServerError)
    {
        GroupReply? reply = null;
        var error = await GuardAsync(async () =>
        {
            reply = await ask();
            return reply is GroupReply.GroupRefused refused ? Errors.Of(refused.refusal) : ErrorCode.None;
        }, tooLarge);
        return (error == ErrorCode.None ? reply : null, error);
    }

    /// <summary>Learns what other brokers have done to groups.</summary>
    /// <returns>NONE, or that it cannot be known now.</returns>
    public static ValueTask<ErrorCode> CatchUpGroupsAsync(this Broker broker, IEnumerable<string> groupIds) => broker.CatchUpGroupsAsync(
        groupIds.Select(broker.CoordinatorOf).Distinct());

    /// <summary>Learns what other brokers have done to all groups of these coordinators.</summary>
    /// <returns>NONE, or that it cannot be known now.</returns>
    public static ValueTask<ErrorCode> CatchUpGroupsAsync(this Broker broker, IEnumerable<GroupCoordinator> coordinators) => GuardAsync(async () =>
    {
        await Task.WhenAll(coordinators.Select(coordinator => coordinator.CatchUpAsync(broker.Settings.CatchUpTimeout)));
        return ErrorCode.None;
    });

    /// <summary>The outcome of a request, with failures of the store turned into an error that clients retry.</summary>
    /// <param name="ask">Asks.</param>
    /// <param name="tooLarge">What it is called that the request is too much for the log: in Kafka too each API has its own name for that.</param>
    public static async ValueTask<ErrorCode> GuardAsync(Func<Task<ErrorCode>> ask, ErrorCode tooLarge = ErrorCode.UnknownServerError)
    {
        try
        {
            return await ask();
        }
        catch (Exception failure) when (failure is TimeoutException or StoreRefusedException)
        {
            return NotNow;
        }
        catch (EntryTooLargeException)
        {
            return tooLarge;
        }
    }

    /// <summary>The same for a request that waits for others, until the client or the broker goes away.</summary>
    public static async ValueTask<ErrorCode> GuardWaitAsync(
        this RequestContext context,
        Func<CancellationToken, Task<ErrorCode>> ask,
        CancellationToken cancellationToken)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, context.Stopping);
        try
        {
            return await GuardAsync(() => ask(both.Token));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return NotNow;
        }
    }

    /// <summary>The error of a refusal that may not be there.</summary>
    public static ErrorCode ErrorOf(Microsoft.FSharp.Core.FSharpValueOption<Refusal> refusal) =>
        refusal.IsSome ? Errors.Of(refusal.Value) : ErrorCode.None;

    /// <summary>A client's address as Kafka writes it.</summary>
    public static string HostOf(RequestContext context) =>
        IPEndPoint.TryParse(context.Connection.RemoteAddress, out var endpoint)
            ? $"/{(endpoint.Address.IsIPv4MappedToIPv6 ? endpoint.Address.MapToIPv4() : endpoint.Address)}"
            : $"/{context.Connection.RemoteAddress}";

    /// <summary>A group's state in Kafka's words.</summary>
    public static string StateOf(Group group) => group.Phase.Tag switch
    {
        GroupPhase.Tags.PreparingRebalance => "PreparingRebalance",
        GroupPhase.Tags.CompletingRebalance => "CompletingRebalance",
        GroupPhase.Tags.Stable => "Stable",
        _ => "Empty",
    };
}
