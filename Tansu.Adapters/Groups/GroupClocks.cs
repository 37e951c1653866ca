using System.Runtime.InteropServices;
using Tansu.Domain;

namespace Tansu.Adapters.Groups;

/// <summary>
/// What one broker has learned of groups and when, by its own clock: when a phase began, when a member last gave a sign of life. Times
/// of other brokers never enter into it; whether something is still as it was is decided at the log's end. Safe to use from any thread.
/// </summary>
internal sealed class GroupClocks(GroupCoordinatorOptions options)
{
    /// <summary>A group is this broker's business for this long after one of its members has spoken to it.</summary>
    private static readonly TimeSpan LocalFor = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();

    /// <summary>Groups that have members.</summary>
    private readonly Dictionary<string, Watch> _watches = new(StringComparer.Ordinal);

    /// <summary>Members whose requests wait at this broker, with how many.</summary>
    private readonly Dictionary<(string GroupId, string MemberId), int> _holds = [];

    /// <summary>Takes in a group's newest state; null for none.</summary>
    /// <returns>
    /// Whether something may now be due sooner than <see cref="Plan"/> has said. A sign of life, such as each commit of offsets brings, only puts
    /// off what is due: planning anew would cost every commit as much as there are groups.
    /// </returns>
    public bool Learn(string groupId, Group? group)
    {
        lock (_lock)
        {
            return LearnLocked(groupId, group, Now());
        }
    }

    /// <summary>Takes in all groups; those that are not among them are gone.</summary>
    /// <param name="newest">Gives the newest state: asked here, so that what is learned meanwhile is not undone.</param>
    public void LearnAll(Func<IReadOnlyDictionary<string, Group>> newest)
    {
        lock (_lock)
        {
            var groups = newest();
            var now = Now();
            foreach (var groupId in _watches.Keys.ToArray())
            {
                if (!groups.ContainsKey(groupId))
                {
                    _watches.Remove(groupId);
                }
            }

            foreach (var (groupId, group) in groups)
            {
                LearnLocked(groupId, group, now);
            }
        }
    }

    /// <summary>A member has said something to this broker that is not in the log.</summary>
    /// <returns>Whether this may change what is due, and when.</returns>
    public bool Hear(string groupId, string memberId)
    {
        lock (_lock)
        {
            return HearLocked(groupId, memberId, isInLog: false);
        }
    }

    /// <summary>A request of a member waits at this broker: as long as it does, the member is alive.</summary>
    /// <param name="groupId">The group.</param>
    /// <param name="memberId">The member.</param>
    /// <param name="isInLog">Whether the log tells of the request.</param>
    /// <param name="isNews">Whether this may change what is due, and when.</param>
    public IDisposable Hold(string groupId, string memberId, bool isInLog, out bool isNews)
    {
        lock (_lock)
        {
            isNews = HearLocked(groupId, memberId, isInLog);
            CollectionsMarshal.GetValueRefOrAddDefault(_holds, (groupId, memberId), out _)++;
        }

        return new Held(this, groupId, memberId);
    }

    /// <summary>Gives everybody their whole time again: this broker could not have learned of signs of life.</summary>
    /// <param name="isOnce">
    /// Only to phases and members that have not been given it since they began, or last gave a sign of life: it may be so again and again.
    /// </param>
    public void Restart(bool isOnce = false)
    {
        lock (_lock)
        {
            var now = Now();
            foreach (var watch in _watches.Values)
            {
                if (!isOnce || !watch.IsRestarted)
                {
                    watch.PhaseLearnedAt = now;
                    watch.LastJoinLearnedAt = now;
                    watch.IsRestarted = isOnce;
                }

                foreach (var member in watch.Members.Values)
                {
                    if (!isOnce || !member.IsRestarted)
                    {
                        member.LearnedAt = now;
                        member.IsRestarted = isOnce;
                    }
                }
            }
        }
    }

    /// <summary>What is due now, and when to ask again. What it names is not named again until it could be due again.</summary>
    /// <param name="groups">The newest state.</param>
    /// <param name="isTrial">Nothing is noted: the caller looks again before it acts.</param>
    public GroupPlan Plan(IReadOnlyDictionary<string, Group> groups, bool isTrial)
    {
        var plan = new GroupPlan();
        lock (_lock)
        {
            var now = Now();
            foreach (var (groupId, watch) in _watches)
            {
                if (groups.TryGetValue(groupId, out var group))
                {
                    PlanGroup(plan, groupId, group, watch, now, isTrial);
                }
            }
        }

        if (!plan.IsMarkDue)
        {
            plan.Marks.Clear();
        }

        return plan;
    }

    private static void Propose(GroupPlan plan, TimeSpan left)
    {
        if (plan.NextIn == Timeout.InfiniteTimeSpan || left < plan.NextIn)
        {
            plan.NextIn = left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    /// <summary>
    /// A member that has not been heard here for a third of its session may have come from another broker, and how long ago that one told of
    /// it is not known here: the others are told at once, before they give it up.
    /// </summary>
    private bool HearLocked(string groupId, string memberId, bool isInLog)
    {
        if (!_watches.TryGetValue(groupId, out var watch) || !watch.Members.TryGetValue(memberId, out var member))
        {
            return false;
        }

        var now = Now();
        var isNews = !_holds.ContainsKey((groupId, memberId))
            && (member.HeardAt == long.MinValue || Elapsed(member.HeardAt, now) >= member.Session / 3);
        member.HeardAt = now;
        member.MustTell |= isNews && !isInLog;
        return isNews;
    }

    private bool LearnLocked(string groupId, Group? group, long now)
    {
        if (group is null || group.Members.IsEmpty)
        {
            _watches.Remove(groupId);
            return false;
        }

        var isNews = false;
        if (!_watches.TryGetValue(groupId, out var watch))
        {
            _watches.Add(groupId, watch = new Watch());
        }

        // Two phases may begin in one entry.
        if (watch.PhaseEntry != group.PhaseEntry || watch.PhaseTag != group.Phase.Tag)
        {
            watch.PhaseEntry = group.PhaseEntry;
            watch.PhaseTag = group.Phase.Tag;
            watch.PhaseLearnedAt = now;
            watch.IsRestarted = false;
            isNews = true;
        }

        if (watch.LastJoinEntry != group.LastJoinEntry)
        {
            watch.LastJoinEntry = group.LastJoinEntry;
            watch.LastJoinLearnedAt = now;
            isNews = true;
        }

        foreach (var memberId in watch.Members.Keys.ToArray())
        {
            if (!group.Members.ContainsKey(memberId))
            {
                // The rest may have less time to join.
                watch.Members.Remove(memberId);
                isNews = true;
            }
        }

        foreach (var member in group.Members.Values)
        {
            if (!watch.Members.TryGetValue(member.MemberId, out var known))
            {
                watch.Members.Add(member.MemberId, known = new MemberWatch { HeardAt = long.MinValue });
                isNews = true;
            }
            else if (known.SeenAtEntry == member.SeenAtEntry)
            {
                continue;
            }

            known.Session = TimeSpan.FromMilliseconds(member.SessionTimeoutMs);

            // Others must be told of what is heard from now on, and of that no plan speaks yet.
            isNews |= options.IsShared && Elapsed(known.ToldAt, now) >= known.Session / 3;
            known.SeenAtEntry = member.SeenAtEntry;
            known.LearnedAt = now;
            known.ToldAt = now;
            known.IsRestarted = false;
        }

        return isNews;
    }

    private void PlanGroup(GroupPlan plan, string groupId, Group group, Watch watch, long now, bool isTrial)
    {
        var isLocal = false;
        foreach (var (memberId, member) in watch.Members)
        {
            member.IsHeld = _holds.ContainsKey((groupId, memberId));
            isLocal |= member.IsHeld || (member.HeardAt > long.MinValue && Elapsed(member.HeardAt, now) < LocalFor);
        }

        var delay = isLocal || !options.IsShared ? TimeSpan.Zero : options.ForeignDelay;
        if (watch.HasSeen(group) && PhaseEnd(group, watch, now, out var left) is { } end && left + delay is var untilEnd)
        {
            if (untilEnd <= TimeSpan.Zero)
            {
                plan.PhaseEnds.Add((groupId, end));
                if (!isTrial)
                {
                    // Should nothing come of it, it is due again after as long.
                    watch.PhaseLearnedAt = now;
                    watch.LastJoinLearnedAt = now;
                }
            }

            Propose(plan, untilEnd > TimeSpan.Zero ? untilEnd : options.ForeignDelay);
        }

        List<(string, long)>? silent = null;
        List<string>? heard = null;
        foreach (var (memberId, member) in watch.Members)
        {
            if (!group.Members.ContainsKey(memberId))
            {
                continue;
            }

            var session = member.Session;
            var aliveAt = member.IsHeld ? now : Math.Max(member.LearnedAt, member.HeardAt);
            var untilExpiry = session + delay - Elapsed(aliveAt, now);
            if (untilExpiry <= TimeSpan.Zero)
            {
                (silent ??= []).Add((memberId, member.SeenAtEntry));
                if (!isTrial)
                {
                    member.LearnedAt = now;
                }

                untilExpiry = session;
            }

            Propose(plan, untilExpiry);
            if (!options.IsShared)
            {
                continue;
            }

            // Once one mark is due, those that will be soon ride along.
            var sinceMark = Elapsed(member.ToldAt, now);
            var isHeard = member.IsHeld || member.HeardAt > member.ToldAt;
            if (member.MustTell || (isHeard && sinceMark >= session / 6))
            {
                (heard ??= []).Add(memberId);
            }

            if (member.MustTell || (isHeard && sinceMark >= session / 3))
            {
                plan.IsMarkDue = true;
                member.MustTell &= isTrial;
            }
            else if (sinceMark < session / 3)
            {
                // By then it will probably have been heard.
                Propose(plan, (session / 3) - sinceMark);
            }
        }

        if (silent is not null)
        {
            plan.Expiries.Add((groupId, GroupCommand.NewExpireMembers([.. silent.Select(static one => (one.Item1, one.Item2))])));
        }

        if (heard is not null)
        {
            plan.Marks.Add((groupId, [.. heard]));
        }
    }

    /// <summary>The command that ends the phase, and how long until it is due.</summary>
    private GroupCommand? PhaseEnd(Group group, Watch watch, long now, out TimeSpan left)
    {
        left = TimeSpan.FromMilliseconds(GroupModule.rebalanceTimeoutMs(group)) - Elapsed(watch.PhaseLearnedAt, now);
        switch (group.Phase.Tag)
        {
            case GroupPhase.Tags.PreparingRebalance:
                var initial = options.InitialRebalanceDelay - Elapsed(watch.LastJoinLearnedAt, now);
                if (group.Phase.isInitial && initial < left)
                {
                    left = initial;
                    return GroupCommand.NewEndJoin(group.PhaseEntry, group.LastJoinEntry);
                }

                return GroupCommand.NewEndJoin(group.PhaseEntry, -1);
            case GroupPhase.Tags.CompletingRebalance:
                return GroupCommand.NewEndSync(group.PhaseEntry);
            default:
                return null;
        }
    }

    private TimeSpan Elapsed(long since, long now) => options.TimeProvider.GetElapsedTime(since, now);

    private long Now() => options.TimeProvider.GetTimestamp();

    private void Release(string groupId, string memberId)
    {
        lock (_lock)
        {
            // Still held, so that it is no news.
            HearLocked(groupId, memberId, isInLog: false);
            if (--CollectionsMarshal.GetValueRefOrNullRef(_holds, (groupId, memberId)) == 0)
            {
                _holds.Remove((groupId, memberId));
            }
        }
    }

    private sealed class Watch
    {
        public long PhaseEntry { get; set; } = -1;

        public int PhaseTag { get; set; }

        public long PhaseLearnedAt { get; set; }

        public long LastJoinEntry { get; set; } = -1;

        public long LastJoinLearnedAt { get; set; }

        /// <summary>The phase was given its whole time again since it began.</summary>
        public bool IsRestarted { get; set; }

        public Dictionary<string, MemberWatch> Members { get; } = new(StringComparer.Ordinal);

        /// <summary>
        /// Whether the times are those of the group's present phase. A state is to be seen a moment before it is learned; what began with it must not be
        /// judged by the time of what was before.
        /// </summary>
        public bool HasSeen(Group group) =>
            PhaseEntry == group.PhaseEntry && PhaseTag == group.Phase.Tag && LastJoinEntry == group.LastJoinEntry;
    }

    private sealed class MemberWatch
    {
        public long SeenAtEntry { get; set; }

        /// <summary>When this broker learned of its last sign of life, or began to listen anew.</summary>
        public long LearnedAt { get; set; }

        /// <summary>When this broker learned of the last sign that is in the log, where others see it.</summary>
        public long ToldAt { get; set; }

        /// <summary>When it last said something to this broker.</summary>
        public long HeardAt { get; set; }

        public TimeSpan Session { get; set; }

        /// <summary>The other brokers must be told of it now.</summary>
        public bool MustTell { get; set; }

        public bool IsHeld { get; set; }

        /// <summary>It was given its whole session again since its last sign of life in the log.</summary>
        public bool IsRestarted { get; set; }
    }

    private sealed class Held(GroupClocks owner, string groupId, string memberId) : IDisposable
    {
        private int _isDisposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            {
                owner.Release(groupId, memberId);
            }
        }
    }
}
