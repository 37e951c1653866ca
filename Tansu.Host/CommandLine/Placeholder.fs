namespace Tansu.Host.CommandLine

/// Stands in until the command line lands.
module Placeholder =
    /// The name of the command.
    let name = "tansu"
