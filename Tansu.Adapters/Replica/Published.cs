namespace Tansu.Adapters.Replica;

/// <summary>A state that the store is known to hold. Immutable: readers use it without locks.</summary>
/// <typeparam name="TState">The state of the log's decider.</typeparam>
/// <param name="State">The fold of all entries up to <paramref name="EntryNumber"/>.</param>
/// <param name="EntryNumber">The last entry in the state; 0 before the first.</param>
/// <param name="TimeMs">That entry's time, in milliseconds since 1970.</param>
public sealed record Published<TState>(TState State, long EntryNumber, long TimeMs);
