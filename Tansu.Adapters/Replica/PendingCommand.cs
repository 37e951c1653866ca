namespace Tansu.Adapters.Replica;

/// <summary>A command from its submission until its reply is released.</summary>
/// <param name="command">What is to be decided.</param>
/// <param name="payload">The record batches.</param>
/// <param name="chain">The commands that it must not overtake; null if there are none.</param>
/// <param name="isBrief">Whether what follows the reply is brief.</param>
/// <param name="submittedAt">When it came, as a timestamp.</param>
internal sealed class PendingCommand<TCommand, TReply>(TCommand command, Payload payload, CommandChain? chain, bool isBrief, long submittedAt)
    : Pending<TReply>(isBrief)
{
    private volatile bool _isAbandoned;

    public TCommand Command => command;

    /// <summary>When it came, as a timestamp.</summary>
    public long SubmittedAt => submittedAt;

    /// <summary>The record batches. The queue's to change as long as the command waits there.</summary>
    public Payload Payload { get; set; } = payload;

    /// <summary>Where it waits; null once the loop has it, which may then be reading the payload at any time.</summary>
    public CommandQueue<TCommand, TReply>? Queue { get; set; }

    /// <summary>The data object that takes the payload; null while it is to ride inline.</summary>
    public DataObject? DataObject { get; set; }

    /// <summary>Where each slice of the payload begins in the data object or the entry, in bytes, once it has been laid out.</summary>
    public ReadOnlyMemory<int> Positions { get; set; }

    /// <summary>Whether the last decision came to nothing, so that its payload is not written.</summary>
    public bool IsVoid { get; set; }

    /// <summary>Whether its payload is to have a place in what is written next: it has none in a data object, and is not left out.</summary>
    public bool IsPlaced => DataObject is null && !IsVoid && !Payload.Slices.IsEmpty;

    /// <summary>The decision's reply, held until the entry is in the store.</summary>
    public TReply? ParkedReply { get; set; }

    /// <summary>
    /// The submitter has given up (its deadline passed), or gave up a command before it in its chain. Whatever has not reached the
    /// store yet is to be dropped; what has stays.
    /// </summary>
    public bool IsAbandoned => _isAbandoned || chain is { IsBroken: true };

    /// <summary>Called when it is left out of an entry: its submitter must not be told anything definite.</summary>
    public void Drop()
    {
        if (!Task.IsCompleted)
        {
            Fail(new TimeoutException("A command before it on its connection was given up."));
        }
    }

    /// <summary>
    /// Called when nobody can tell whether it took effect: those behind it must not be taken as if it had not.
    /// </summary>
    public void GiveUp(Exception reason)
    {
        chain?.Break();
        Fail(reason);
    }

    protected override void OnExpired()
    {
        // In this order: whoever sees that this one is given up must see it of those behind it as well.
        chain?.Break();
        _isAbandoned = true;
        Queue?.Release(this);
    }
}
