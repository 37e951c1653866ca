using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Groups;

using ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>;

/// <summary>
/// The groups of one shard at one broker. Every broker has one for every shard, and none is in charge: what has happened is in the log, and what
/// is left to a broker is to hold requests until the state answers them, to hear heartbeats, and to say when time is up.
/// </summary>
/// <remarks>As in <see cref="Replica{TState,TCommand,TEvent,TReply}"/>, nothing here uses the thread pool by name.</remarks>
public sealed class GroupCoordinator : IAsyncDisposable
{
    private readonly ShardReplica _replica;
    private readonly GroupCoordinatorOptions _options;
    private readonly GroupClocks _clocks;
    private readonly ChangeWaiters<string> _waiters = new();
    private readonly Bell _bell;

    /// <summary>Tells commits that this broker took from those of others, and of its own former lives.</summary>
    private readonly long _nonce;
    private readonly Task _loop;
    private volatile bool _isStopping;

    /// <summary>Begins to look after the groups of a shard.</summary>
    /// <param name="replica">The shard's log.</param>
    /// <param name="options">Clock and times.</param>
    public GroupCoordinator(ShardReplica replica, GroupCoordinatorOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _replica = replica;
        _options = options;
        _clocks = new GroupClocks(options);
        _bell = new Bell(options.TimeProvider);
        _nonce = options.Random.NextInt64();
        _loop = RunAsync();
    }

    /// <summary>A group in the newest published state; null if nothing is known of it.</summary>
    public Group? Find(string groupId) =>
        _replica.Current.State.Groups.TryGetValue(groupId, out var group) && !GroupModule.isForgotten(group) ? group : null;

    /// <summary>Asks a group. The reply is true at the log's end, and what it says is in the store.</summary>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public async Task<GroupReply> AskAsync(string groupId, GroupCommand command, TimeSpan timeout)
    {
        var reply = await _replica.SubmitAsync(ShardCommand.NewAskGroup(groupId, command), Payload.None, timeout);
        return ((ShardReply.GroupAnswered)reply).reply;
    }

    /// <summary>OffsetCommit. Commits are decided in the order in which this is called.</summary>
    /// <param name="groupId">The group.</param>
    /// <param name="memberId">Empty for a client that is no member.</param>
    /// <param name="instanceId">Null unless it is a static member.</param>
    /// <param name="generation">-1 for a client that is no member.</param>
    /// <param name="offsets">What to remember.</param>
    /// <param name="timeout">For the store.</param>
    /// <returns><c>OffsetsJudged</c> or <c>GroupRefused</c>.</returns>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public Task<GroupReply> CommitAsync(
        string groupId,
        string memberId,
        string? instanceId,
        int generation,
        OffsetToCommit[] offsets,
        TimeSpan timeout)
    {
        var known = Known(groupId).Members.TryGetValue(memberId, out var member) ? member.CommitEntry : 0;
        return AskAsync(
            groupId,
            GroupCommand.NewCommitOffsets(new GroupCommit(memberId, instanceId, generation, _nonce, known, offsets)),
            timeout);
    }

    /// <summary>JoinGroup: waits until the generation is there that has the member, or it is out.</summary>
    /// <param name="groupId">The group.</param>
    /// <param name="join">What the member says.</param>
    /// <param name="timeout">For the store.</param>
    /// <param name="cancellationToken">The member no longer waits.</param>
    /// <returns><c>JoinRefused</c> or <c>JoinedAtOnce</c>.</returns>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    /// <exception cref="OperationCanceledException">The member no longer waits, or the broker stops.</exception>
    public async Task<GroupReply> JoinAsync(string groupId, GroupJoin join, TimeSpan timeout, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(join);
        var reply = await AskAsync(groupId, GroupCommand.NewJoin(join), timeout);
        if (reply is not GroupReply.JoinAwaits awaits)
        {
            if (reply is GroupReply.JoinedAtOnce joined)
            {
                Hear(groupId, joined.joined.MemberId);
            }

            return reply;
        }

        using var alive = Hold(groupId, awaits.memberId, isInLog: true);
        return await WaitAsync(groupId, group => GroupModule.joinProgress(awaits.memberId, join.InstanceId, awaits.generation, group) switch
        {
            JoinProgress.HasJoinedGroup joined => GroupReply.NewJoinedAtOnce(joined.joined),
            JoinProgress.JoinFailed failed => GroupReply.NewJoinRefused(failed.refusal, awaits.memberId),
            _ => null,
        }, cancellationToken);
    }

    /// <summary>SyncGroup: waits until the leader has assigned, or everybody has to join again.</summary>
    /// <param name="groupId">The group.</param>
    /// <param name="sync">What the member says.</param>
    /// <param name="timeout">For the store.</param>
    /// <param name="cancellationToken">The member no longer waits.</param>
    /// <returns><c>IsAssigned</c> or <c>SyncFailed</c>.</returns>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    /// <exception cref="OperationCanceledException">The member no longer waits, or the broker stops.</exception>
    public async Task<SyncProgress> SyncAsync(string groupId, GroupSync sync, TimeSpan timeout, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(sync);
        using var alive = Hold(groupId, sync.MemberId, isInLog: false);
        if (GroupModule.syncProgress(sync, Known(groupId)).IsSyncFailed)
        {
            // A refusal is true only at the log's end.
            await _replica.CatchUpAsync(timeout);
        }

        if (GroupModule.syncProgress(sync, Known(groupId)).IsBringsAssignment)
        {
            await AskAsync(groupId, GroupCommand.NewSync(sync), timeout);
        }

        return await WaitAsync(groupId, group => GroupModule.syncProgress(sync, group) switch
        {
            { IsStillSyncing: true } => null,

            // It became the leader by the departure of another, which also began a new round.
            { IsBringsAssignment: true } => SyncProgress.NewSyncFailed(Refusal.RebalanceInProgress),
            var progress => progress,
        }, cancellationToken);
    }

    /// <summary>Heartbeat. Writes nothing; reads the log's end unless it was seen a moment ago.</summary>
    /// <returns>Why the member has to do something; null if all is well.</returns>
    /// <exception cref="TimeoutException">The store did not answer, so that a refusal might be wrong.</exception>
    public async Task<Refusal?> HeartbeatAsync(string groupId, string memberId, string? instanceId, int generation, TimeSpan timeout)
    {
        Hear(groupId, memberId);
        try
        {
            await _replica.CatchUpAsync(_options.HeartbeatMaxAge, timeout);
        }
        catch (TimeoutException)
        {
            // As long as nothing speaks against the member it is told that all is well: that the store is away is no reason to rebalance.
        }

        // Perhaps it has only become known now.
        Hear(groupId, memberId);
        var refusal = GroupModule.heartbeat(memberId, instanceId, generation, Known(groupId));
        if (refusal.IsSome && !refusal.Value.IsRebalanceInProgress)
        {
            await _replica.CatchUpAsync(timeout);
            refusal = GroupModule.heartbeat(memberId, instanceId, generation, Known(groupId));
            Hear(groupId, memberId);
        }

        return refusal.IsSome ? refusal.Value : null;
    }

    /// <summary>Reads what other brokers have done.</summary>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    public async Task CatchUpAsync(TimeSpan timeout) => await _replica.CatchUpAsync(timeout);

    /// <summary>Ends when this has stopped; faulted when the store refuses for good, or on a bug.</summary>
    public Task Completion => _loop;

    /// <summary>Begins to stop looking after the groups; requests that wait are cancelled.</summary>
    public void Stop()
    {
        _isStopping = true;
        _waiters.WakeAll();
        _bell.Ring();
    }

    /// <summary>Waits until it has stopped. The replica must have been stopped, since it may be waiting for it.</summary>
    public async ValueTask DisposeAsync()
    {
        Stop();
        await _loop.Settled();
    }

    /// <summary>The state shows these events now.</summary>
    internal void OnPublished(IReadOnlyList<ShardEvent> events)
    {
        HashSet<string>? changed = null;
        for (var index = 0; index < events.Count; index++)
        {
            if (events[index] is ShardEvent.GroupChanged happened)
            {
                (changed ??= []).Add(happened.groupId);
            }
        }

        if (changed is null)
        {
            return;
        }

        var isNews = false;
        foreach (var groupId in changed)
        {
            isNews |= _clocks.Learn(groupId, Find(groupId));
            _waiters.Wake(groupId);
        }

        if (isNews)
        {
            _bell.Ring();
        }
    }

    /// <summary>Anything may have changed.</summary>
    internal void OnSkipped()
    {
        _clocks.LearnAll(() => _replica.Current.State.Groups);
        _waiters.WakeAll();
        _bell.Ring();
    }

    private void Hear(string groupId, string memberId)
    {
        if (_clocks.Hear(groupId, memberId))
        {
            _bell.Ring();
        }
    }

    /// <summary>Rings, since the loop may have planned before it knew that the group is this broker's business.</summary>
    private IDisposable Hold(string groupId, string memberId, bool isInLog)
    {
        var hold = _clocks.Hold(groupId, memberId, isInLog, out var isNews);
        if (isNews)
        {
            _bell.Ring();
        }

        return hold;
    }

    private Group Known(string groupId) => Find(groupId) ?? GroupModule.initial;

    /// <summary>Waits until the group's state gives an answer.</summary>
    private async Task<TAnswer> WaitAsync<TAnswer>(string groupId, Func<Group, TAnswer?> answer, CancellationToken cancellationToken)
        where TAnswer : class
    {
        using var following = _replica.Follow();
        using var waiter = _waiters.Register([groupId]);
        await using var registration = cancellationToken.UnsafeRegister(static waiter => ((ChangeWaiters<string>.Waiter)waiter!).Signal(), waiter);
        while (true)
        {
            waiter.Rearm();
            if (answer(Known(groupId)) is { } found)
            {
                return found;
            }

            cancellationToken.ThrowIfCancellationRequested();
            if (_isStopping)
            {
                throw new OperationCanceledException("The broker is stopping.");
            }

            await waiter.Changed;
        }
    }

    private async Task RunAsync()
    {
        // Whoever opens the shard goes on at once.
        await Task.Yield();
        _clocks.LearnAll(() => _replica.Current.State.Groups);
        var clock = _options.TimeProvider;
        while (!_isStopping)
        {
            _bell.Hush();
            try
            {
                var nextIn = await ActAsync();
                var planned = clock.GetTimestamp();
                await _bell.WaitAsync(nextIn);
                if (nextIn != Timeout.InfiniteTimeSpan && clock.GetElapsedTime(planned) > nextIn + _options.Oversleep)
                {
                    _clocks.Restart();
                }
            }
            catch (Exception failure) when (failure is TimeoutException or StoreUnavailableException)
            {
                _options.OnNotice?.Invoke($"consumer groups: {failure.Message} Members get their whole session again.");
                _clocks.Restart();
            }
        }
    }

    /// <summary>Does what is due. How long until something else is.</summary>
    private async Task<TimeSpan> ActAsync()
    {
        if (_options.IsShared && _clocks.Plan(_replica.Current.State.Groups, isTrial: true).Expiries.Count > 0)
        {
            // Other brokers may have heard of those that this one has not.
            var asked = _options.TimeProvider.GetTimestamp();
            await _replica.CatchUpAsync(_options.StoreTimeout);
            RestartIfSlow(asked);
        }

        var plan = _clocks.Plan(_replica.Current.State.Groups, isTrial: false);
        var tasks = new List<Task>();
        foreach (var (groupId, command) in plan.PhaseEnds)
        {
            tasks.Add(AskAsync(groupId, command, _options.StoreTimeout));
        }

        foreach (var (groupId, command) in plan.Expiries)
        {
            tasks.Add(AskAsync(groupId, command, _options.StoreTimeout));
        }

        if (plan.Marks.Count > 0)
        {
            tasks.Add(MarkAsync([.. plan.Marks]));
        }

        if (tasks.Count == 0)
        {
            return plan.NextIn;
        }

        // Not Task.WhenAll, which would go through the thread pool. What else fails would fail for all.
        var begun = _options.TimeProvider.GetTimestamp();
        foreach (var task in tasks)
        {
            try
            {
                await task;
            }
            catch (EntryTooLargeException tooLarge)
            {
                _options.OnNotice?.Invoke($"consumer groups: {tooLarge.Message}");
            }
        }

        RestartIfSlow(begun);
        return TimeSpan.Zero;
    }

    /// <summary>
    /// A store that was slow for this broker was probably so for the others, which could not tell of what they heard. Once: where every commit is slow
    /// the silent would never be found otherwise.
    /// </summary>
    private void RestartIfSlow(long begun)
    {
        if (_options.TimeProvider.GetElapsedTime(begun) > _options.Oversleep)
        {
            _clocks.Restart(isOnce: true);
        }
    }

    private async Task MarkAsync((string GroupId, string[] MemberIds)[] marks) =>
        await _replica.SubmitAsync(ShardCommand.NewMarkMembersSeen(marks), Payload.None, _options.StoreTimeout);
}
