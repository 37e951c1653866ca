using System.Diagnostics.CodeAnalysis;

namespace Tansu.Host.Requests;

/// <summary>The APIs that are served. What ApiVersions tells is read from here, so that it cannot differ from what is done.</summary>
internal sealed class ApiTable
{
    private readonly Handler?[] _byKey;

    /// <summary>Creates a table.</summary>
    /// <exception cref="ArgumentException">Two handlers serve one API.</exception>
    public ApiTable(IEnumerable<Handler> handlers)
    {
        All = [.. handlers.OrderBy(handler => handler.ApiKey)];
        _byKey = new Handler?[All.Count == 0 ? 0 : All[^1].ApiKey + 1];
        foreach (var handler in All)
        {
            if (_byKey[handler.ApiKey] is not null)
            {
                throw new ArgumentException($"two handlers serve {handler.Name}", nameof(handlers));
            }

            _byKey[handler.ApiKey] = handler;
        }
    }

    /// <summary>The handlers in the order of their API keys.</summary>
    public IReadOnlyList<Handler> All { get; }

    /// <summary>The handler of an API, if it is served.</summary>
    public bool TryFind(short apiKey, [NotNullWhen(true)] out Handler? handler)
    {
        handler = (uint)apiKey < (uint)_byKey.Length ? _byKey[apiKey] : null;
        return handler is not null;
    }
}
