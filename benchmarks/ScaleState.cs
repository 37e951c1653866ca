namespace Tansu.Benchmarks;
internal static class ScaleState { public static Task RunAsync() => Task.CompletedTask; }
