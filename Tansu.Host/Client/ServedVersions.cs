using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <summary>The APIs and versions that a broker serves, as it told.</summary>
internal sealed class ServedVersions
{
    private readonly Dictionary<short, (short Lowest, short Highest)> _byKey = [];

    /// <summary>Of a broker that has not told yet.</summary>
    public static readonly ServedVersions None = new(new ApiVersionsResponse());

    /// <summary>Reads what a broker told.</summary>
    public ServedVersions(ApiVersionsResponse response)
    {
        foreach (var api in response.ApiKeys)
        {
            _byKey[api.ApiKey] = (api.MinVersion, api.MaxVersion);
        }
    }

    /// <summary>The highest version that the broker, the codec and the caller know; null if there is none.</summary>
    /// <param name="highest">The highest version that the caller can make.</param>
    public short? Find<TRequest>(short highest = short.MaxValue)
        where TRequest : IMessage<TRequest>
    {
        if (!_byKey.TryGetValue(TRequest.ApiKey, out var served))
        {
            return null;
        }

        var version = Math.Min(Math.Min(served.Highest, TRequest.HighestVersion), highest);
        return version >= served.Lowest && version >= TRequest.LowestVersion ? version : null;
    }
}
