using Microsoft.FSharp.Collections;
using Tansu.Domain;

namespace Tansu.Adapters.Nodes;

/// <summary>
/// Which nodes are there, judged by this broker's own clock: a node is live for one lease after this broker has learned of its
/// registration or renewal. Clocks of different machines are compared in one case only, see <see cref="Learn"/>. Safe to use
/// from any thread.
/// </summary>
/// <remarks>
/// A node that sees no other holds a lease without end and writes nothing; it looks at the catalog once per lease. Whoever comes then
/// has cut that lease by registering, and waits two leases for its renewal: one until it looks, one to be slow in. Until it has
/// renewed it is listed but not named as leader, since it may have died long ago.
/// </remarks>
/// <param name="host">The host this broker is advertised at.</param>
/// <param name="port">The port this broker is advertised at.</param>
/// <param name="lease">How long a node is live after a sign of life (<c>--node-lease-ms</c>).</param>
/// <param name="isOnlyBroker">Whether the store lets only one broker in: nodes at other addresses are then what it used to be called.</param>
/// <param name="shardCount">How many shards the cluster has.</param>
/// <param name="timeProvider">This broker's clock.</param>
public sealed class NodeRegistry(string host, int port, TimeSpan lease, bool isOnlyBroker, int shardCount, TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, Sighting> _sightings = [];
    private FSharpMap<int, Node>? _learned;
    private long _renewedAt;

    /// <summary>How long until the catalog should be looked at again.</summary>
    public TimeSpan LookInterval => HasLiveOthers ? lease / 3 : lease;

    /// <summary>Whether nodes at other addresses are there.</summary>
    public bool HasLiveOthers
    {
        get
        {
            lock (_lock)
            {
                return _sightings.Values.Any(sighting => !IsSelf(sighting.Node) && IsLive(sighting));
            }
        }
    }

    /// <summary>What this broker should register with, in milliseconds: a lease without end if it sees no other node.</summary>
    public long LeaseMs => HasLiveOthers ? (long)lease.TotalMilliseconds : Lease.WithoutEnd;

    /// <summary>
    /// Whether this broker has to write to the catalog: it is not alone and nobody at its address has renewed lately (brokers at one
    /// address renew for each other, and put right what one of them took back when it stopped); or it has become alone, which it says
    /// once and is silent from then on.
    /// </summary>
    public bool IsRegistrationDue
    {
        get
        {
            lock (_lock)
            {
                var self = _sightings.Values.FirstOrDefault(sighting => IsSelf(sighting.Node));
                if (self is null)
                {
                    return true;
                }

                // Half of the time between two looks: a sibling's renewal saves ours, and no gap gets longer than half of a lease.
                return HasLiveOthers
                    ? self.Node.LeaseUntilMs is Lease.Ended or Lease.WithoutEnd || timeProvider.GetElapsedTime(_renewedAt) >= lease / 6
                    : self.Node.LeaseUntilMs != Lease.WithoutEnd;
            }
        }
    }

    /// <summary>
    /// Takes in the catalog's nodes. Every change is a sign of life, but for a lease that was cut. Nodes found at the first look get
    /// one lease to show up, unless their lease ran out more than a lease ago by this broker's clock: those are taken for
    /// dead. If the clocks disagree that much, a node that lives is found with its next renewal.
    /// </summary>
    public void Learn(FSharpMap<int, Node> nodes)
    {
        lock (_lock)
        {
            if (ReferenceEquals(nodes, _learned))
            {
                return;
            }

            var isFirstLook = _learned is null;
            _learned = nodes;
            foreach (var (id, node) in nodes)
            {
                if (isOnlyBroker && !IsSelf(node))
                {
                    continue;
                }

                if (!_sightings.TryGetValue(id, out var known))
                {
                    _sightings[id] = isFirstLook ? FirstSight(node) : SignOfLife(node);
                }
                else if (node.LeaseUntilMs > known.Node.LeaseUntilMs)
                {
                    _sightings[id] = SignOfLife(node);
                }
                else if (node.LeaseUntilMs < known.Node.LeaseUntilMs)
                {
                    _sightings[id] = known with { Node = node };
                }
            }
        }
    }

    /// <summary>The nodes that are there now, this broker's among them once it is registered.</summary>
    /// <exception cref="InvalidOperationException">This broker is not registered yet.</exception>
    public LiveNodes Live()
    {
        lock (_lock)
        {
            var live = _sightings.Values
                .Where(sighting => IsSelf(sighting.Node) || IsLive(sighting))
                .OrderBy(static sighting => sighting.Node.Id)
                .ToArray();
            var candidates = live
                .Where(sighting => IsSelf(sighting.Node) || sighting.IsConfirmed)
                .Select(static sighting => sighting.Node.Id)
                .ToArray();
            return candidates.Length > 0
                ? new LiveNodes([.. live.Select(static sighting => sighting.Node)], candidates, shardCount)
                : throw new InvalidOperationException($"no node is registered at {host}:{port}");
        }
    }

    private bool IsSelf(Node node) => node.Host == host && node.Port == port;

    private bool IsLive(Sighting sighting) =>
        sighting.Node.LeaseUntilMs != Lease.Ended && timeProvider.GetElapsedTime(sighting.At) < sighting.Patience;

    private Sighting FirstSight(Node node)
    {
        var isWithoutEnd = node.LeaseUntilMs == Lease.WithoutEnd;
        var nowMs = timeProvider.GetUtcNow().ToUnixTimeMilliseconds();
        var isLongOver = !isWithoutEnd && nowMs - node.LeaseUntilMs > lease.TotalMilliseconds;
        return new Sighting(
            node,
            timeProvider.GetTimestamp(),
            isLongOver ? TimeSpan.Zero : isWithoutEnd ? 2 * lease : lease,
            IsConfirmed: !isWithoutEnd);
    }

    private Sighting SignOfLife(Node node)
    {
        var now = timeProvider.GetTimestamp();
        if (IsSelf(node))
        {
            _renewedAt = now;
        }

        return new Sighting(node, now, node.LeaseUntilMs == Lease.WithoutEnd ? 2 * lease : lease, IsConfirmed: true);
    }

    /// <param name="Node">As the catalog had it.</param>
    /// <param name="At">When this broker learned of it, a timestamp of its clock.</param>
    /// <param name="Patience">How long it is live from then on.</param>
    /// <param name="IsConfirmed">Whether it is known to have been alive then.</param>
    private sealed record Sighting(Node Node, long At, TimeSpan Patience, bool IsConfirmed);
}
