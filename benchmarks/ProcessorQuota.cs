using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// A process that may use no more than a fraction of one core, as on a small machine of its own: a control group of the kernel's, version 1 or 2. Needs root.
/// </summary>
internal sealed class ProcessorQuota : IDisposable
{
    private const string Root = "/sys/fs/cgroup";
    private const int PeriodMicroseconds = 10_000;

    private readonly string _group;
    private readonly string _parent;

    public ProcessorQuota(int processId, double cores)
    {
        var isVersion1 = Directory.Exists(Path.Combine(Root, "cpu"));
        _parent = isVersion1 ? Path.Combine(Root, "cpu") : Root;
        _group = Path.Combine(_parent, string.Create(CultureInfo.InvariantCulture, $"tansu-bench-{processId}"));
        Directory.CreateDirectory(_group);
        var quota = ((int)(cores * PeriodMicroseconds)).ToString(CultureInfo.InvariantCulture);
        var period = PeriodMicroseconds.ToString(CultureInfo.InvariantCulture);
        if (isVersion1)
        {
            File.WriteAllText(Path.Combine(_group, "cpu.cfs_period_us"), period);
            File.WriteAllText(Path.Combine(_group, "cpu.cfs_quota_us"), quota);
        }
        else
        {
            File.WriteAllText(Path.Combine(_group, "cpu.max"), $"{quota} {period}");
        }

        File.WriteAllText(Path.Combine(_group, "cgroup.procs"), processId.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>To be called after the process has ended.</summary>
    public void Dispose() => Directory.Delete(_group);
}
