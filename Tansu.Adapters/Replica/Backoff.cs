namespace Tansu.Adapters.Replica;

/// <summary>Jittered exponential waits: each is between half and all of a bound that doubles.</summary>
internal struct Backoff(ReplicaOptions options, TimeSpan longest)
{
    private int _attempt;

    public Task WaitAsync(CancellationToken cancellationToken)
    {
        var bound = Math.Min(options.FirstBackoff.TotalMilliseconds * Math.Pow(2, Math.Min(_attempt, 30)), longest.TotalMilliseconds);
        _attempt++;
        var wait = TimeSpan.FromMilliseconds(bound * (0.5 + (options.Random.NextDouble() / 2)));
        return Task.Delay(wait, options.TimeProvider, cancellationToken);
    }
}
