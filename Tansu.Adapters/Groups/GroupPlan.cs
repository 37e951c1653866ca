using Tansu.Domain;

namespace Tansu.Adapters.Groups;

/// <summary>What the clocks of one broker say is due.</summary>
internal sealed class GroupPlan
{
    /// <summary>Phases that have lasted long enough.</summary>
    public List<(string GroupId, GroupCommand Command)> PhaseEnds { get; } = [];

    /// <summary>Members that gave no sign of life, with the signs that were the last.</summary>
    public List<(string GroupId, GroupCommand Command)> Expiries { get; } = [];

    /// <summary>Members that this broker has heard of lately, and others not.</summary>
    public List<(string GroupId, string[] MemberIds)> Marks { get; } = [];

    /// <summary>Whether one of <see cref="Marks"/> must be written now; if not, none is.</summary>
    public bool IsMarkDue { get; set; }

    /// <summary>When something else will be due; <see cref="Timeout.InfiniteTimeSpan"/> for never.</summary>
    public TimeSpan NextIn { get; set; } = Timeout.InfiniteTimeSpan;
}
