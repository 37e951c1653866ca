namespace Tansu.Codec;

/// <summary>What the codec knows of one Kafka API. A broker may serve fewer versions than these.</summary>
/// <param name="Key">The API's number on the wire.</param>
/// <param name="Name">Kafka's name of the API.</param>
/// <param name="LowestVersion">The lowest version the codec reads and writes.</param>
/// <param name="HighestVersion">The highest version the codec reads and writes.</param>
/// <param name="FirstFlexibleVersion">The lowest flexible version (KIP-482), or <see cref="short.MaxValue"/> if there is none.</param>
public readonly record struct ApiDescription(
    short Key,
    string Name,
    short LowestVersion,
    short HighestVersion,
    short FirstFlexibleVersion)
{
    private const short ApiVersionsKey = 18;

    /// <summary>The version of the request header in front of a request of <paramref name="version"/>: 2 if it is flexible, else 1.</summary>
    public short RequestHeaderVersion(short version) => version >= FirstFlexibleVersion ? (short)2 : (short)1;

    /// <summary>
    /// The version of the response header in front of a response of <paramref name="version"/>: 1 if it is flexible, else 0.
    /// ApiVersions always has 0, because its client cannot know yet what the broker understands (KIP-511).
    /// </summary>
    public short ResponseHeaderVersion(short version) =>
        version >= FirstFlexibleVersion && Key != ApiVersionsKey ? (short)1 : (short)0;

    /// <summary>Whether the codec knows <paramref name="version"/> of this API.</summary>
    public bool Knows(short version) => version >= LowestVersion && version <= HighestVersion;
}
