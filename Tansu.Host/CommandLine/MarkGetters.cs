#:property PublishAot=false
#:property TargetFramework=net10.0

// Marks every property getter of an assembly `specialname`, in place. F# leaves the mark out for the properties of unions;
// without it the native compiler drops the attributes by which Argu recognises the cases of a union.
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

const int FlagsInRow = 6; // after the method's address (4 bytes) and its implementation flags (2)
var image = File.ReadAllBytes(args[0]);
var marked = 0;
using (var file = new PEReader(new MemoryStream(image)))
{
    var metadata = file.GetMetadataReader();
    var table = file.PEHeaders.MetadataStartOffset + metadata.GetTableMetadataOffset(TableIndex.MethodDef);
    foreach (var handle in metadata.PropertyDefinitions)
    {
        var getter = metadata.GetPropertyDefinition(handle).GetAccessors().Getter;
        if (getter.IsNil || metadata.GetMethodDefinition(getter).Attributes.HasFlag(MethodAttributes.SpecialName))
        {
            continue;
        }

        var row = metadata.GetRowNumber(getter) - 1;
        image[table + row * metadata.GetTableRowSize(TableIndex.MethodDef) + FlagsInRow + 1] |= (int)MethodAttributes.SpecialName >> 8;
        marked++;
    }
}

if (marked > 0)
{
    File.WriteAllBytes(args[0], image);
}
