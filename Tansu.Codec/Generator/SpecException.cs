namespace Tansu.Codec.Generator;

/// <summary>A spec file that cannot be understood; the message says which and why.</summary>
internal sealed class SpecException(string message) : Exception(message);
