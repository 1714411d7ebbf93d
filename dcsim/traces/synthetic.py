"""A table of layers -> Trace, labelled synthetic: weights are drawn at the stated densities and packed by the codec.

Two kinds of layers are not drawn; their sizes are the expected ones, by formula: those whose table states
`huffman_bits_per_gap`, so that no size is left open, and those that keep more than 2^24 weights, which would take
seconds and gigabytes (one-billion is both). They count as the papers do: a codebook of all 2^code_bits values, fp32,
and no code tables. Dense weights are their size alone.

A table has no biases, and its file is the payloads of its tensors: names and checksums, some thirty bytes a layer, are
left out. Outputs are as dense as the layer with weights that reads them says; of pools, sums and the like, where nobody
says, all elements count.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dcsim import __version__
from dcsim.artifact import Block, Variant
from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.tables import LayerSpec, LinearSpec, Placed, WeightedSpec, place
from dcsim.traces.drawn import drawn_columns, drawn_weight, mean_code_bits, mean_length_bits, weight_name
from dcsim.traces.stored import StoredWeight, plain_weight
from dcsim.traces.trace import OWN, Layer, Trace
from dcsim.units import FP32_BITS, bits_to_bytes
from dcsim.zoo import NetworkSpec

DRAWN_NONZEROS = 1 << 24  # VGG-16 fc6 keeps 4.1 million of 103 million; this many take a few seconds
CODEBOOK_ENTRY_BITS = 32  # the papers count fp32 codebooks


def synthesize(network: NetworkSpec, variant: Variant, batch: int = 1) -> Trace:
    """The trace of `variant` of a network given by numbers; a frame is `batch` inferences."""
    placed = place(network.layers, network.input_shape)
    n_nonzero = _output_nonzeros(network.layers, placed)
    layers = []
    for index, (spec, where) in enumerate(zip(network.layers, placed, strict=True)):
        layer = _layer(spec, where, batch, sum(n_nonzero[i] for i in where.producers), n_nonzero[index])
        if isinstance(spec, WeightedSpec):
            layer = _with_weights(layer, spec, variant, batch, network.seed or 0)
        layers.append(layer)
    return Trace(
        network=network.name,
        variant=variant,
        batch=batch,
        synthetic=True,
        n_network_inputs=layers[0].n_inputs if network.input_shape is None else batch * math.prod(network.input_shape),
        n_parameters=sum(layer.n_weights for layer in layers),
        file_bytes=sum(layer.stored_bytes for layer in layers),
        header_bytes=0,
        file_sha256="",
        input_sha256="",
        test_error=None,
        dcsim_version=__version__,
        layers=tuple(layers),
    )


def _output_nonzeros(layers: Sequence[LayerSpec], placed: Sequence[Placed]) -> dict[int, int]:
    """Nonzeros that each layer and, as -1, the network's input gives for one example."""
    shapes = {producer: shape for where in placed for producer, shape in where.inputs}
    shapes |= {index: where.output_shape for index, where in enumerate(placed)}
    said: dict[int, float] = {}
    for spec, where in zip(layers, placed, strict=True):
        if isinstance(spec, WeightedSpec):
            said.setdefault(where.producers[0], spec.activation_density)
    return {index: round(math.prod(shape) * said.get(index, 1.0)) for index, shape in shapes.items()}


def _layer(spec: LayerSpec, where: Placed, batch: int, n_inputs_nonzero: int, n_outputs_nonzero: int) -> Layer:
    """A layer as if it had no weights; nonzeros are of one example."""
    n_outputs = math.prod(where.output_shape)
    return Layer(
        name=spec.name,
        kind=spec.kind,
        operator="",
        module="",
        counts="estimated",
        producers=tuple(dict.fromkeys(where.producers)),
        input_shapes=tuple((batch, *shape) for _, shape in where.inputs),
        output_shapes=((batch, *where.output_shape),),
        element_bits=FP32_BITS,
        n_steps=1,
        n_groups=0,
        m=0,
        n=0,
        k=0,
        n_macs_dense=0,
        n_macs_nonzero=0,
        n_alu_ops=batch * n_outputs * spec.n_operations_per_output(len(where.inputs)),
        n_inputs=batch * sum(math.prod(shape) for _, shape in where.inputs),
        n_inputs_nonzero=batch * n_inputs_nonzero,
        n_outputs=batch * n_outputs,
        n_outputs_nonzero=batch * n_outputs_nonzero,
        n_state_inputs=0,
        n_state_outputs=0,
        weights=(),
        weights_of=OWN,
        n_weights=0,
        n_weights_nonzero=0,
        encoding=None,
        stored_bytes=0,
        read_bytes=0,
        blocks=(),
        weight_bitmap=None,
        column_nonzeros=None,
    )


def _with_weights(layer: Layer, spec: WeightedSpec, variant: Variant, batch: int, seed: int) -> Layer:
    """A convolution or linear layer with its GEMM and its weights, as they are stored."""
    n_nonzero, stored = stored_weight(spec, variant, seed)
    n_outputs, n_taps = spec.weight_shape[0], math.prod(spec.weight_shape[1:])
    n_pixels = layer.n_outputs // batch // n_outputs
    n_macs = n_pixels * spec.n_weights
    density = 1.0 if variant == "dense" else spec.weight_density
    is_drawn = _is_drawn(spec)
    return replace(
        layer,
        input_shapes=((batch, spec.n_inputs),) if isinstance(spec, LinearSpec) else layer.input_shapes,
        n_groups=spec.n_groups,
        m=batch * n_pixels,
        n=n_outputs // spec.n_groups,
        k=n_taps,
        n_macs_dense=batch * n_macs,
        n_macs_nonzero=batch * round(n_macs * density * spec.activation_density),
        n_inputs_nonzero=batch * round(layer.n_inputs // batch * spec.activation_density),
        weights=(stored.name,),
        n_weights=spec.n_weights,
        n_weights_nonzero=n_nonzero,
        encoding=stored.encoding,
        stored_bytes=stored.n_bytes,
        read_bytes=stored.n_bytes,
        blocks=stored.blocks,
        weight_bitmap=drawn_weight(spec, seed).bitmap if is_drawn and variant != "dense" else None,
        column_nonzeros=_column_nonzeros(spec, batch, seed) if is_drawn else None,
    )


def _column_nonzeros(spec: WeightedSpec, batch: int, seed: int) -> tuple[int, ...] | None:
    """How many examples have each input; all the same ones, for the table says how many and not which."""
    return tuple(batch * n for n in drawn_columns(spec, seed)) if isinstance(spec, LinearSpec) else None


def _is_drawn(layer: WeightedSpec) -> bool:
    return layer.huffman_bits_per_gap is None and _n_nonzero_expected(layer) <= DRAWN_NONZEROS


def stored_weight(layer: WeightedSpec, variant: Variant, seed: int) -> tuple[int, StoredWeight]:
    """How many of the layer's weights are not zero, and how the variant's file stores them."""
    if variant == "dense":
        return layer.n_weights, plain_weight(weight_name(layer), layer.n_weights)
    if _is_drawn(layer):
        drawn = drawn_weight(layer, seed)
        return drawn.n_nonzero, drawn.stored[variant]
    blocks = expected_blocks(layer, variant)
    n_bytes = sum(bits_to_bytes(block.n_bits) for block in blocks)
    return _n_nonzero_expected(layer), StoredWeight(
        weight_name(layer), layer.n_weights, variant, n_bytes, blocks, addressable=False
    )


# --- sizes by formula ----------------------------------------------------------------------------------------------


def n_entries(layer: WeightedSpec, gap_bits: int | None = None) -> int:
    """Stored entries, fillers included, that a uniformly random mask of the layer's density has on average.

    Entries per nonzero = 1 + q / (1 - q) = 1 / (1 - q), where q = (1 - density)^(2^gap_bits) is the chance that a gap
    takes one filler more.

    Args:
        gap_bits: by default the layer's own.
    """
    q = (1 - layer.weight_density) ** (1 << (expected_gap_bits(layer) if gap_bits is None else gap_bits))
    return round(_n_nonzero_expected(layer) / (1 - q))


def expected_blocks(layer: WeightedSpec, variant: Variant) -> tuple[Block, ...]:
    """The streams of the layer's weights, a block each, in any variant but `dense`."""
    entries, gap_bits = n_entries(layer), expected_gap_bits(layer)
    gaps = Block("gaps", 0, entries, entries * gap_bits)
    if variant == "pruned":
        return (Block("values", 0, entries, entries * FP32_BITS), gaps)
    n_codes = 1 << layer.code_bits
    codebook = Block("codebook", 0, n_codes, n_codes * CODEBOOK_ENTRY_BITS)
    if variant == "shared":
        return (codebook, Block("codes", 0, entries, entries * layer.code_bits), gaps)
    return (
        codebook,
        Block("codes", 0, entries, round(entries * mean_code_bits(layer))),
        Block("gaps", 0, entries, round(entries * (layer.huffman_bits_per_gap or _mean_gap_bits(layer)))),
    )


def expected_gap_bits(layer: WeightedSpec) -> int:
    """The stated width, or the one that makes codes and gaps of fixed width smallest."""
    if layer.gap_bits != "auto":
        return layer.gap_bits
    return min(range(MAX_GAP_BITS + 1), key=lambda width: n_entries(layer, width) * (layer.code_bits + width))


def _n_nonzero_expected(layer: WeightedSpec) -> int:
    return round(layer.n_weights * layer.weight_density)


def _mean_gap_bits(layer: WeightedSpec) -> float:
    """Mean Huffman length of the gaps of a uniformly random mask, which are geometric; a filler has the longest."""
    n_gaps, zero = 1 << expected_gap_bits(layer), 1 - layer.weight_density
    shares = layer.weight_density * zero ** np.arange(n_gaps)
    shares[-1] += zero**n_gaps
    return mean_length_bits(np.rint(shares * _n_nonzero_expected(layer)).astype(np.int64))
