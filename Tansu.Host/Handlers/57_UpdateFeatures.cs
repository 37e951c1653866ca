using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// UpdateFeatures (API key 57, KIP-584). Version 1 brought kinds of changes (KIP-778), 2 one outcome for all (KIP-1022). The levels of features
/// come with the program: setting one to what it is works, anything else is refused.
/// </summary>
internal sealed class UpdateFeaturesHandler : Handler<UpdateFeaturesRequest, UpdateFeaturesResponse>
{
    private const short FirstVersionWithOneOutcome = 2;

    public override ValueTask<UpdateFeaturesResponse?> HandleAsync(
        RequestContext context,
        UpdateFeaturesRequest request,
        CancellationToken cancellationToken)
    {
        var changed = Array.Find(request.FeatureUpdates, static update => update.MaxVersionLevel != Features.LevelOf(update.Feature));
        var response = changed is null
            ? new UpdateFeaturesResponse()
            : new UpdateFeaturesResponse
            {
                ErrorCode = ErrorCode.InvalidUpdateVersion,
                ErrorMessage = $"Invalid update version {changed.MaxVersionLevel} for feature {changed.Feature}. "
                    + $"Its level is {Features.LevelOf(changed.Feature)}; it comes with the program and cannot be changed.",
            };
        if (context.Version < FirstVersionWithOneOutcome && changed is null)
        {
            response.Results = Array.ConvertAll(request.FeatureUpdates, static update => new UpdateFeaturesResponse.UpdatableFeatureResult
            {
                Feature = update.Feature,
            });
        }

        return new ValueTask<UpdateFeaturesResponse?>(response);
    }
}
