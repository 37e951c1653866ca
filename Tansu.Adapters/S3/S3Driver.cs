using Amazon.Runtime;
using Amazon.Runtime.Internal;
using Amazon.Runtime.Internal.Auth;
using Amazon.S3;
using Amazon.S3.Model;

namespace Tansu.Adapters;

/// <summary>
/// The vendor's client, but a PUT is signed without what it carries, over http too: SHA-256 was a quarter of the processor time of a busy
/// broker. What protects the content instead: docs/storage-s3.md.
/// </summary>
internal sealed class S3Driver(AWSCredentials credentials, AmazonS3Config config) : AmazonS3Client(credentials, config)
{
    protected override void CustomizeRuntimePipeline(RuntimePipeline pipeline)
    {
        base.CustomizeRuntimePipeline(pipeline);
        pipeline.AddHandlerBefore<Signer>(new UnsignedPuts());
    }

    /// <summary>
    /// Gives the signer what it would otherwise compute from the content. <see cref="PutObjectRequest.DisablePayloadSigning"/> would do the same,
    /// but not over http.
    /// </summary>
    private sealed class UnsignedPuts : PipelineHandler
    {
        public override Task<T> InvokeAsync<T>(IExecutionContext executionContext)
        {
            var context = executionContext.RequestContext;
            if (context.OriginalRequest is PutObjectRequest)
            {
                context.Request.PrecomputedContentSha256 = AWS4Signer.UnsignedPayload;
            }

            return base.InvokeAsync<T>(executionContext);
        }
    }
}
