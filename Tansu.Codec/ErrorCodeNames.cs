using System.Text;

namespace Tansu.Codec;

/// <summary>How Kafka spells its error codes.</summary>
public static class ErrorCodeNames
{
    /// <summary>Kafka's name of a code, such as UNKNOWN_TOPIC_OR_PARTITION; the number if it is not known.</summary>
    public static string KafkaName(this ErrorCode code)
    {
        var name = code.ToString();
        var spelled = new StringBuilder(name.Length + 8);
        for (var i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsAsciiLetterUpper(name[i]))
            {
                spelled.Append('_');
            }

            spelled.Append(char.ToUpperInvariant(name[i]));
        }

        return spelled.ToString();
    }
}
