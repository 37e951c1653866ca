using System.Globalization;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using LogLevel = Tansu.Host.CommandLine.LogLevel;

namespace Tansu.Host;

/// <summary>Where log lines go: the console, one line an event.</summary>
public static class Logging
{
    private const string Template = "{Timestamp:yyyy-MM-dd HH:mm:ss.fff} {Level:u3} {Message:lj}{NewLine}{Exception}";

    /// <summary>A logger that leaves out what is below a level. The caller disposes it.</summary>
    public static Logger Create(LogLevel level) =>
        new LoggerConfiguration()
            .MinimumLevel.Is((LogEventLevel)(int)level)
            .WriteTo.Console(outputTemplate: Template, formatProvider: CultureInfo.InvariantCulture)
            .CreateLogger();
}
