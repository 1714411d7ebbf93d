"""Pruned weights as libraries on CPUs and GPUs keep them: a 32-bit position beside every fp32 value, and pointers.

Deep Compression stores gaps of a few bits instead. A `.dcz` file has no such encoding, because nobody would move it
from a file; a trace can be priced as if the weights lay so.
"""

from dataclasses import replace
from typing import Literal

from dcsim.artifact import Block
from dcsim.errors import ConfigError
from dcsim.traces.trace import Layer, Trace
from dcsim.units import FP32_BITS, bits_to_bytes

SparseFormat = Literal["csr", "csc"]
INDEX_BITS = 32  # what cuSPARSE and MKL use by default; Deep Compression, section 6.2, compares with them
ENCODED = ("live", "pointers", "values", "gaps")  # streams of a pruned tensor in a .dcz file


def priced_as(trace: Trace, sparse_format: SparseFormat) -> Trace:
    """The same trace with every pruned matrix as CSR or CSC; what is stored dense stays so.

    A matrix of N outputs x K inputs has a value and a position for each nonzero, and N + 1 pointers (CSR) or K + 1
    (CSC).

    Raises:
        ConfigError: the trace is of another variant than `pruned`.
    """
    if trace.variant != "pruned":
        raise ConfigError(f"only the pruned variant can lie as {sparse_format}, this trace is of {trace.variant}")
    layers = tuple(_priced(layer, sparse_format) for layer in trace.layers)
    before, after = (sum(layer.stored_bytes for layer in side) for side in (trace.layers, layers))
    return replace(trace, layers=layers, file_bytes=trace.file_bytes + after - before, file_sha256="")


def _priced(layer: Layer, sparse_format: SparseFormat) -> Layer:
    if layer.encoding != "pruned" or not layer.has_gemm:
        return layer
    n_nonzero = layer.n_weights_nonzero
    n_pointers = layer.n_groups * (layer.n if sparse_format == "csr" else layer.k) + 1
    matrix = (
        Block("values", 0, n_nonzero, n_nonzero * FP32_BITS),
        Block("indices", 0, n_nonzero, n_nonzero * INDEX_BITS),
        Block("pointers", 0, n_pointers, n_pointers * INDEX_BITS),
    )
    n_before = sum(bits_to_bytes(block.n_bits) for block in layer.blocks if block.stream in ENCODED)
    others = tuple(block for block in layer.blocks if block.stream not in ENCODED)
    added_bytes = sum(bits_to_bytes(block.n_bits) for block in matrix) - n_before
    return replace(
        layer,
        blocks=(*matrix, *others),
        stored_bytes=layer.stored_bytes + added_bytes if layer.stored_bytes else 0,
        read_bytes=layer.read_bytes + added_bytes,
    )
