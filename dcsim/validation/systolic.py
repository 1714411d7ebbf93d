"""Cycles of AlexNet and VGG-16 on a systolic array beside SCALE-Sim's closed form (Samajdar et al., ISPASS 2020).

cycles = (2 R + C + T - 2) x ceil(S_R / R) x ceil(S_C / C), stated here again from the dimensions of the layers as the
networks' papers give them, not from models/.
"""

import math
from collections.abc import Mapping
from typing import Literal, get_args

from dcsim.soc.array_spec import SystolicArray
from dcsim.soc.systolic import systolic_work
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Layer
from dcsim.validation.comparison import Comparison, reference_rows
from dcsim.zoo import find_network

TABLE = "SCALE-Sim's closed form: all layers on 32 x 32"
Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]
DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)
SIDE = 32
INT8_BITS = 8


def systolic_table() -> tuple[Comparison, ...]:
    """Cycles of a whole network, a row for each network and dataflow."""
    shapes = layer_shapes()
    rows = []
    for network in dict.fromkeys(shape["network"] for shape in shapes):
        layers = gemm_layers(network)
        own = [shape for shape in shapes if shape["network"] == network]
        assert [shape["layer"] for shape in own] == list(layers)
        for dataflow in DATAFLOWS:
            array = systolic_array(SIDE, SIDE, dataflow)
            reference = sum(closed_form_cycles(shape, SIDE, SIDE, dataflow) for shape in own)
            found = sum(array_cycles(array, layer) for layer in layers.values())
            rows.append(
                Comparison(TABLE, network, f"cycles, {dataflow.replace('_', ' ')}", "cycles", reference, found, 0.0)
            )
    return tuple(rows)


def layer_shapes() -> list[dict[str, str]]:
    """Dimensions of all layers with weights, as published."""
    return reference_rows("layer_shapes.csv")


def gemm_layers(network: str) -> dict[str, Layer]:
    """Layers with weights of a network of models/."""
    spec = find_network(network).spec
    assert spec is not None
    return {layer.name: layer for layer in synthesize(spec, "dense").layers if layer.has_gemm}


def systolic_array(n_rows: int, n_columns: int, dataflow: Dataflow) -> SystolicArray:
    """An int8 array; energies play no part."""
    return SystolicArray(
        kind="systolic",
        mac_format="int8",
        n_rows=n_rows,
        n_columns=n_columns,
        dataflow=dataflow,
        register_accesses_per_mac=2,
        pj_per_register_access=1,
    )


def array_cycles(array: SystolicArray, layer: Layer) -> int:
    """Cycles of a layer as dcsim counts them."""
    return systolic_work(array, layer.n_groups, layer.m, layer.n, layer.k, INT8_BITS, INT8_BITS).n_cycles


def closed_form_cycles(shape: Mapping[str, str], n_rows: int, n_columns: int, dataflow: Dataflow) -> int:
    """Cycles of a layer by its published dimensions."""
    n_groups = int(shape["n_groups"])
    n_pixels, n_filters = int(shape["side"]) ** 2, int(shape["n_filters"]) // n_groups
    filter_volume = int(shape["kernel"]) ** 2 * int(shape["n_channels"]) // n_groups
    over_rows, over_columns, over_time = {
        "output_stationary": (n_pixels, n_filters, filter_volume),
        "weight_stationary": (filter_volume, n_filters, n_pixels),
        "input_stationary": (filter_volume, n_pixels, n_filters),
    }[dataflow]
    fold = 2 * n_rows + n_columns + over_time - 2
    return n_groups * fold * math.ceil(over_rows / n_rows) * math.ceil(over_columns / n_columns)
