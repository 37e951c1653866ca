namespace Tansu.Benchmarks;
internal static class ScaleLatency { public static Task RunAsync(double seconds) => Task.CompletedTask; }
