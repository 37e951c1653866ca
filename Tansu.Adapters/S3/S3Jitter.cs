namespace Tansu.Adapters;

/// <summary>Short random waits between attempts at a conditional write, so that writers do not keep meeting.</summary>
internal static class S3Jitter
{
    public static Task WaitAsync(int attempt, CancellationToken cancellationToken) =>
        Task.Delay(TimeSpan.FromMilliseconds(5 + (Random.Shared.NextDouble() * (20 << Math.Min(attempt, 5)))), cancellationToken);
}
