using System.Text.Json;

namespace Tansu.Codec;

/// <summary>A stored structure that can be shown to a person.</summary>
public interface IDescribed
{
    /// <summary>Writes the fields as properties of an object that is open. Of bytes only the length is told.</summary>
    /// <param name="json">Where to.</param>
    void Describe(Utf8JsonWriter json);
}
