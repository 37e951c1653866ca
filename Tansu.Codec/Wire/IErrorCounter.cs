namespace Tansu.Codec;

/// <summary>Takes the error codes of a response.</summary>
public interface IErrorCounter
{
    /// <summary>Counts one code, which is not <see cref="ErrorCode.None"/>.</summary>
    void Count(ErrorCode error);
}

/// <summary>A response with error codes in it.</summary>
public interface IHasErrors
{
    /// <summary>Counts every error code in it: one for each partition or the like that failed.</summary>
    void CountErrors(IErrorCounter errors);
}
