namespace Tansu.Adapters.Ports;

/// <summary>What a store offers for being checked, besides its port: logs that are thrown away.</summary>
internal interface IScratchLogs
{
    /// <summary>Opens a log whose name was never used, without looking whether there is anything in it.</summary>
    IEventLog OpenScratch(string name);

    /// <summary>Deletes a scratch log with this many entries, and what else the checks left.</summary>
    Task DropAsync(string name, long entries, CancellationToken cancellationToken);

    /// <summary>Whether an object is replaced only if it is the version that was read (<c>If-Match</c>).</summary>
    Task<bool> ReplacesOnlyWhatWasReadAsync(string name, CancellationToken cancellationToken);
}
