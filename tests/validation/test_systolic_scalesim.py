"""Are the cycles of every layer of AlexNet and VGG-16 those of SCALE-Sim's closed form?

Samajdar et al., ISPASS 2020: cycles = (2 R + C + T - 2) x ceil(S_R / R) x ceil(S_C / C). Here it is stated again from the
dimensions of the layers as the networks' papers give them (Krizhevsky et al., NIPS 2012, in Caffe's version with 227 x 227
inputs; Simonyan and Zisserman, ICLR 2015, configuration D), not from dcsim's tables of layers.
"""

import math
from functools import cache
from typing import NamedTuple

import pytest

from dcsim.soc.array_spec import SystolicArray
from dcsim.soc.systolic import systolic_work
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Layer
from dcsim.zoo import find_network


class Shape(NamedTuple):
    """Side of the square output, its channels, side of the filter, the channels it reads, groups."""

    side: int
    n_filters: int
    kernel: int
    n_channels: int
    n_groups: int = 1


SHAPES = {
    "alexnet": {
        "conv1": Shape(55, 96, 11, 3),
        "conv2": Shape(27, 256, 5, 96, 2),
        "conv3": Shape(13, 384, 3, 256),
        "conv4": Shape(13, 384, 3, 384, 2),
        "conv5": Shape(13, 256, 3, 384, 2),
        "fc6": Shape(1, 4096, 6, 256),
        "fc7": Shape(1, 4096, 1, 4096),
        "fc8": Shape(1, 1000, 1, 4096),
    },
    "vgg-16": {
        "conv1_1": Shape(224, 64, 3, 3),
        "conv1_2": Shape(224, 64, 3, 64),
        "conv2_1": Shape(112, 128, 3, 64),
        "conv2_2": Shape(112, 128, 3, 128),
        "conv3_1": Shape(56, 256, 3, 128),
        "conv3_2": Shape(56, 256, 3, 256),
        "conv3_3": Shape(56, 256, 3, 256),
        "conv4_1": Shape(28, 512, 3, 256),
        "conv4_2": Shape(28, 512, 3, 512),
        "conv4_3": Shape(28, 512, 3, 512),
        "conv5_1": Shape(14, 512, 3, 512),
        "conv5_2": Shape(14, 512, 3, 512),
        "conv5_3": Shape(14, 512, 3, 512),
        "fc6": Shape(1, 4096, 7, 512),
        "fc7": Shape(1, 4096, 1, 4096),
        "fc8": Shape(1, 1000, 1, 4096),
    },
}
LAYERS = [(network, layer) for network, shapes in SHAPES.items() for layer in shapes]


@cache
def layers(network: str) -> dict[str, Layer]:
    spec = find_network(network).spec
    assert spec is not None
    return {layer.name: layer for layer in synthesize(spec, "dense").layers if layer.has_gemm}


def closed_form(shape: Shape, n_rows: int, n_columns: int, dataflow: str) -> int:
    n_pixels = shape.side**2
    n_filters = shape.n_filters // shape.n_groups
    filter_volume = shape.kernel**2 * shape.n_channels // shape.n_groups
    if dataflow == "output_stationary":
        s_r, s_c, t = n_pixels, n_filters, filter_volume
    elif dataflow == "weight_stationary":
        s_r, s_c, t = filter_volume, n_filters, n_pixels
    else:
        s_r, s_c, t = filter_volume, n_pixels, n_filters
    fold = 2 * n_rows + n_columns + t - 2
    return shape.n_groups * fold * math.ceil(s_r / n_rows) * math.ceil(s_c / n_columns)


def test_every_layer_with_weights_is_compared() -> None:
    assert [(network, layer) for network in SHAPES for layer in layers(network)] == LAYERS


@pytest.mark.parametrize("dataflow", ["output_stationary", "weight_stationary", "input_stationary"])
@pytest.mark.parametrize("size", [(32, 32), (128, 128), (12, 14), (8, 64)])
@pytest.mark.parametrize(("network", "name"), LAYERS)
def test_cycles_of_the_layer(network: str, name: str, size: tuple[int, int], dataflow: str) -> None:
    array = SystolicArray.model_validate(
        {
            "kind": "systolic",
            "mac_format": "int8",
            "n_rows": size[0],
            "n_columns": size[1],
            "dataflow": dataflow,
            "register_accesses_per_mac": 2,
            "pj_per_register_access": 1,
        }
    )
    layer = layers(network)[name]
    work = systolic_work(array, layer.n_groups, layer.m, layer.n, layer.k, activation_bits=8, weight_bits=8)
    assert work.n_cycles == closed_form(SHAPES[network][name], *size, dataflow)
    assert work.n_macs == layer.n_macs_dense


def test_a_layer_worked_out_by_hand() -> None:
    # VGG-16 conv5_1 on 32 x 32, output stationary: 196 pixels in 7 folds, 512 filters in 16, 4608 taps: 4702 cycles each
    assert closed_form(SHAPES["vgg-16"]["conv5_1"], 32, 32, "output_stationary") == 7 * 16 * 4702
