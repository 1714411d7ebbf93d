"""CompressedModel and the `.dcz` file: the bytes that the simulation moves.

A network's tensors are stored losslessly, each in the smallest encoding that its storage variant permits:

* `fp32`, `fp16`: every value (fp16 only where it is exact; one-dimensional tensors only);
* `pruned`: fp32 value and fixed-width gap of every nonzero, filler zeros included;
* `shared`: fixed-width code and gap of every entry, and the codebook (code 0 is the value zero);
* `huffman`: both streams Huffman-coded, their code-length tables and the bits of each block.

The format is little endian throughout; README.md specifies it. Reading allocates nothing that the file's own size does
not justify, and every fault is a typed `ArtifactError`.
"""

from dcsim.artifact.dcz import VARIANTS, CompressedModel, Variant
from dcsim.artifact.packing import GapBits, Weights, pack, repack
from dcsim.artifact.tensor import Block, Encoding, Floats, StoredTensor

__all__ = [
    "VARIANTS",
    "Block",
    "CompressedModel",
    "Encoding",
    "Floats",
    "GapBits",
    "StoredTensor",
    "Variant",
    "Weights",
    "pack",
    "repack",
]
