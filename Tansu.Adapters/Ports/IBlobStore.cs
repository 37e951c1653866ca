using System.Buffers;

namespace Tansu.Adapters.Ports;

/// <summary>Immutable objects by name: batches too large for an entry, and segments.</summary>
/// <remarks>
/// <para>A name has one or more parts separated by <c>/</c>, 400 characters at most in all and 200 in a part. A part is made of
/// letters, digits, <c>-</c>, <c>_</c> and <c>.</c>, and does not begin with a dot. Any other name is an
/// <see cref="ArgumentException"/>. Names are chosen by the caller, unique and ordered by time.</para>
/// <para>All members may be called from any thread at the same time. Errors are those of <see cref="IEventLog"/>.</para>
/// </remarks>
public interface IBlobStore
{
    /// <summary>
    /// Stores an object. Durable and visible, whole, when the task completes; on failure it may be there whole or not at all.
    /// Putting a name again replaces the object, so that a failed put may be repeated.
    /// </summary>
    /// <param name="name">The object's name.</param>
    /// <param name="content">Its bytes; may be empty. Owned by the store until the task has completed.</param>
    /// <param name="cancellationToken">Abandons the put; the object may then exist or not.</param>
    ValueTask PutAsync(string name, ReadOnlySequence<byte> content, CancellationToken cancellationToken);

    /// <summary>Fills <paramref name="destination"/> with the object's bytes from <paramref name="position"/>.</summary>
    /// <param name="name">The object's name.</param>
    /// <param name="position">Where to begin, in bytes from the object's start.</param>
    /// <param name="destination">Filled whole. Owned by the store until the task has completed.</param>
    /// <param name="cancellationToken">Abandons the read; the destination's content is then undefined.</param>
    /// <exception cref="BlobMissingException">There is no such object, or it ends before the destination is full.</exception>
    ValueTask ReadAsync(string name, long position, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>Deletes objects; a name that does not exist is fine. On failure some may be gone.</summary>
    /// <param name="names">Names of objects.</param>
    /// <param name="cancellationToken">Stops between two objects.</param>
    ValueTask DeleteAsync(IReadOnlyList<string> names, CancellationToken cancellationToken);

    /// <summary>
    /// The objects whose names begin with <paramref name="prefix"/> (any string, not only whole parts), in ordinal order of their
    /// names. Objects put or deleted during the listing may or may not be in it.
    /// </summary>
    /// <param name="prefix">Empty for all.</param>
    /// <param name="cancellationToken">Stops the listing.</param>
    IAsyncEnumerable<BlobInfo> ListAsync(string prefix, CancellationToken cancellationToken);
}
