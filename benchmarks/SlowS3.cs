using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>A real S3 server (Ceph, as in the tests) to which a proxy makes every request take longer, if it is to; the environment then leads there.</summary>
internal sealed class SlowS3 : IDisposable
{
    /// <summary>What the proxy adds to every request, unless told otherwise, in milliseconds.</summary>
    public const int DelayMs = 30;

    private readonly string _directory;
    private readonly DelayingProxy? _proxy;

    private SlowS3(string directory, DelayingProxy? proxy)
    {
        _directory = directory;
        _proxy = proxy;
    }

    /// <param name="delayMs">What every request takes longer. 0: there is no proxy.</param>
    public static SlowS3 Start(int delayMs = DelayMs)
    {
        var directory = Path.Combine(Path.GetTempPath(), "tansu-slow-" + Guid.NewGuid().ToString("N"));
        var port = FreePort();
        Script("start", directory, $"{port}", $"{FreePort()}", $"{Environment.ProcessId}");
        var proxy = delayMs > 0 ? new DelayingProxy(port, TimeSpan.FromMilliseconds(delayMs)) : null;
        Environment.SetEnvironmentVariable("AWS_ACCESS_KEY_ID", "testaccess");
        Environment.SetEnvironmentVariable("AWS_SECRET_ACCESS_KEY", "testsecretkey");
        Environment.SetEnvironmentVariable("AWS_ENDPOINT_URL", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{proxy?.Port ?? port}"));
        return new SlowS3(directory, proxy);
    }

    /// <summary>The median of PUTs of 16 KiB one after another, as a floor: no record can be durable sooner.</summary>
    public static async Task<double> PutMsAsync()
    {
        await using var store = await Tansu.Adapters.StoreUrl.OpenAsync("s3://test/floor", Tansu.Adapters.StoreOptions.Default, CancellationToken.None);
        var content = new System.Buffers.ReadOnlySequence<byte>(new byte[16 * 1024]);
        var times = new List<double>();
        for (var index = 0; index < 50; index++)
        {
            var begun = Stopwatch.GetTimestamp();
            await store.Blobs.PutAsync($"floor-{index}", content, CancellationToken.None);
            times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }

        return Medians.Of(times);
    }

    public void Dispose()
    {
        _proxy?.Dispose();
        Script("stop", _directory);
    }

    /// <summary>A port that nothing listens on.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static void Script(params string[] arguments)
    {
        var script = Path.Combine("property-tests", "servers", "ceph-s3.sh");
        using var running = Process.Start(script, arguments);
        running.WaitForExit();
        if (running.ExitCode != 0)
        {
            throw new InvalidOperationException($"{script} failed: run this from the repository's root, after property-tests/servers/install-ceph.sh");
        }
    }
}
