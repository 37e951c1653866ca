using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AlterClientQuotas (API key 49, KIP-546). Version 1 is flexible. A quota that would not be enforced is refused; taking away what is not there
/// works, as in Kafka.
/// </summary>
internal sealed class AlterClientQuotasHandler : Handler<AlterClientQuotasRequest, AlterClientQuotasResponse>
{
    public override ValueTask<AlterClientQuotasResponse?> HandleAsync(
        RequestContext context,
        AlterClientQuotasRequest request,
        CancellationToken cancellationToken) => new(new AlterClientQuotasResponse
        {
            Entries = Array.ConvertAll(request.Entries, static entry =>
            {
                var (error, message) = Judge(entry);
                return new AlterClientQuotasResponse.EntryData
                {
                    ErrorCode = error,
                    ErrorMessage = message,
                    Entity = Array.ConvertAll(entry.Entity, static part => new AlterClientQuotasResponse.EntityData
                    {
                        EntityType = part.EntityType,
                        EntityName = part.EntityName,
                    }),
                };
            }),
        });

    private static (ErrorCode Error, string? Message) Judge(AlterClientQuotasRequest.EntryData entry)
    {
        if (entry.Entity.Length == 0)
        {
            return (ErrorCode.InvalidRequest, "Invalid empty client quota entity");
        }

        if (Array.Find(entry.Entity, static part => !ClientQuotas.IsEntityType(part.EntityType)) is { } unknown)
        {
            return (ErrorCode.InvalidRequest, $"Unhandled client quota entity type: {unknown.EntityType}");
        }

        return Array.TrueForAll(entry.Ops, static change => change.Remove)
            ? (ErrorCode.None, null)
            : (ErrorCode.InvalidRequest, "Quotas are not enforced by this broker, therefore none can be set.");
    }
}
