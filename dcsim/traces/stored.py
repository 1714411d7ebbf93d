"""The weights of a network as they lie in a file: what a trace takes its bytes and streams from."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from dcsim.artifact import (
    Block,
    CompressedModel,
    DczWriter,
    Encoding,
    Floats,
    StoredTensor,
    Variant,
    pack_tensor,
)
from dcsim.artifact.tensor import FP16_BYTES
from dcsim.errors import NetworkError
from dcsim.units import FP32_BITS, bits_to_bytes, bytes_to_bits, ceil_div


@dataclass(frozen=True)
class StoredWeight:
    """One tensor in the variant's file.

    Attributes:
        n_bytes: its payload.
        blocks: every run of its streams; together the payload.
        addressable: element i can be found without decoding those before it: there are no gaps.
    """

    name: str
    n_elements: int
    encoding: Encoding
    n_bytes: int
    blocks: tuple[Block, ...]
    addressable: bool

    @classmethod
    def of(cls, tensor: StoredTensor) -> "StoredWeight":
        """As it lies in a file."""
        addressable = not tensor.is_sparse or (tensor.gap_bits == 0 and not tensor.layout.is_sliced)
        return cls(tensor.name, tensor.n_elements, tensor.encoding, len(tensor.payload), tensor.blocks, addressable)

    def read(self, n_elements: int) -> tuple[Block, ...]:
        """The runs that must be read to have `n_elements` of it, as near as the format lets one get.

        Streams of fixed width are read where the elements lie; a Huffman stream has entry points every 8,192 symbols,
        here counted as if the elements wanted lay side by side. With gaps nobody knows where an element lies, and all
        of it is read.
        """
        if n_elements >= self.n_elements or not self.addressable:
            return self.blocks
        kept, left = [], {"values": n_elements, "codes": n_elements, "gaps": n_elements}
        for block in self.blocks:
            if block.stream not in left:
                kept.append(block)
                continue
            n_symbols = min(left[block.stream], block.n_symbols)
            left[block.stream] -= n_symbols
            if n_symbols:
                n_bits = bytes_to_bits(bits_to_bytes(ceil_div(block.n_bits * n_symbols, block.n_symbols)))
                kept.append(replace(block, n_symbols=n_symbols, n_bits=n_bits))
        return tuple(kept)


@dataclass(frozen=True)
class StoredNetwork:
    """All weights of one storage variant of a network.

    Attributes:
        n_parameters: weights and biases.
        file_bytes: size of the file, or what it would have.
        sha256: of the file that the weights come from; empty where there is none.
        synthetic: drawn from densities.
    """

    network: str
    variant: Variant
    weights: Mapping[str, StoredWeight]
    n_parameters: int
    file_bytes: int
    sha256: str
    synthetic: bool = False

    @classmethod
    def of(cls, stored: CompressedModel) -> "StoredNetwork":
        """All tensors of a file."""
        weights = {tensor.name: StoredWeight.of(tensor) for tensor in stored.tensors}
        return cls(stored.network, stored.variant, weights, stored.n_parameters, stored.file_bytes, stored.sha256)


def plain_weight(name: str, n_elements: int, encoding: Encoding = "fp32") -> StoredWeight:
    """A tensor stored value by value, by its size alone."""
    n_bytes = n_elements * (FP16_BYTES if encoding == "fp16" else bits_to_bytes(FP32_BITS))
    return StoredWeight(
        name, n_elements, encoding, n_bytes, (Block("values", 0, n_elements, bytes_to_bits(n_bytes)),), True
    )


def store(
    network: str, variant: Variant, weights: Iterable[tuple[str, Floats]], file: CompressedModel | None = None
) -> StoredNetwork:
    """Pack weights losslessly one after the other and keep what a trace needs, so that one at a time is in memory.

    Args:
        weights: by name, in the order of the file.
        file: where some or all of them lie already; those that it has not are stored dense beside them, and `variant`
            does not count.

    Raises:
        NetworkError: the file holds a tensor that is not among the weights, or of another shape.
        ArtifactError: a tensor cannot be stored.
    """
    kept = {tensor.name: tensor for tensor in file.tensors} if file else {}
    sink = _Measure()
    writer = DczWriter(cast(BinaryIO, sink), network, file.variant if file else variant)
    stored: dict[str, StoredWeight] = {}
    n_parameters, unused = 0, dict(kept)
    for name, values in weights:
        tensor = unused.pop(name, None) or pack_tensor(name, values, "dense" if file else variant)
        if tensor.shape != tuple(values.shape):
            raise NetworkError(f"{name} has shape {tensor.shape} in the file and {values.shape} in the network")
        writer.add(tensor)
        stored[name] = StoredWeight.of(tensor)
        n_parameters += tensor.n_elements
    if unused:
        raise NetworkError(f"the file holds {next(iter(unused))}, which the network does not have")
    writer.finish()
    is_whole = file is not None and len(kept) == len(stored)
    return StoredNetwork(
        network,
        file.variant if file else variant,
        stored,
        n_parameters,
        file.file_bytes if file and is_whole else sink.n_bytes,
        file.sha256 if file else sink.digest.hexdigest(),
    )


class _Measure:
    """A stream that keeps the size and the fingerprint of what is written to it."""

    def __init__(self) -> None:
        self.n_bytes, self.digest = 0, hashlib.sha256()

    def write(self, content: bytes | memoryview) -> int:
        self.digest.update(content)
        n_bytes = memoryview(content).nbytes
        self.n_bytes += n_bytes
        return n_bytes
