"""Small chips and traces with round numbers, so that what a test expects can be worked out by hand."""

import copy
from collections.abc import Mapping
from typing import Any

from dcsim.artifact import Block
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import INPUT, OWN, Layer, Trace
from dcsim.zoo import NetworkSpec

#: 1 GHz, so a cycle is 1000 ps; one fp32 MAC a cycle; 4 KiB of SRAM of which two 1 KiB buffers take half
PLAIN: dict[str, Any] = {
    "name": "plain",
    "clock_hz": 1_000_000_000,
    "volts": 0.9,
    "activation_bits": 32,
    "always_on_mw": 0.0,
    "logic": {"clock_mw": 0.0, "leakage_mw": 0.0},
    "idle": {"logic": "clock_gate", "sram": "on", "dram": "standby"},
    "sram": {
        "kind": "constant",
        "capacity_kib": 4,
        "access_width_bits": 32,
        "read_pj_per_access": 5.0,
        "write_pj_per_access": 6.0,
        "leakage_mw": 0.0,
    },
    "dram": {
        "kind": "constant",
        "capacity_mib": 1,
        "access_width_bits": 32,
        "pj_per_access": 640.0,
        "bandwidth_bytes_per_s": None,
    },
    "decoder": {"kind": "ideal"},
    "array": {
        "kind": "simd",
        "lanes_out": 1,
        "lanes_pixel": 1,
        "mac_format": "fp32",
        "pj_per_mac": 4.6,
        "pj_per_alu_op": 0.9,
        "register_accesses_per_mac": 0,
        "pj_per_register_access": 0.0,
    },
    "tiles": {"n_buffers": 2, "tile_kib": 1},
}
STREAM_DECODER: dict[str, Any] = {
    "kind": "stream",
    "lanes": 2,
    "symbols_per_cycle": 1.0,
    "bits_per_cycle": 32.0,
    "pj_per_symbol": 2.5,
    "pj_per_lookup": 0.35,
    "pj_per_gap": 0.1,
}


def chip(changes: Mapping[str, Any] | None = None) -> SocSpec:
    """The plain chip with `changes` by dotted path."""
    return SocSpec.model_validate(_changed(PLAIN, changes or {}))


def shipped_chip(name: str, changes: Mapping[str, Any]) -> SocSpec:
    """A chip of configs/soc with `changes` by dotted path."""
    return SocSpec.model_validate(_changed(load_soc(name).model_dump(exclude={"sources"}), changes))


def _changed(tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    tree = copy.deepcopy(tree)
    for path, value in changes.items():
        *parents, key = path.split(".")
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[key] = value
    return tree


def linear(
    name: str,
    k: int,
    n: int,
    m: int = 1,
    producers: tuple[int, ...] = (INPUT,),
    encoding: Any = "fp32",
    blocks: tuple[Block, ...] | None = None,
) -> Layer:
    """M x K activations times N x K weights, all of them nonzero; dense fp32 unless other blocks are given."""
    if blocks is None:
        blocks = (Block("values", 0, n * k, n * k * 32),)
    return Layer(
        name=name,
        kind="linear",
        operator="aten.linear.default",
        module=name,
        counts="exact",
        producers=producers,
        input_shapes=((m, k),),
        output_shapes=((m, n),),
        element_bits=32,
        n_steps=1,
        n_groups=1,
        m=m,
        n=n,
        k=k,
        n_macs_dense=m * n * k,
        n_macs_nonzero=m * n * k,
        n_alu_ops=0,
        n_inputs=m * k,
        n_inputs_nonzero=m * k,
        n_outputs=m * n,
        n_outputs_nonzero=m * n,
        n_state_inputs=0,
        n_state_outputs=0,
        weights=(f"{name}.weight",),
        weights_of=OWN,
        n_weights=n * k,
        n_weights_nonzero=n * k,
        encoding=encoding,
        stored_bytes=sum(-(-block.n_bits // 8) for block in blocks),
        read_bytes=sum(-(-block.n_bits // 8) for block in blocks),
        blocks=blocks,
        weight_bitmap=None,
        column_nonzeros=None,
    )


def coded(n_symbols: int, code_bits: int, gap_bits: int) -> tuple[Block, ...]:
    """The two streams of a compressed layer, without a codebook."""
    return (
        Block("codes", 0, n_symbols, n_symbols * code_bits),
        Block("gaps", 0, n_symbols, n_symbols * gap_bits),
    )


def elementwise(name: str, n_inputs: int, n_outputs: int, producers: tuple[int, ...]) -> Layer:
    """A layer without weights, such as pooling or a residual addition."""
    return Layer(
        name=name,
        kind="add",
        operator="aten.add.Tensor",
        module="",
        counts="exact",
        producers=producers,
        input_shapes=((1, n_inputs),),
        output_shapes=((1, n_outputs),),
        element_bits=32,
        n_steps=1,
        n_groups=0,
        m=0,
        n=0,
        k=0,
        n_macs_dense=0,
        n_macs_nonzero=0,
        n_alu_ops=n_inputs,
        n_inputs=n_inputs,
        n_inputs_nonzero=n_inputs,
        n_outputs=n_outputs,
        n_outputs_nonzero=n_outputs,
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


def network(*layers: Layer, batch: int = 1, **changes: Any) -> Trace:
    """A trace of these layers, its header empty and its file as long as they are."""
    stored_bytes = sum(layer.stored_bytes for layer in layers)
    about: dict[str, Any] = {
        "network": "toy",
        "variant": "dense",
        "batch": batch,
        "synthetic": False,
        "n_network_inputs": layers[0].n_inputs if layers else 0,
        "n_parameters": sum(layer.n_weights for layer in layers),
        "file_bytes": stored_bytes,
        "header_bytes": 0,
        "file_sha256": "",
        "input_sha256": "",
        "test_error": 0.25,
        "dcsim_version": "test",
    }
    return Trace(**{**about, **changes}, layers=layers)


def table_network(*layers: Mapping[str, Any], name: str = "table") -> NetworkSpec:
    """A network given by numbers; what a layer does not say is a linear one, 10 % dense, of 5-bit codes and 4-bit gaps.

    Its sizes follow from the numbers; `huffman_bits_per_gap` None has its weights drawn.
    """
    usual = {
        "kind": "linear",
        "weight_density": 0.1,
        "activation_density": 1.0,
        "code_bits": 5,
        "gap_bits": 4,
        "huffman_bits_per_code": 4.0,
        "huffman_bits_per_gap": 3.0,
    }
    rows = tuple({"name": f"fc{index}", **usual, **layer} for index, layer in enumerate(layers))
    return NetworkSpec.model_validate({"name": name, "kind": "synthetic", "layers": rows})
