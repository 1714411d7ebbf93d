"""Do cycles and operand reads of a GEMM follow from the lanes, edges rounded up?"""

import pytest

from dcsim.soc.array_spec import SimdArray
from dcsim.soc.pe_array import elementwise_work, gemm_work, sparse_gemm_work
from tests.builders import chip


def array(lanes_out: int, lanes_pixel: int, mac_format: str = "fp32") -> SimdArray:
    changes = {"array.lanes_out": lanes_out, "array.lanes_pixel": lanes_pixel, "array.mac_format": mac_format}
    found = chip(changes).array
    assert isinstance(found, SimdArray)
    return found


@pytest.mark.parametrize(
    ("layer", "m", "n", "k", "n_cycles", "n_weight_reads", "n_activation_reads"),
    [
        # LeNet-5 on 4 x 4 lanes; operands of 32 bits.
        # conv1: 24 x 24 pixels, 20 channels, 5 x 5 taps: 5 x 144 folds of 25 cycles; 500 weights for 144 pixel folds;
        # 576 x 25 unfolded inputs for 5 channel folds
        ("conv1", 576, 20, 25, 18_000, 72_000, 72_000),
        # conv2: 8 x 8 pixels, 50 channels (13 folds of 4), 20 x 5 x 5 taps: 13 x 16 folds of 500 cycles
        ("conv2", 64, 50, 500, 104_000, 400_000, 416_000),
        # fc1: one pixel keeps 1 of 4 pixel lanes: 125 x 1 folds of 800 cycles
        ("fc1", 1, 500, 800, 100_000, 400_000, 100_000),
        # fc2: 10 channels are 3 folds of 4: 3 x 500 cycles
        ("fc2", 1, 10, 500, 1_500, 5_000, 1_500),
    ],
)
def test_lenet_5_on_four_by_four_lanes(
    layer: str, m: int, n: int, k: int, n_cycles: int, n_weight_reads: int, n_activation_reads: int
) -> None:
    work = gemm_work(array(4, 4), 1, m, n, k, activation_bits=32, weight_bits=32)
    assert work.n_cycles == n_cycles
    assert work.n_macs == m * n * k
    assert work.weight_read_bits == n_weight_reads * 32
    assert work.activation_read_bits == n_activation_reads * 32


@pytest.mark.parametrize(("m", "n", "n_folds"), [(4, 4, 1), (5, 4, 2), (4, 5, 2), (5, 5, 4), (1, 1, 1)])
def test_edges_round_up(m: int, n: int, n_folds: int) -> None:
    assert gemm_work(array(4, 4), 1, m, n, 10, activation_bits=32, weight_bits=32).n_cycles == n_folds * 10


def test_groups_follow_one_another() -> None:
    # depthwise, 8 channels of 3 x 3 taps over 4 pixels: one of four output lanes is used, 8 x 1 x 1 folds of 9 cycles
    work = gemm_work(array(4, 4), 8, m=4, n=1, k=9, activation_bits=32, weight_bits=32)
    assert (work.n_cycles, work.n_macs) == (72, 288)
    assert work.weight_read_bits == 8 * 9 * 32
    assert work.activation_read_bits == 8 * 4 * 9 * 32


def test_operand_widths_are_those_of_the_formats() -> None:
    work = gemm_work(array(1, 1, "int8"), 1, m=2, n=3, k=5, activation_bits=16, weight_bits=8)
    assert work.weight_read_bits == 2 * 3 * 5 * 8
    assert work.activation_read_bits == 2 * 3 * 5 * 16


def test_only_nonzero_weights_take_time_on_an_array_that_skips_zeros() -> None:
    # 90 nonzeros and 5 fillers on 4 lanes take ceil(95 / 4) = 24 cycles per fold of 4 of the 6 pixels: 2 folds
    work = sparse_gemm_work(array(4, 4), 1, m=6, k=25, n_entries=95, n_weights_nonzero=90, activation_bits=32)
    assert (work.n_cycles, work.n_macs) == (48, 540)
    assert work.weight_read_bits == 0  # they come from the decoder


def test_an_operator_without_weights_reads_each_input_once() -> None:
    work = elementwise_work(array(4, 4), n_alu_ops=11_520, n_inputs=11_520, activation_bits=32)
    assert (work.n_cycles, work.n_macs, work.n_alu_ops) == (720, 0, 11_520)  # 11520 / 16 lanes
    assert (work.weight_read_bits, work.activation_read_bits) == (0, 11_520 * 32)


def test_one_input_more_than_the_lanes_takes_another_cycle() -> None:
    assert [elementwise_work(array(4, 4), n, n, 32).n_cycles for n in (16, 17)] == [1, 2]
