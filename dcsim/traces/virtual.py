"""A network that is never allocated -> Trace: its operators run on shapes alone, its bytes follow from densities."""

from collections.abc import Mapping, Sequence

import torch

from dcsim.artifact import Variant
from dcsim.decoder import VirtualWeights, build_decoder
from dcsim.tables import LinearSpec
from dcsim.traces.capture import Program, capture
from dcsim.traces.inputs import Inputs
from dcsim.traces.stored import StoredNetwork, StoredWeight, plain_weight
from dcsim.traces.synthetic import expected_blocks
from dcsim.traces.trace import Trace
from dcsim.units import bits_to_bytes
from dcsim.zoo import NetworkSpec


def decoder_traces(network: NetworkSpec, variants: Sequence[Variant], batch: int = 1) -> tuple[Trace, ...]:
    """What a decoder does in the step that its dimensions say, for `batch` sequences side by side."""
    assert network.decoder
    assert network.weights
    with torch.device("meta"):
        model = build_decoder(network.decoder, batch)
        tokens = Inputs.of(torch.zeros(batch, network.decoder.n_tokens, dtype=torch.int64))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    program = Program(model, None)  # as it runs: following it would take longer than running it on shapes
    return tuple(
        capture(program, virtual_network(network.name, variant, shapes, network.weights), tokens, None)
        for variant in variants
    )


def virtual_network(
    name: str, variant: Variant, shapes: Mapping[str, tuple[int, ...]], plan: VirtualWeights
) -> StoredNetwork:
    """The file that weights of these shapes would have, without its directory: matrices by the plan's densities and
    widths, vectors as fp32 in the dense variant and fp16 in the others, as compressing without training does.
    """
    weights = {key: _weight(key, shape, variant, plan) for key, shape in shapes.items()}
    n_parameters = sum(weight.n_elements for weight in weights.values())
    n_bytes = sum(weight.n_bytes for weight in weights.values())
    return StoredNetwork(name, variant, weights, n_parameters, n_bytes, "", synthetic=True)


def _weight(name: str, shape: tuple[int, ...], variant: Variant, plan: VirtualWeights) -> StoredWeight:
    n_elements = torch.Size(shape).numel()
    if variant == "dense" or len(shape) < 2:
        return plain_weight(name, n_elements, "fp32" if variant == "dense" else "fp16")
    if variant == "pruned" and plan.weight_density == 1:
        return plain_weight(name, n_elements, "fp32")
    matrix = LinearSpec(
        name=name, kind="linear", n_outputs=shape[0], n_inputs=n_elements // shape[0], **plan.model_dump()
    )
    blocks = expected_blocks(matrix, variant)
    n_bytes = sum(bits_to_bytes(block.n_bits) for block in blocks)
    addressable = not any(block.stream == "gaps" and block.n_bits for block in blocks)
    return StoredWeight(name, n_elements, variant, n_bytes, blocks, addressable)
