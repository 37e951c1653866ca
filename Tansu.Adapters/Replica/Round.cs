using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>The commands of one commit, and what the last decision made of them.</summary>
internal sealed class Round<TState, TCommand, TEvent, TReply>(
    IDecider<TState, TCommand, TEvent, TReply> decider,
    List<PendingCommand<TCommand, TReply>> commands)
    where TState : class
{
    private readonly List<TEvent> _events = [];

    /// <summary>Those of the last decision.</summary>
    private readonly List<PendingCommand<TCommand, TReply>> _asked = new(commands.Count);
    private PayloadLayout _layout = PayloadLayout.Empty;

    public List<PendingCommand<TCommand, TReply>> Commands => commands;

    /// <summary>The events of the last decision, in order.</summary>
    public List<TEvent> Events => _events;

    /// <summary>The data objects that the commands' payloads were put into.</summary>
    public List<DataObject> DataObjects { get; } = Distinct(commands);

    /// <summary>The state after those events.</summary>
    public TState State { get; private set; } = decider.Initial;

    /// <summary>Decides every command, each on the state that the ones before it leave.</summary>
    public void Decide(TState state, long entryNumber, long nowMs)
    {
        _asked.Clear();
        foreach (var pending in commands)
        {
            // Its submitter is told that the outcome is unknown; an upload that was cut short must not be referred to. Asked once: it may change at any time.
            if (pending.IsAbandoned)
            {
                pending.Drop();
                continue;
            }

            pending.IsVoid = false;
            _asked.Add(pending);
        }

        // What comes to nothing had a place among the others; those who decide again come to the same.
        do
        {
            _layout = PayloadLayout.Of(_asked);
        }
        while (!TryDecide(state, entryNumber, nowMs));
    }

    /// <summary>Decides with the payloads where they have been laid. False if one of them is not to be written.</summary>
    private bool TryDecide(TState state, long entryNumber, long nowMs)
    {
        _events.Clear();
        State = state;
        var here = new EntryContext(entryNumber, nowMs);
        var isTight = true;
        foreach (var pending in _asked)
        {
            var isPlaced = pending.IsPlaced;
            var decision = decider.Decide(State, pending.Command, new DecideContext(nowMs, pending.DataObject?.Name, pending.Positions));
            pending.ParkedReply = decision.Reply;
            pending.IsVoid = decision.Events.Length == 0;
            isTight &= !(isPlaced && pending.IsVoid);
            foreach (var happened in decision.Events)
            {
                State = decider.Evolve(State, happened, here);
                _events.Add(happened);
            }
        }

        return isTight;
    }

    public ReadOnlySequence<byte> PayloadSequence() => Sequences.Of(_layout.Slices);

    /// <summary>The record batches that the entry brings.</summary>
    public List<WrittenPayload> Written()
    {
        var written = new List<WrittenPayload>(DataObjects.Count + 1);
        if (_layout.Length > 0)
        {
            written.Add(new WrittenPayload(null, _layout.Slices, _layout.Length));
        }

        foreach (var content in DataObjects)
        {
            written.Add(new WrittenPayload(content.Name, content.Slices, content.Length));
        }

        return written;
    }

    /// <summary>What the parked replies say is in the store: let them go.</summary>
    /// <remarks>
    /// What follows a single command runs here, and the next commit waits for it; so does what follows several on a thread that one of their submitters has
    /// lent. Otherwise what follows several, as far as they are brief, runs in one task beside the loop. The last of them comes first: replies leave in the order of
    /// the requests, so that all of them are there when the first one is.
    /// </remarks>
    /// <param name="isHere">Whether the loop runs on a thread that was lent.</param>
    public void Release(bool isHere)
    {
        if (isHere || commands.Count == 1)
        {
            Release(commands);
            return;
        }

        var brief = commands.FindAll(static pending => pending.IsBrief);
        if (brief.Count > 0)
        {
            Task.Factory.StartNew(
                static released => Release((List<PendingCommand<TCommand, TReply>>)released!),
                brief,
                CancellationToken.None,
                TaskCreationOptions.None,
                TaskScheduler.Current);
        }

        Release(commands.FindAll(static pending => !pending.IsBrief));
    }

    private static void Release(List<PendingCommand<TCommand, TReply>> commands)
    {
        for (var index = commands.Count - 1; index >= 0; index--)
        {
            commands[index].Succeed(commands[index].ParkedReply!);
        }
    }

    /// <summary>
    /// Makes two rounds of the commands: those that came first, and the rest. What one data object holds stays together; if that is all there is, those that
    /// bring no payload, and were only put beside the payloads of others, come after the others. False if one of them would be empty.
    /// </summary>
    public bool TryHalve(
        [NotNullWhen(true)] out Round<TState, TCommand, TEvent, TReply>? first,
        [NotNullWhen(true)] out Round<TState, TCommand, TEvent, TReply>? second)
    {
        var cut = CutOf(commands);
        var (firsts, rest) = (commands[..cut], commands[cut..]);
        if (cut == 0)
        {
            firsts = commands.FindAll(static pending => !pending.Payload.Slices.IsEmpty);
            rest = commands.FindAll(static pending => pending.Payload.Slices.IsEmpty);
            rest.ForEach(static pending => pending.DataObject = null);
        }

        var isHalved = firsts.Count > 0 && rest.Count > 0;
        first = isHalved ? new(decider, firsts) : null;
        second = isHalved ? new(decider, rest) : null;
        return isHalved;
    }

    /// <summary>Where commands are best cut in two; 0 if they are not to be.</summary>
    private static int CutOf(List<PendingCommand<TCommand, TReply>> commands) => Enumerable.Range(1, commands.Count - 1)
        .Where(at => commands[at].DataObject is not { } content || content != commands[at - 1].DataObject)
        .DefaultIfEmpty(0)
        .MinBy(at => Math.Abs(at - (commands.Count / 2)));

    public void Fail(Exception reason)
    {
        foreach (var pending in commands)
        {
            pending.GiveUp(reason);
        }
    }

    private static List<DataObject> Distinct(List<PendingCommand<TCommand, TReply>> commands)
    {
        var distinct = new List<DataObject>();
        foreach (var pending in commands)
        {
            // Commands of one object stand together.
            if (pending.DataObject is { } content && (distinct.Count == 0 || distinct[^1] != content))
            {
                distinct.Add(content);
            }
        }

        return distinct;
    }
}
