namespace Tansu.Benchmarks;

/// <summary>A load of prepared frames on one broker, and what the broker asked of its store meanwhile.</summary>
/// <param name="BytesPerSecond">Of the requests.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Spent">What the broker did: its processor time, its requests to the store.</param>
internal sealed record StoreLoad(double BytesPerSecond, double Seconds, StoreSnapshot Spent)
{
    public static async Task<StoreLoad> RunAsync(OtherProcess broker, byte[][] frames, int inFlight, TimeSpan duration)
    {
        await LoadGenerator.RunAsync(broker.Port, frames, inFlight, duration / 4);
        var before = await StoreSnapshot.TakeAsync(broker);
        var (bytes, seconds) = await LoadGenerator.RunAsync(broker.Port, frames, inFlight, duration);
        return new StoreLoad(bytes / seconds, seconds, (await StoreSnapshot.TakeAsync(broker)).Since(before));
    }
}

/// <summary>What a broker has done so far; times in seconds.</summary>
internal sealed record StoreSnapshot(
    double Cpu, double Appends, double AppendedBytes, double AppendSeconds, double Objects, double ObjectBytes, double ObjectSeconds, double Conflicts, double Errors)
{
    public static async Task<StoreSnapshot> TakeAsync(OtherProcess broker) => new(
        broker.ProcessorSeconds,
        await broker.MetricAsync("tansu_store_seconds_count{operation=\"append\""),
        await broker.MetricAsync("tansu_store_bytes_total{operation=\"append\""),
        await broker.MetricAsync("tansu_store_seconds_sum{operation=\"append\""),
        await broker.MetricAsync("tansu_store_seconds_count{operation=\"put_object\""),
        await broker.MetricAsync("tansu_store_bytes_total{operation=\"put_object\""),
        await broker.MetricAsync("tansu_store_seconds_sum{operation=\"put_object\""),
        await broker.MetricAsync("tansu_commit_conflicts_total"),
        await broker.MetricAsync("tansu_response_errors_total"));

    /// <exception cref="InvalidOperationException">A request was refused: what was measured means nothing.</exception>
    public StoreSnapshot Since(StoreSnapshot earlier) => Errors > earlier.Errors ? throw new InvalidOperationException("the broker answered errors") : new(
        Cpu - earlier.Cpu,
        Appends - earlier.Appends,
        AppendedBytes - earlier.AppendedBytes,
        AppendSeconds - earlier.AppendSeconds,
        Objects - earlier.Objects,
        ObjectBytes - earlier.ObjectBytes,
        ObjectSeconds - earlier.ObjectSeconds,
        Conflicts - earlier.Conflicts,
        0);
}
