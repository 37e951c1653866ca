namespace Tansu.Adapters.Replica;

/// <summary>A command from its submission until its reply is released.</summary>
internal sealed class PendingCommand<TCommand, TReply>(TCommand command, Payload payload, bool isCatchUp)
    : TaskCompletionSource<TReply>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    private volatile bool _isAbandoned;

    public TCommand Command => command;

    public Payload Payload => payload;

    /// <summary>Only waits for the replica to have seen the log's end.</summary>
    public bool IsCatchUp => isCatchUp;

    /// <summary>The data object that holds the payload, once it has been uploaded; null while it is to ride inline.</summary>
    public string? DataObject { get; set; }

    /// <summary>The decision's reply, held until the entry is in the store.</summary>
    public TReply? ParkedReply { get; set; }

    /// <summary>
    /// The submitter has given up (its deadline passed). Whatever has not reached the store yet is dropped; what has stays.
    /// </summary>
    public bool IsAbandoned => _isAbandoned;

    public void Abandon() => _isAbandoned = true;
}
