namespace Tansu.Host.Handlers;

/// <summary>The features of the cluster (KIP-584), which clients look at. Their levels come with the program.</summary>
internal static class Features
{
    /// <summary>Transactions v2 (KIP-890): clients use them if this feature is in force at level 2.</summary>
    public const string TransactionVersion = "transaction.version";

    /// <summary>The lowest level of it that could be in force.</summary>
    public const short LowestTransactionVersion = 0;

    /// <summary>The highest level of it, which is in force.</summary>
    public const short HighestTransactionVersion = 2;

    /// <summary>The level that is in force; 0 for a feature that there is not.</summary>
    public static short LevelOf(string feature) => feature == TransactionVersion ? HighestTransactionVersion : (short)0;
}
