using System.Runtime.InteropServices;

namespace Tansu.Host.Commands.Records;

/// <summary>
/// Standard output as it is: .NET's own stream says nothing when the reader has gone away, and one made of the handle would write over what
/// another program has written to the same file.
/// </summary>
internal sealed class StandardOutput : Stream
{
    /// <summary>The error number of a pipe that nobody reads.</summary>
    public const int BrokenPipe = 32;

    private const int Descriptor = 1;
    private const int Interrupted = 4;
    private const int Again = 11;

    /// <inheritdoc/>
    public override bool CanRead => false;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Whether an exception says that nobody reads any more.</summary>
    public static bool IsClosed(IOException failure) => failure.HResult == BrokenPipe;

    /// <inheritdoc/>
    /// <exception cref="IOException">It is closed, or the disk is full.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var written = WriteSome(Descriptor, in MemoryMarshal.GetReference(buffer), buffer.Length);
            if (written >= 0)
            {
                buffer = buffer[(int)written..];
                continue;
            }

            switch (Marshal.GetLastPInvokeError())
            {
                case Interrupted:
                    break;
                case Again:
                    // Whoever reads has made the pipe one that does not wait.
                    Thread.Sleep(1);
                    break;
                case var error:
                    throw new IOException($"standard output: {Marshal.GetPInvokeErrorMessage(error)}", error);
            }
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    // Blittable: nothing is marshalled.
    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint WriteSome(int descriptor, in byte bytes, nint count);
}
