namespace Tansu.Adapters.Measuring;

/// <summary>How far this broker is with one log.</summary>
/// <param name="Name">The log's name.</param>
/// <param name="EntryNumber">The newest entry that it knows.</param>
/// <param name="Age">How long ago that was last known to be all there is.</param>
/// <param name="Commits">What it has committed itself.</param>
public readonly record struct LogStatus(string Name, long EntryNumber, TimeSpan Age, CommitMeasures Commits);
