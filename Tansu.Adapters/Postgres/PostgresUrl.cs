using System.Globalization;
using Npgsql;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Reads <c>postgres://user:password@host:port/database?parameter=value</c>. The names of parameters are those of PostgreSQL's own
/// clients. No message repeats the URL: it may hold a password.
/// </summary>
internal static class PostgresUrl
{
    private const int DefaultPoolSize = 16;
    private const int MaxPoolSize = 1000;
    private const int DefaultConnectSeconds = 5;
    private const int MaxConnectSeconds = 1000;
    private const int WriteBufferBytes = 128 * 1024;

    private const string Form = "write postgres://user:password@host:port/database?parameter=value";

    private const string Parameters =
        "application_name, connect_timeout, host, maximum_pool_size, options, sslcert, sslkey, sslmode and sslrootcert";

    /// <summary>The driver's settings for a URL.</summary>
    /// <exception cref="StoreRefusedException">The URL is not well-formed, or has a parameter or value that is not allowed.</exception>
    public static NpgsqlConnectionStringBuilder Parse(string url)
    {
        // A '#' would cut the rest off, which is how a password with one in it ends up as part of a host name.
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Fragment.Length > 0)
        {
            throw new StoreRefusedException(
                $"The storage engine is not a PostgreSQL URL: {Form}, with %XX for what is not a letter or digit in user and password (%40 for '@', %23 for '#').");
        }

        var settings = Defaults();
        ReadAuthority(uri, settings);
        var database = Decode(uri.AbsolutePath.TrimStart('/'));
        if (database.Contains('/'))
        {
            throw new StoreRefusedException($"The storage engine names more than a database after the host: {Form}.");
        }

        settings.Database = database.Length > 0 ? database : settings.Database;
        foreach (var pair in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = pair.IndexOf('=');
            var name = Decode(equals < 0 ? pair : pair[..equals]);
            Set(settings, name, equals < 0 ? "" : Decode(pair[(equals + 1)..]));
        }

        settings.Password ??= NotEmpty(Environment.GetEnvironmentVariable("PGPASSWORD"));
        settings.Username ??= NotEmpty(Environment.GetEnvironmentVariable("PGUSER")) ?? Environment.UserName;
        settings.Database ??= settings.Username;
        return settings;
    }

    /// <summary>What and where, without secrets.</summary>
    public static string Describe(NpgsqlConnectionStringBuilder settings) =>
        $"postgres {Host(settings)}:{settings.Port}/{settings.Database}";

    private static string Host(NpgsqlConnectionStringBuilder settings) =>
        settings.Host!.Contains(':') ? $"[{settings.Host}]" : settings.Host;

    private static NpgsqlConnectionStringBuilder Defaults() => new()
    {
        Host = "localhost",
        ApplicationName = "tansu",
        Timeout = DefaultConnectSeconds,

        // Every call has a limit of its own. When it has passed, nothing that the server still says may count.
        CommandTimeout = 0,
        CancellationTimeout = -1,

        // Nothing here changes a session, so nothing needs to be reset.
        NoResetOnClose = true,
        GssEncryptionMode = GssEncryptionMode.Disable,
        Enlist = false,
        MaxPoolSize = DefaultPoolSize,
        MaxAutoPrepare = 20,
        AutoPrepareMinUsages = 2,
        TcpKeepAlive = true,

        // The driver copies what it sends into this buffer, whatever its size, and sends one buffer after another.
        WriteBufferSize = WriteBufferBytes,
    };

    private static void ReadAuthority(Uri uri, NpgsqlConnectionStringBuilder settings)
    {
        if (uri.DnsSafeHost.Length > 0)
        {
            settings.Host = uri.DnsSafeHost;
        }

        if (uri.Port > 0)
        {
            settings.Port = uri.Port;
        }

        var user = uri.UserInfo;
        var colon = user.IndexOf(':');
        if (colon >= 0)
        {
            settings.Password = NotEmpty(Decode(user[(colon + 1)..]));
        }

        settings.Username = NotEmpty(Decode(colon < 0 ? user : user[..colon]));
    }

    private static void Set(NpgsqlConnectionStringBuilder settings, string name, string value)
    {
        switch (name)
        {
            case "application_name":
                settings.ApplicationName = value;
                break;
            case "connect_timeout":
                settings.Timeout = Number(name, value, MaxConnectSeconds);
                break;
            case "host" when value.StartsWith('/'):
                settings.Host = value;
                break;
            case "host":
                throw new StoreRefusedException("The storage engine's parameter host takes the directory of a Unix socket; a host name goes before the database.");
            case "maximum_pool_size":
                settings.MaxPoolSize = Number(name, value, MaxPoolSize);
                break;
            case "options":
                settings.Options = value;
                break;
            case "sslcert":
                settings.SslCertificate = value;
                break;
            case "sslkey":
                settings.SslKey = value;
                break;
            case "sslrootcert":
                settings.RootCertificate = value;
                break;
            case "sslmode":
                settings.SslMode = Mode(value);
                break;
            default:
                // Not even the name is repeated: behind an unescaped '?' it is the rest of a password.
                throw new StoreRefusedException($"The storage engine has a parameter that is not known; allowed are {Parameters}.");
        }
    }

    private static SslMode Mode(string value) => value switch
    {
        "disable" => SslMode.Disable,
        "allow" => SslMode.Allow,
        "prefer" => SslMode.Prefer,
        "require" => SslMode.Require,
        "verify-ca" => SslMode.VerifyCA,
        "verify-full" => SslMode.VerifyFull,
        _ => throw new StoreRefusedException(
            "The storage engine's parameter sslmode takes disable, allow, prefer, require, verify-ca or verify-full."),
    };

    private static int Number(string name, string value, int highest) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 && number <= highest
            ? number
            : throw new StoreRefusedException($"The storage engine's parameter {name} takes a whole number from 1 to {highest}.");

    private static string Decode(string text) => Uri.UnescapeDataString(text);

    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
