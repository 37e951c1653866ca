using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tansu.Host.Network;

/// <summary>Linux's epoll: which of many sockets have something to read. Each socket is reported once for each time that it is armed.</summary>
internal sealed partial class Epoll : SafeHandleMinusOneIsInvalid
{
    private const int CloseOnExec = 0x80000;
    private const int Add = 1;
    private const int Modify = 3;
    private const uint In = 0x1;
    private const uint PeerClosed = 0x2000;
    private const uint OneShot = 1u << 30;
    private const int Interrupted = 4;

    /// <summary>The kernel's struct is packed on x64 only: four bytes of flags, then eight that are ours.</summary>
    private static readonly int TagPosition = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;

    public Epoll()
        : base(ownsHandle: true)
    {
        SetHandle(EpollCreate1(CloseOnExec));
        if (IsInvalid)
        {
            throw LastError("epoll_create1");
        }
    }

    /// <summary>Reports a socket once, as soon as it has something to read, even if it has already.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="tag">What <see cref="Wait"/> then returns.</param>
    /// <param name="isFirst">Whether it was never armed before.</param>
    public void Arm(SafeHandle socket, long tag, bool isFirst) => Control(isFirst ? Add : Modify, socket, In | PeerClosed | OneShot, tag);

    /// <summary>Reports a handle to every thread that waits, from now on for as long as it can be read.</summary>
    public void AddForAll(SafeHandle handle, long tag) => Control(Add, handle, In, tag);

    /// <summary>Waits until there is something to report. Any number of threads may wait; each report goes to one.</summary>
    /// <param name="timeoutMs">How long at most, in milliseconds; <see cref="Timeout.Infinite"/> for as long as it takes.</param>
    /// <returns>The tag of what has something to read; null if there was nothing in time.</returns>
    public unsafe long? Wait(int timeoutMs)
    {
        var reported = stackalloc byte[16];
        while (true)
        {
            var count = EpollWait(this, reported, 1, timeoutMs);
            if (count >= 0)
            {
                return count == 0 ? null : BitConverter.ToInt64(new ReadOnlySpan<byte>(reported + TagPosition, sizeof(long)));
            }

            if (Marshal.GetLastPInvokeError() != Interrupted)
            {
                throw LastError("epoll_wait");
            }
        }
    }

    protected override bool ReleaseHandle() => Close(handle) == 0;

    private unsafe void Control(int operation, SafeHandle handle, uint flags, long tag)
    {
        var armed = stackalloc byte[16];
        BitConverter.TryWriteBytes(new Span<byte>(armed, sizeof(uint)), flags);
        BitConverter.TryWriteBytes(new Span<byte>(armed + TagPosition, sizeof(long)), tag);
        if (EpollCtl(this, operation, handle, armed) != 0)
        {
            throw LastError("epoll_ctl");
        }
    }

    private static Win32Exception LastError(string call)
    {
        var error = Marshal.GetLastPInvokeError();
        return new Win32Exception(error, $"{call}: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial nint EpollCreate1(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static unsafe partial int EpollCtl(Epoll epoll, int operation, SafeHandle handle, byte* armed);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static unsafe partial int EpollWait(Epoll epoll, byte* reported, int capacity, int timeoutMs);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(nint handle);
}
