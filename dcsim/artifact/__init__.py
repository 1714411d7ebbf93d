"""CompressedModel and the `.dcz` file: the bytes that the simulation moves.

A network's tensors are stored losslessly, each in the smallest encoding that its storage variant permits:

* `fp32`, `fp16`: every value (fp16 only where it is exact);
* `pruned`: fp32 value and fixed-width gap of every nonzero, filler zeros included;
* `shared`: fixed-width code and gap of every entry, and the codebook (code 0 is the value zero);
* `huffman`: both streams Huffman-coded, their code-length tables and the length of each run.

The format is little endian throughout; docs/reference/dcz.md specifies it. Reading allocates nothing that the file's
own size does not justify, and every fault is a typed `ArtifactError`.
"""

from dcsim.artifact.dcz import VARIANTS, CompressedModel, DczWriter, Variant
from dcsim.artifact.layout import Floats, Layout, Live
from dcsim.artifact.packing import GapBits, Weights, pack, pack_linked, pack_tensor, repack
from dcsim.artifact.tensor import Block, Encoding, StoredTensor

__all__ = [
    "VARIANTS",
    "Block",
    "CompressedModel",
    "DczWriter",
    "Encoding",
    "Floats",
    "GapBits",
    "Layout",
    "Live",
    "StoredTensor",
    "Variant",
    "Weights",
    "pack",
    "pack_linked",
    "pack_tensor",
    "repack",
]
