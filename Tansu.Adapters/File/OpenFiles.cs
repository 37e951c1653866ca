using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>A log file that is open, with its index. Whoever rents one returns it.</summary>
internal sealed class OpenLogFile(LogFile file, SafeFileHandle handle, EntryIndex index)
{
    public LogFile File => file;

    public SafeFileHandle Handle => handle;

    public EntryIndex Index => index;

    /// <summary>How many have rented it. Guarded by <see cref="OpenFiles"/>.</summary>
    internal int Users { get; set; }

    /// <summary>Whether it is to be closed when the last user returns it. Guarded by <see cref="OpenFiles"/>.</summary>
    internal bool IsDropped { get; set; }
}

/// <summary>
/// The log files that are open, all logs of a store together: the active ones, and of the sealed ones the last used few. So neither
/// file descriptors nor memory for indexes grow with the log.
/// </summary>
/// <param name="maxSealed">How many sealed files stay open; those in use count, but are never closed for being too many.</param>
internal sealed class OpenFiles(int maxSealed)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<LogFile, OpenLogFile> _active = [];
    private readonly Dictionary<LogFile, LinkedListNode<OpenLogFile>> _sealed = [];
    private readonly LinkedList<OpenLogFile> _recent = new();

    /// <summary>Rents a file if it is open.</summary>
    public OpenLogFile? TryRent(LogFile file)
    {
        lock (_gate)
        {
            if (!_active.TryGetValue(file, out var open))
            {
                if (!_sealed.TryGetValue(file, out var node))
                {
                    return null;
                }

                open = node.Value;
                _recent.Remove(node);
                _recent.AddFirst(node);
            }

            open.Users++;
            return open;
        }
    }

    /// <summary>Adds a sealed file that the caller has opened, and rents it. If another was faster, theirs is rented and the caller's closed.</summary>
    public OpenLogFile AddAndRent(OpenLogFile opened)
    {
        lock (_gate)
        {
            if (_sealed.TryGetValue(opened.File, out var node))
            {
                opened.Handle.Dispose();
                opened = node.Value;
            }
            else
            {
                AddSealed(opened);
            }

            opened.Users++;
            return opened;
        }
    }

    public void Return(OpenLogFile open)
    {
        lock (_gate)
        {
            open.Users--;
            CloseIfUnused(open);
        }
    }

    /// <summary>Adds a file that stays open until it is sealed or dropped.</summary>
    public void AddActive(OpenLogFile open)
    {
        lock (_gate)
        {
            _active.Add(open.File, open);
        }
    }

    /// <summary>An active file becomes one of the sealed.</summary>
    public void Seal(OpenLogFile open)
    {
        lock (_gate)
        {
            _active.Remove(open.File);
            AddSealed(open);
        }
    }

    /// <summary>Closes a file as soon as nobody uses it.</summary>
    public void Drop(LogFile file)
    {
        lock (_gate)
        {
            if (_active.Remove(file, out var open))
            {
                open.IsDropped = true;
                CloseIfUnused(open);
            }

            if (_sealed.TryGetValue(file, out var node))
            {
                RemoveSealed(node);
            }
        }
    }

    /// <summary>Closes every sealed file as soon as nobody uses it.</summary>
    public void DropSealed()
    {
        lock (_gate)
        {
            while (_recent.Last is { } node)
            {
                RemoveSealed(node);
            }
        }
    }

    private void AddSealed(OpenLogFile open)
    {
        _sealed.Add(open.File, _recent.AddFirst(open));
        if (_recent.Count > maxSealed)
        {
            RemoveSealed(_recent.Last!);
        }
    }

    private void RemoveSealed(LinkedListNode<OpenLogFile> node)
    {
        _recent.Remove(node);
        _sealed.Remove(node.Value.File);
        node.Value.IsDropped = true;
        CloseIfUnused(node.Value);
    }

    private static void CloseIfUnused(OpenLogFile open)
    {
        if (open is { IsDropped: true, Users: 0 })
        {
            open.Handle.Dispose();
        }
    }
}
