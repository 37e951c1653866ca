namespace Tansu.Host.Client;

/// <summary>How a topic is read.</summary>
internal sealed class FetcherOptions
{
    /// <summary>The topic.</summary>
    public required string Topic { get; init; }

    /// <summary>Whether records of transactions that are open or were aborted are left out.</summary>
    public bool IsReadCommitted { get; init; } = true;

    /// <summary>Whether reading goes on when the end is reached.</summary>
    public bool Follows { get; init; }

    /// <summary>How many bytes one fetch may bring.</summary>
    public int MaxBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>How many of them may be of one partition.</summary>
    public int MaxPartitionBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>How long a broker waits for something to come.</summary>
    public int MaxWaitMs { get; init; } = 500;

    /// <summary>Told in one line what a reader should know, such as that records are gone before they were read.</summary>
    public Action<string>? OnNotice { get; init; }
}
