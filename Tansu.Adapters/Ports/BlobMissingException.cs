namespace Tansu.Adapters.Ports;

/// <summary>An object, or the asked range of it, is not in the store.</summary>
public sealed class BlobMissingException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="name">The object's name.</param>
    /// <param name="message">One line: what is missing.</param>
    public BlobMissingException(string name, string message)
        : base(message)
    {
        Name = name;
    }

    /// <summary>The object's name.</summary>
    public string Name { get; }
}
