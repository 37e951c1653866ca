namespace Tansu.Domain

/// Kafka's rules for topic names (org.apache.kafka.common.internals.Topic).
[<RequireQualifiedAccess>]
module TopicName =
    /// The longest name, in characters.
    [<Literal>]
    let MaxLength = 249

    let private isAllowed character =
        (character >= 'a' && character <= 'z')
        || (character >= 'A' && character <= 'Z')
        || (character >= '0' && character <= '9')
        || character = '.'
        || character = '_'
        || character = '-'

    /// Whether Kafka would accept the name; the reason when not.
    let validate (name: string) : Result<unit, string> =
        if System.String.IsNullOrEmpty name then
            Error "the empty string is not allowed"
        elif name = "." || name = ".." then
            Error "'.' or '..' is not allowed"
        elif name.Length > MaxLength then
            Error $"the length is longer than the max allowed length {MaxLength}"
        elif not (Seq.forall isAllowed name) then
            Error $"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        else
            Ok()

    /// Names that are equal under this key would share their metrics' names, so Kafka allows only one of them.
    let collisionKey (name: string) = name.Replace('.', '_')
