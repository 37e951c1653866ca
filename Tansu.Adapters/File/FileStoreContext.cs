namespace Tansu.Adapters;

/// <summary>What the parts of one file store share.</summary>
/// <param name="Directory">Absolute path of the store's directory.</param>
/// <param name="Options">What the caller chose.</param>
/// <param name="Disk">How log files are written.</param>
internal sealed record FileStoreContext(string Directory, StoreOptions Options, Disk Disk)
{
    // Two would do for a broker; four let slow reads of large snapshots pass each other at start.
    private const int SharedThreads = 4;
    private const int ReaderThreads = 16;

    /// <summary>Something could not be written for want of room.</summary>
    public event Action? Full;

    /// <summary>Log files that are open.</summary>
    public OpenFiles OpenFiles { get; } = new(Math.Max(1, Options.MaxOpenFiles));

    /// <summary>Where everything but the writing of logs waits for the disk.</summary>
    public IoThreads SharedIo { get; } = new("tansu file store", SharedThreads);

    /// <summary>Where readers of records wait for the disk: so many reads at a time keep it busy.</summary>
    public IoThreads Readers { get; } = new("tansu file reader", ReaderThreads);

    /// <summary>Takes over the files that have been deleted.</summary>
    public FreedSpace FreedSpace { get; } = new();

    /// <summary>Where files are made before they get their name.</summary>
    public string TemporaryDirectory { get; } = Path.Combine(Directory, "tmp");

    public async ValueTask StopThreadsAsync()
    {
        FreedSpace.Hurry();
        await Readers.DisposeAsync().ConfigureAwait(false);
        await SharedIo.DisposeAsync().ConfigureAwait(false);
        await FreedSpace.DisposeAsync().ConfigureAwait(false);
    }

    public void TellFull() => Full?.Invoke();

    /// <summary>Writes something, and tells if there is no room for it.</summary>
    public void Write(Action writing)
    {
        try
        {
            writing();
        }
        catch (IOException error) when (FileErrors.IsFull(error))
        {
            TellFull();
            throw;
        }
    }

    public void Notice(string message) => Options.OnNotice?.Invoke(message);
}
