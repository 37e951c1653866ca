namespace Tansu.Adapters.Measuring;

/// <summary>What a store may be asked for. On S3 one of them may take several requests, on a file none.</summary>
public enum StoreRequestKind
{
    /// <summary>To append an entry to a log: a commit.</summary>
    Append = 0,

    /// <summary>To read what others have appended.</summary>
    ReadEntries,

    /// <summary>To read records that are in an entry.</summary>
    ReadRecords,

    /// <summary>To save a snapshot.</summary>
    SaveSnapshot,

    /// <summary>To load a snapshot.</summary>
    LoadSnapshot,

    /// <summary>To delete entries that a snapshot has made superfluous.</summary>
    Trim,

    /// <summary>To put an object: records that do not fit into an entry, a segment, an index page.</summary>
    PutObject,

    /// <summary>To read from an object.</summary>
    ReadObject,

    /// <summary>To delete objects.</summary>
    DeleteObjects,

    /// <summary>To list objects.</summary>
    ListObjects,
}
