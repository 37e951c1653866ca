namespace Tansu.Host.Client;

/// <summary>What a coordinator is asked for by FindCoordinator.</summary>
internal enum CoordinatorType : sbyte
{
    /// <summary>A consumer group, by its id.</summary>
    Group = 0,

    /// <summary>A transactional producer, by its transactional id.</summary>
    Transaction = 1,
}
