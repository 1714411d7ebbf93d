"""A table of layers -> Trace, labelled synthetic: nothing is materialised, sizes follow from densities and widths."""

from dcsim import __version__
from dcsim.artifact import Block, Encoding, Variant
from dcsim.traces.trace import INPUT, OWN, Layer, Trace
from dcsim.units import FP32_BITS, bits_to_bytes
from dcsim.zoo import NetworkSpec, SyntheticLayer

CODEBOOK_ENTRY_BITS = 32  # the papers count fp32 codebooks


def synthesize(network: NetworkSpec, variant: Variant, batch: int = 1) -> Trace:
    """The trace of `variant` of a network given by numbers; a frame is `batch` inferences.

    Fillers are those of uniformly random masks: entries per nonzero = 1 + q / (1 - q), q = (1 - density)^(2^gap_bits).
    Code tables of Huffman streams are not counted, as in the papers' tables, and there are no biases.
    """
    layers = tuple(_layer(index, spec, variant, batch) for index, spec in enumerate(network.layers))
    return Trace(
        network=network.name,
        variant=variant,
        batch=batch,
        synthetic=True,
        n_network_inputs=batch * network.layers[0].n_inputs,
        n_parameters=sum(layer.n_weights for layer in layers),
        file_bytes=sum(layer.stored_bytes for layer in layers),
        header_bytes=0,
        file_sha256="",
        input_sha256="",
        test_error=None,
        dcsim_version=__version__,
        layers=layers,
    )


def n_entries(layer: SyntheticLayer) -> int:
    """Stored entries, fillers included, of a uniformly random mask of the layer's density."""
    n_nonzero = round(layer.n_inputs * layer.n_outputs * layer.weight_density)
    q = (1 - layer.weight_density) ** (1 << layer.gap_bits)
    return round(n_nonzero * (1 + q / (1 - q)))


def stored_blocks(layer: SyntheticLayer, variant: Variant) -> tuple[Block, ...]:
    """The streams of the layer's weights, a block each."""
    n_weights, entries = layer.n_inputs * layer.n_outputs, n_entries(layer)
    if variant == "dense":
        return (Block("values", 0, n_weights, n_weights * FP32_BITS),)
    gaps = Block("gaps", 0, entries, entries * layer.gap_bits)
    if variant == "pruned":
        return (Block("values", 0, entries, entries * FP32_BITS), gaps)
    n_codes = 1 << layer.code_bits
    codebook = Block("codebook", 0, n_codes, n_codes * CODEBOOK_ENTRY_BITS)
    if variant == "shared":
        return (codebook, Block("codes", 0, entries, entries * layer.code_bits), gaps)
    return (
        codebook,
        Block("codes", 0, entries, round(entries * layer.huffman_bits_per_code)),
        Block("gaps", 0, entries, round(entries * layer.huffman_bits_per_gap)),
    )


def _layer(index: int, spec: SyntheticLayer, variant: Variant, batch: int) -> Layer:
    n_weights = spec.n_inputs * spec.n_outputs
    density = 1.0 if variant == "dense" else spec.weight_density
    blocks = stored_blocks(spec, variant)
    encoding: Encoding = "fp32" if variant == "dense" else variant
    n_inputs_nonzero = batch * round(spec.n_inputs * spec.activation_density)
    stored_bytes = sum(bits_to_bytes(block.n_bits) for block in blocks)
    return Layer(
        name=spec.name,
        kind="linear",
        operator="",
        module="",
        counts="estimated",
        producers=(INPUT if index == 0 else index - 1,),
        input_shapes=((batch, spec.n_inputs),),
        output_shapes=((batch, spec.n_outputs),),
        element_bits=FP32_BITS,
        n_steps=1,
        n_groups=1,
        m=batch,
        n=spec.n_outputs,
        k=spec.n_inputs,
        n_macs_dense=batch * n_weights,
        n_macs_nonzero=batch * round(n_weights * density * spec.activation_density),
        n_alu_ops=0,
        n_inputs=batch * spec.n_inputs,
        n_inputs_nonzero=n_inputs_nonzero,
        n_outputs=batch * spec.n_outputs,
        n_outputs_nonzero=batch * spec.n_outputs,
        n_state_inputs=0,
        n_state_outputs=0,
        weights=(spec.name,),
        weights_of=OWN,
        n_weights=n_weights,
        n_weights_nonzero=round(n_weights * density),
        encoding=encoding,
        stored_bytes=stored_bytes,
        read_bytes=stored_bytes,
        blocks=blocks,
        weight_bitmap=None,
        column_nonzeros=None,
    )
