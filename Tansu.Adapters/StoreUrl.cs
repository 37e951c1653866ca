using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Chooses and opens a store by its URL (<c>--storage-engine</c>).</summary>
public static class StoreUrl
{
    private const string Allowed =
        "allowed are file:///absolute/directory, file://./relative/directory, s3://bucket/prefix, "
        + "postgres://user:password@host:port/database, memory:// and null://";

    /// <summary>Opens the store that <paramref name="url"/> names.</summary>
    /// <param name="url">
    /// One of <c>file:///absolute/directory</c>, <c>file://./relative/directory</c>, <c>s3://bucket/prefix</c>,
    /// <c>postgres://user:password@host:port/database</c>, <c>memory://</c>, <c>null://</c>.
    /// </param>
    /// <param name="options">What the caller may choose.</param>
    /// <param name="cancellationToken">Abandons the opening.</param>
    /// <exception cref="StoreRefusedException">
    /// The URL is of no form that this build knows (the message lists those), or the store refuses.
    /// </exception>
    public static async Task<IStore> OpenAsync(string url, StoreOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(url);
        ArgumentNullException.ThrowIfNull(options);
        var separator = url.IndexOf("://", StringComparison.Ordinal);
        if (separator < 0)
        {
            throw new StoreRefusedException($"The storage engine is not a URL; {Allowed}.");
        }

        var rest = url[(separator + 3)..];
        switch (url[..separator])
        {
            case "memory" when rest.Length == 0:
                return new MemoryStore(new MemorySpace(), options);
            case "memory":
                throw new StoreRefusedException($"The storage engine memory:// takes nothing after it; {Allowed}.");
            case "null" when rest.Length == 0:
                return new NullStore();
            case "null":
                throw new StoreRefusedException($"The storage engine null:// takes nothing after it; {Allowed}.");
            case "postgres" or "postgresql":
                return await PostgresStore.OpenAsync(url, options, cancellationToken).ConfigureAwait(false);
            case "file" when IsDirectory(rest):
                return await FileStore.OpenAsync(Uri.UnescapeDataString(rest), options, cancellationToken).ConfigureAwait(false);
            case "file":
                throw new StoreRefusedException(
                    $"The storage engine '{url}' has a host where the directory should begin with '/' or './'; {Allowed}.");
            case "s3":
                return await S3Store.OpenAsync(rest, options, cancellationToken).ConfigureAwait(false);
            default:
                // Only the scheme is repeated: the rest may hold a password.
                throw new StoreRefusedException($"The storage engine '{url[..separator]}://' is not known; {Allowed}.");
        }
    }

    private static bool IsDirectory(string path) =>
        path is "." or ".."
        || path.StartsWith('/')
        || path.StartsWith("./", StringComparison.Ordinal)
        || path.StartsWith("../", StringComparison.Ordinal);
}
