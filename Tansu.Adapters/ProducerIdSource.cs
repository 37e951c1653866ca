using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters;

/// <summary>
/// Hands out producer ids from blocks that the catalog gave to this broker alone. What is left of a block when the broker
/// ends is never used: ids are plentiful, writes are not.
/// </summary>
public sealed class ProducerIdSource : IDisposable
{
    private readonly Replica<CatalogState, CatalogCommand, CatalogEvent, CatalogReply> _catalog;
    private readonly ClusterOptions _options;
    private readonly SemaphoreSlim _turn = new(1);
    private long _next;
    private long _end;

    internal ProducerIdSource(Replica<CatalogState, CatalogCommand, CatalogEvent, CatalogReply> catalog, ClusterOptions options)
    {
        _catalog = catalog;
        _options = options;
    }

    /// <inheritdoc/>
    public void Dispose() => _turn.Dispose();

    /// <summary>An id that nobody else has or will get.</summary>
    /// <exception cref="TimeoutException">A new block was needed, and the store did not answer in time.</exception>
    public async ValueTask<long> NextAsync(TimeSpan timeout)
    {
        if (!await _turn.WaitAsync(timeout))
        {
            throw new TimeoutException("No producer id could be had in time.");
        }

        try
        {
            if (_next == _end)
            {
                var reply = await _catalog.SubmitAsync(
                    CatalogCommand.NewAllocateProducerIds(_options.ProducerIdBlockSize),
                    Payload.None,
                    timeout);
                var block = (CatalogReply.ProducerIdBlock)reply;
                _next = block.firstProducerId;
                _end = block.firstProducerId + block.count;
            }

            return _next++;
        }
        finally
        {
            _turn.Release();
        }
    }
}
