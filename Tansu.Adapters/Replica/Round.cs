using System.Buffers;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>The commands of one commit, and what the last decision made of them.</summary>
internal sealed class Round<TState, TCommand, TEvent, TReply>(
    IDecider<TState, TCommand, TEvent, TReply> decider,
    List<PendingCommand<TCommand, TReply>> commands)
    where TState : class
{
    private readonly List<TEvent> _events = [];
    private readonly List<ReadOnlyMemory<byte>> _payload = [];

    public List<PendingCommand<TCommand, TReply>> Commands => commands;

    /// <summary>The events of the last decision, in order.</summary>
    public List<TEvent> Events => _events;

    /// <summary>The inline payload of the last decision.</summary>
    public List<ReadOnlyMemory<byte>> PayloadSlices => _payload;

    /// <summary>Its length, in bytes.</summary>
    public int PayloadLength { get; private set; }

    /// <summary>The state after those events.</summary>
    public TState State { get; private set; } = decider.Initial;

    /// <summary>Decides every command, each on the state that the ones before it leave.</summary>
    public void Decide(TState state, long entryNumber, long nowMs)
    {
        _events.Clear();
        _payload.Clear();
        PayloadLength = 0;
        State = state;
        var here = new EntryContext(entryNumber, nowMs);
        foreach (var pending in commands)
        {
            if (pending.IsCatchUp || IsDropped(pending))
            {
                continue;
            }

            var isInline = pending.DataObject is null;
            var decision = decider.Decide(
                State,
                pending.Command,
                new DecideContext(nowMs, pending.DataObject, isInline ? PayloadLength : 0));
            pending.ParkedReply = decision.Reply;
            if (decision.Events.Length == 0)
            {
                continue;
            }

            foreach (var happened in decision.Events)
            {
                State = decider.Evolve(State, happened, here);
                _events.Add(happened);
            }

            if (isInline && pending.Payload.Length > 0)
            {
                _payload.AddRange(pending.Payload.Slices);
                PayloadLength += pending.Payload.Length;
            }
        }
    }

    public ReadOnlySequence<byte> PayloadSequence() => Sequences.Of(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_payload));

    /// <summary>What the parked replies say is in the store: let them go.</summary>
    public void Release()
    {
        foreach (var pending in commands)
        {
            pending.TrySetResult(pending.ParkedReply!);
        }
    }

    public void Fail(Exception reason)
    {
        foreach (var pending in commands)
        {
            pending.TrySetException(reason);
        }
    }

    // Its submitter was told that the outcome is unknown; an upload that was cut short must not be referred to.
    private static bool IsDropped(PendingCommand<TCommand, TReply> pending) => pending.IsAbandoned;
}
