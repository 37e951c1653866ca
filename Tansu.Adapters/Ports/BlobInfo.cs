namespace Tansu.Adapters.Ports;

/// <summary>An object as a listing shows it.</summary>
/// <param name="Name">Its whole name.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="LastModified">When it was put, by the store's clock: the only clock that ages of objects are measured by.</param>
public readonly record struct BlobInfo(string Name, long Length, DateTimeOffset LastModified);
