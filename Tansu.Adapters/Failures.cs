using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Failures of what goes on by itself, which nobody awaits: it must go on, and tell of them.</summary>
internal static class Failures
{
    /// <summary>One line for whoever operates the broker.</summary>
    public static string Describe(Exception failure) => failure is StoreUnavailableException or StoreRefusedException or TimeoutException
        ? failure.Message
        : $"{failure.GetType().Name}: {failure.Message.ReplaceLineEndings(" ")}";
}
