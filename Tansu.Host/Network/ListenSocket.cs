using System.Net;
using System.Net.Sockets;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Network;

/// <summary>Claims an address to accept connections at.</summary>
internal static class ListenSocket
{
    /// <summary>A socket that listens. A host name is looked up; port 0 takes any free port.</summary>
    /// <param name="endpoint">The address.</param>
    /// <param name="backlog">How many connections the operating system may hold that were not accepted yet.</param>
    /// <param name="flag">How the operator chooses another address.</param>
    /// <exception cref="ListenException">The address is in use, not of this machine, or not allowed.</exception>
    public static Socket Bind(Endpoint endpoint, int backlog, string flag)
    {
        Socket? socket = null;
        try
        {
            var address = Resolve(endpoint.Host);
            socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (address.AddressFamily == AddressFamily.InterNetworkV6)
            {
                // [::] means every address of the machine, IPv4 ones included.
                socket.DualMode = address.Equals(IPAddress.IPv6Any);
            }

            socket.Bind(new IPEndPoint(address, endpoint.Port));
            socket.Listen(backlog);
            return socket;
        }
        catch (SocketException error)
        {
            socket?.Dispose();
            throw new ListenException($"cannot listen on {endpoint.Url}: {Reason(error, flag)}", error);
        }
    }

    private static IPAddress Resolve(string host)
    {
        var address = IPAddress.TryParse(host, out var parsed) ? parsed : Dns.GetHostAddresses(host)[0];
        return address.Equals(IPAddress.IPv6Any) && !Socket.OSSupportsIPv6 ? IPAddress.Any : address;
    }

    private static string Reason(SocketException error, string flag) => error.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => $"the port is in use; stop the other program or choose another port with {flag}",
        SocketError.AddressNotAvailable => "this machine does not have that address",
        SocketError.AccessDenied => "not allowed; ports below 1024 need privileges",
        SocketError.HostNotFound or SocketError.NoData => "the host name is not known",
        _ => error.Message,
    };
}
