namespace Tansu.Domain

/// Stands in until the deciders land.
module Placeholder =
    /// The name of this project.
    let name = "Tansu.Domain"
