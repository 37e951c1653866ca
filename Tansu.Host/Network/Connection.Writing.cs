using Serilog.Events;
using Tansu.Codec;

namespace Tansu.Host.Network;

/// <content>The loop that sends the replies, and ends every request.</content>
internal sealed partial class Connection
{
    private readonly List<PendingRequest> _gathered = [];

    private async Task WriteAsync()
    {
        var requests = _pending.Reader;
        var isBroken = false;
        while (await requests.WaitToReadAsync().ConfigureAwait(false))
        {
            while (requests.TryRead(out var request))
            {
                // A broken connection is still drained: every request's memory ends here and nowhere else.
                isBroken |= !await GatherAsync(request, isBroken).ConfigureAwait(false);

                // One commit answers several requests, the first of them last.
                while (!isBroken && _sender.GatheredBytes < ReplySender.GatherBytes
                    && requests.TryPeek(out var next) && next.IsCompleted && requests.TryRead(out next))
                {
                    isBroken = !await GatherAsync(next, isBroken).ConfigureAwait(false);
                }

                isBroken |= !await FlushAsync().ConfigureAwait(false);
                if (isBroken)
                {
                    Abort();
                }
            }
        }
    }

    /// <summary>Waits for one reply and adds it to those to be sent. False if the connection cannot go on.</summary>
    private async ValueTask<bool> GatherAsync(PendingRequest request, bool isBroken)
    {
        _gathered.Add(request);
        try
        {
            var reply = await request.TakeReplyAsync().ConfigureAwait(false);
            if (reply is not null && !isBroken)
            {
                _sender.Gather(reply);
            }

            return true;
        }
        catch (KafkaFormatException malformed)
        {
            Complain(malformed);
        }
        catch (OperationCanceledException) when (_closed.IsCancellationRequested)
        {
        }
#pragma warning disable CA1031 // The connection is the boundary: a bug in one request must not end the others.
        catch (Exception error)
#pragma warning restore CA1031
        {
            IsEndedByRequest = true;
            _complaints.WriteError(error, "Closing the connection from {RemoteAddress}: a request failed", _info.RemoteAddress);
        }
        finally
        {
            _info.Answers.Answer();
        }

        return false;
    }

    /// <summary>Sends what was gathered and ends those requests. False if the connection is broken.</summary>
    private async ValueTask<bool> FlushAsync()
    {
        try
        {
            await _sender.SendAsync().ConfigureAwait(false);
            return true;
        }
        catch (Exception error) when (IsEndOfConnection(error))
        {
            return false;
        }
#pragma warning disable CA1031 // The connection is the boundary, and its requests end in here whatever happens.
        catch (Exception error)
#pragma warning restore CA1031
        {
            _complaints.WriteError(error, "Closing the connection from {RemoteAddress}: a reply cannot be sent", _info.RemoteAddress);
            return false;
        }
        finally
        {
            Touch();
            foreach (var request in _gathered)
            {
                request.Dispose();
                _inFlight.Leave(request.Length);
            }

            _gathered.Clear();
        }
    }
}
