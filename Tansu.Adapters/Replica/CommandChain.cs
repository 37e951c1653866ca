namespace Tansu.Adapters.Replica;

/// <summary>
/// Commands that may only take effect in their order: those of one connection. When one is given up before it has reached the
/// store (its deadline passed), those behind it are too, and whatever is submitted later fails at once. Otherwise an idempotent producer's
/// second batch could be taken for its first, and the first be refused for ever.
/// </summary>
/// <remarks>A chain never mends: close the connection, so that the client sends everything again over a new one.</remarks>
public sealed class CommandChain
{
    private volatile bool _isBroken;

    /// <summary>Whether a command of the chain was given up.</summary>
    public bool IsBroken => _isBroken;

    internal void Break() => _isBroken = true;
}
