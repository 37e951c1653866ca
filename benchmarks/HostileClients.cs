using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Benchmarks;

/// <summary>
/// Clients that mean no good: idle ones, such as stop within a request, such as ask and take nothing, and a steady stream of nonsense.
/// </summary>
internal static class HostileClients
{
    /// <summary>Said on the output once all that stay are connected.</summary>
    public const string Ready = "ready";

    private const int Idle = 5000;
    private const int HalfFrames = 200;
    private const int SlowReaders = 50;
    private const int AskedBySlowReader = 100;
    private const int FetchBytes = 1024 * 1024;
    private const short FetchVersion = 12;
    private const short MetadataKey = 3;
    private const short MetadataVersion = 9;

    /// <summary>How many connections with nonsense come in a second.</summary>
    private const int NonsensePerSecond = 1000;

    /// <summary>Attacks until the input ends.</summary>
    public static async Task AttackAsync(int port)
    {
        var sockets = new List<Socket>();
        for (var index = 0; index < Idle + HalfFrames + SlowReaders; index++)
        {
            sockets.Add(await ConnectAsync(port));
        }

        byte[] half = [.. Length(1_000_000), .. Header(MetadataKey, MetadataVersion), .. new byte[20_000]];
        foreach (var socket in sockets[..HalfFrames])
        {
            await socket.SendAsync(half);
        }

        byte[] questions = [.. Enumerable.Repeat(Fetch(), AskedBySlowReader).SelectMany(static bytes => bytes)];
        foreach (var socket in sockets[HalfFrames..(HalfFrames + SlowReaders)])
        {
            await socket.SendAsync(questions);
        }

        Console.WriteLine(Ready);
        // The console reads without giving way, whatever it is asked for.
        var ended = Task.Run(Console.In.ReadToEnd);
        await TalkNonsenseAsync(port, ended);
        sockets.ForEach(static socket => socket.Dispose());
    }

    private static async Task TalkNonsenseAsync(int port, Task ended)
    {
        var random = new Random(1);
        var nonsense = Nonsense();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!ended.IsCompleted)
        {
            await timer.WaitForNextTickAsync();
            for (var count = 0; count < NonsensePerSecond / 100; count++)
            {
                using var socket = await ConnectAsync(port);
                if (random.Next(3) > 0)
                {
                    await SendAsync(socket, nonsense[random.Next(nonsense.Count)]);
                    continue;
                }

                var bytes = new byte[random.Next(1, 4096)];
                random.NextBytes(bytes);
                await SendAsync(socket, bytes);
            }
        }
    }

    /// <summary>Impossible lengths, and impossible counts in every API and version.</summary>
    private static List<byte[]> Nonsense()
    {
        var all = new List<byte[]> { Length(int.MaxValue), Length(int.MinValue), Length(-1), Length(0), Length(9), Length(200 * 1024 * 1024) };
        foreach (var api in ApiKeys.All)
        {
            for (var version = api.LowestVersion; version <= api.HighestVersion; version++)
            {
                foreach (var filler in (byte[])[0xff, 0x7f, 0x02, 0x00])
                {
                    var body = new byte[200];
                    Array.Fill(body, filler);
                    all.Add(Request(api.Key, version, body));
                }
            }
        }

        return all;
    }

    /// <summary>Everything from the beginning of the topic that the producer writes to.</summary>
    private static byte[] Fetch()
    {
        using var writer = new KafkaWriter();
        new RequestHeader { RequestApiKey = FetchRequest.ApiKey, RequestApiVersion = FetchVersion, CorrelationId = 1 }.Write(writer, 2);
        new FetchRequest
        {
            MinBytes = 1,
            MaxBytes = FetchBytes,
            SessionEpoch = -1,
            Topics =
            [
                new FetchRequest.FetchTopic
                {
                    Topic = BrokerUnderTest.TopicName,
                    Partitions = [new FetchRequest.FetchPartition { CurrentLeaderEpoch = -1, PartitionMaxBytes = FetchBytes }],
                },
            ],
        }.Write(writer, FetchVersion);
        return [.. writer.Frame().SelectMany(static segment => segment.ToArray())];
    }

    private static byte[] Request(short apiKey, short version, byte[] body)
    {
        byte[] bytes = [.. Header(apiKey, version), .. body];
        return [.. Length(bytes.Length), .. bytes];
    }

    /// <summary>API key, version, correlation id, no client id, no tags.</summary>
    private static byte[] Header(short apiKey, short version)
    {
        using var writer = new KafkaWriter();
        writer.WriteInt16(apiKey);
        writer.WriteInt16(version);
        writer.WriteInt32(1);
        writer.WriteInt16(-1);
        return [.. writer.ToArray(), 0];
    }

    private static byte[] Length(int bytes)
    {
        var length = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, bytes);
        return length;
    }

    private static async Task<Socket> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return socket;
    }

    private static async Task SendAsync(Socket socket, byte[] bytes)
    {
        try
        {
            await socket.SendAsync(bytes);
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The broker has had enough.
        }
    }
}
