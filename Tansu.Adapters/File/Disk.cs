using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>What the writer of a log asks of its file. A class of its own only so that tests can make each call fail.</summary>
internal class Disk
{
    /// <summary>Writes the buffers one after another, gathered into as few calls as the system allows.</summary>
    /// <exception cref="IOException">Some, all or none of the bytes may have been written.</exception>
    public virtual void Write(SafeFileHandle handle, IReadOnlyList<ReadOnlyMemory<byte>> buffers, long position) =>
        RandomAccess.Write(handle, buffers, position);

    /// <summary>Makes what was written durable.</summary>
    /// <exception cref="IOException">What was written since the last success may be lost, now or later.</exception>
    public virtual void SyncData(SafeFileHandle handle) => Libc.SyncData(handle);

    /// <summary>Cuts the file.</summary>
    public virtual void Truncate(SafeFileHandle handle, long length) => RandomAccess.SetLength(handle, length);
}
