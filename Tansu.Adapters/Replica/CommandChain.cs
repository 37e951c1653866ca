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
    private readonly List<Action<bool>> _toWake = [];
    private volatile bool _isBroken;
    private volatile bool _isGathering;

    /// <summary>Whether a command of the chain was given up.</summary>
    public bool IsBroken => _isBroken;

    /// <summary>
    /// More commands come at once: brief ones that are submitted from now on wake nobody, so that one commit takes all of them. Whoever calls this calls <see cref="Go"/>
    /// soon, before it waits for anything.
    /// </summary>
    public void Gather() => _isGathering = true;

    /// <summary>
    /// Wakes the loops that commands were submitted to since <see cref="Gather"/>, side by side: the last of them runs inside of this call, as far as its first
    /// wait.
    /// </summary>
    public void Go()
    {
        if (!_isGathering)
        {
            return;
        }

        Action<bool>[] toWake;
        lock (_lock)
        {
            _isGathering = false;
            toWake = [.. _toWake];
            _toWake.Clear();
        }

        for (var index = 0; index < toWake.Length; index++)
        {
            toWake[index](index == toWake.Length - 1);
        }
    }

    internal void Break() => _isBroken = true;

    /// <summary>Whether <see cref="Go"/> will wake a loop to which a command of the chain was submitted.</summary>
    /// <param name="wake">Wakes it, on the calling thread or another.</param>
    internal bool WakesLater(Action<bool> wake)
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
