using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>Files that are there whole or not at all, also after the power went.</summary>
internal static class DurableFile
{
    /// <summary>What the disk gets at once: an append to a log waits behind it.</summary>
    private const int MostBytesAtOnce = 1024 * 1024;

    /// <summary>
    /// Writes a file under a temporary name, makes it durable, gives it its name and makes that durable. Whoever finds the
    /// name finds all of the content.
    /// </summary>
    /// <param name="temporaryDirectory">On the same file system as <paramref name="path"/>.</param>
    /// <param name="path">The file's name; its directory exists.</param>
    /// <param name="header">First bytes; may be empty.</param>
    /// <param name="content">The bytes after them.</param>
    public static void Replace(
        string temporaryDirectory,
        string path,
        ReadOnlyMemory<byte> header,
        ReadOnlySequence<byte> content)
    {
        var temporary = Path.Combine(temporaryDirectory, Guid.NewGuid().ToString("N"));
        try
        {
            using (var handle = File.OpenHandle(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                WriteDurably(handle, header, content);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            File.Delete(temporary);
            throw;
        }

        Libc.SyncDirectory(Path.GetDirectoryName(path)!);
    }

    private static void WriteDurably(SafeFileHandle handle, ReadOnlyMemory<byte> header, ReadOnlySequence<byte> content)
    {
        var buffers = new List<ReadOnlyMemory<byte>> { header };
        long position = 0;
        var length = header.Length;
        foreach (var part in content)
        {
            for (var rest = part; !rest.IsEmpty;)
            {
                if (length >= MostBytesAtOnce)
                {
                    WriteAndSync();
                }

                var fits = Math.Min(rest.Length, MostBytesAtOnce - length);
                buffers.Add(rest[..fits]);
                length += fits;
                rest = rest[fits..];
            }
        }

        WriteAndSync();

        void WriteAndSync()
        {
            RandomAccess.Write(handle, buffers, position);
            Libc.SyncData(handle);
            position += length;
            length = 0;
            buffers.Clear();
        }
    }

    /// <summary>Creates a directory and those above it, durably.</summary>
    public static void CreateDirectory(string path)
    {
        if (Directory.Exists(path))
        {
            return;
        }

        var parent = Path.GetDirectoryName(path);
        if (parent is not null)
        {
            CreateDirectory(parent);
        }

        Directory.CreateDirectory(path);
        if (parent is not null)
        {
            Libc.SyncDirectory(parent);
        }
    }

    /// <summary>Fills <paramref name="destination"/>; false when the file ends before that.</summary>
    public static bool Fill(SafeFileHandle handle, Span<byte> destination, long position)
    {
        while (!destination.IsEmpty)
        {
            var count = RandomAccess.Read(handle, destination, position);
            if (count == 0)
            {
                return false;
            }

            destination = destination[count..];
            position += count;
        }

        return true;
    }

    /// <summary>
    /// Fills <paramref name="destination"/>; false when the file ends before that. What the kernel has in memory is read at once; the disk is waited for on
    /// threads that do nothing else, many reads at a time: the thread pool has one thread per core.
    /// </summary>
    public static async ValueTask<bool> FillAsync(
        IoThreads readers,
        SafeFileHandle handle,
        Memory<byte> destination,
        long position,
        CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (!destination.IsEmpty)
        {
            var count = Libc.ReadAtHand(handle, destination.Span, position);
            if (count == 0)
            {
                return false;
            }

            if (count < 0)
            {
                return await readers
                    .RunAsync("Reading a file", () => Fill(handle, destination.Span, position), cancellationToken)
                    .ConfigureAwait(false);
            }

            destination = destination[count..];
            position += count;
        }

        return true;
    }
}
