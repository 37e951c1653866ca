namespace Tansu.Adapters.Replica;

/// <summary>
/// Commands that may only take effect in their order: those of one connection. When one is given up before it has reached the
/// store (its deadline passed), those behind it are too, and whatever is submitted later fails at once. Otherwise an idempotent producer's
/// second batch could be taken for its first, and the first be refused for ever.
/// </summary>
/// <remarks>A chain never mends: close the connection, so that the client sends everything again over a new one.</remarks>
public sealed class CommandChain
{
    private readonly Lock _lock = new();
    private readonly List<Action> _toWake = [];
    private volatile bool _isBroken;
    private volatile bool _isGathering;

    /// <summary>Whether a command of the chain was given up.</summary>
    public bool IsBroken => _isBroken;

    /// <summary>
    /// More commands come at once: brief ones that are submitted from now on wake nobody, so that one commit takes all of them. Whoever calls this calls <see cref="Go"/>
    /// soon, before it waits for anything.
    /// </summary>
    public void Gather() => _isGathering = true;

    /// <summary>Wakes the loops that commands were submitted to since <see cref="Gather"/>; they run inside of this call, as far as their first wait.</summary>
    public void Go()
    {
        if (!_isGathering)
        {
            return;
        }

        Action[] toWake;
        lock (_lock)
        {
            _isGathering = false;
            toWake = [.. _toWake];
            _toWake.Clear();
        }

        foreach (var wake in toWake)
        {
            wake();
        }
    }

    internal void Break() => _isBroken = true;

    /// <summary>Whether <see cref="Go"/> will wake a loop to which a command of the chain was submitted.</summary>
    /// <param name="wake">Wakes it.</param>
    internal bool WakesLater(Action wake)
    {
        if (!_isGathering)
        {
            return false;
        }

        lock (_lock)
        {
            if (_isGathering && !_toWake.Contains(wake))
            {
                _toWake.Add(wake);
            }

            return _isGathering;
        }
    }
}
