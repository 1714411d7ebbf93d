"""Do cycles and traffic of a systolic array follow from its folds?"""

from dataclasses import replace

import pytest

from dcsim.soc.array_spec import SystolicArray
from dcsim.soc.pe_array import ArrayWork
from dcsim.soc.systolic import PARTIAL_BITS, systolic_work
from dcsim.units import ceil_div

DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")


def array(n_rows: int, n_columns: int, dataflow: str) -> SystolicArray:
    return SystolicArray.model_validate(
        {
            "kind": "systolic",
            "mac_format": "int8",
            "n_rows": n_rows,
            "n_columns": n_columns,
            "dataflow": dataflow,
            "register_accesses_per_mac": 2,
            "pj_per_register_access": 1,
        }
    )


@pytest.mark.parametrize(
    ("dataflow", "n_cycles", "n_weight_reads", "n_activation_reads", "n_partials"),
    [
        # 5 pixels, 4 filters of 7 taps on 2 x 3 PEs
        # pixels over rows: 3 folds, filters over columns: 2, taps over time: 2 x 2 + 3 + 7 - 2 = 12 cycles each; inputs
        # for both folds of filters, weights for the three of pixels; sums stay
        ("output_stationary", 6 * 12, 3 * 28, 2 * 35, 0),
        # taps over rows: 4 folds, filters over columns: 2, pixels over time: 2 x 2 + 3 + 5 - 2 = 10 cycles each; inputs
        # for both folds of filters; 20 sums leave the array four times, three of them to come back
        ("weight_stationary", 8 * 10, 28, 2 * 35, 3 * 20),
        # taps over rows: 4 folds, pixels over columns: 2, filters over time: 2 x 2 + 3 + 4 - 2 = 9 cycles each; weights
        # for both folds of pixels
        ("input_stationary", 8 * 9, 2 * 28, 35, 3 * 20),
    ],
)
def test_a_small_gemm_by_hand(
    dataflow: str, n_cycles: int, n_weight_reads: int, n_activation_reads: int, n_partials: int
) -> None:
    work = systolic_work(array(2, 3, dataflow), 1, m=5, n=4, k=7, activation_bits=16, weight_bits=8)
    assert work == ArrayWork(
        n_cycles=n_cycles,
        n_macs=5 * 4 * 7,
        weight_read_bits=n_weight_reads * 8,
        activation_read_bits=n_activation_reads * 16,
        partial_read_bits=n_partials * 32,
        partial_write_bits=n_partials * 32,
    )


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_what_fits_at_once_is_one_fold_and_moves_everything_once(dataflow: str) -> None:
    work = systolic_work(array(8, 8, dataflow), 1, m=8, n=8, k=8, activation_bits=8, weight_bits=8)
    assert work.n_cycles == 2 * 8 + 8 + 8 - 2
    assert work.weight_read_bits == work.activation_read_bits == 64 * 8
    assert work.partial_read_bits == work.partial_write_bits == 0


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("m", "n", "k"), [(9, 8, 8), (8, 9, 8), (8, 8, 9), (9, 9, 9)])
def test_one_more_takes_another_fold(dataflow: str, m: int, n: int, k: int) -> None:
    over_rows, over_columns, time = {
        "output_stationary": (m, n, k),
        "weight_stationary": (k, n, m),
        "input_stationary": (k, m, n),
    }[dataflow]
    n_folds = (1 + (over_rows > 8)) * (1 + (over_columns > 8))
    work = systolic_work(array(8, 8, dataflow), 1, m, n, k, activation_bits=8, weight_bits=8)
    assert work.n_cycles == n_folds * (22 + time)


def walked(array: SystolicArray, m: int, n: int, k: int) -> tuple[int, int, int, int]:
    """(weights, activations, partial sums read, all sums written) by going through the folds, operand by operand."""
    n_weights = n_activations = n_read = n_written = 0
    in_rows, in_columns = {
        "output_stationary": (range(m), range(n)),
        "weight_stationary": (range(k), range(n)),
        "input_stationary": (range(k), range(m)),
    }[array.dataflow]
    for first_row in range(0, len(in_rows), array.n_rows):
        rows = in_rows[first_row : first_row + array.n_rows]
        for first_column in range(0, len(in_columns), array.n_columns):
            columns = in_columns[first_column : first_column + array.n_columns]
            if array.dataflow == "output_stationary":
                n_activations += len(rows) * k
                n_weights += len(columns) * k
                n_written += len(rows) * len(columns)
                continue
            held, streamed = len(rows) * len(columns), len(rows) * (m if array.dataflow == "weight_stationary" else n)
            n_sums = len(columns) * (m if array.dataflow == "weight_stationary" else n)
            n_weights += held if array.dataflow == "weight_stationary" else streamed
            n_activations += streamed if array.dataflow == "weight_stationary" else held
            n_written += n_sums
            n_read += n_sums if first_row else 0
    return n_weights, n_activations, n_read, n_written


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 4, 7), (16, 9, 33), (1, 100, 30), (12, 3, 6)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 4), (7, 2)])
def test_traffic_is_that_of_every_fold(dataflow: str, size: tuple[int, int, int], shape: tuple[int, int]) -> None:
    chip = array(*shape, dataflow)
    m, n, k = size
    n_weights, n_activations, n_read, n_written = walked(chip, m, n, k)
    work = systolic_work(chip, 1, m, n, k, activation_bits=16, weight_bits=4)
    assert work.weight_read_bits == 4 * n_weights
    assert work.activation_read_bits == 16 * n_activations
    assert work.partial_read_bits == PARTIAL_BITS * n_read
    assert work.partial_write_bits == PARTIAL_BITS * (
        n_written - m * n
    )  # one write of each output is counted elsewhere


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_groups_follow_one_another(dataflow: str) -> None:
    one = systolic_work(array(2, 3, dataflow), 1, 5, 4, 7, activation_bits=16, weight_bits=8)
    assert systolic_work(array(2, 3, dataflow), 6, 5, 4, 7, activation_bits=16, weight_bits=8) == one.times(6)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_no_array_does_more_macs_than_it_has_elements_in_a_cycle(dataflow: str) -> None:
    for m, n, k in [(1, 1, 1), (100, 100, 100), (3, 1000, 50)]:
        work = systolic_work(array(4, 6, dataflow), 1, m, n, k, activation_bits=8, weight_bits=8)
        assert work.n_cycles >= ceil_div(work.n_macs, 24)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("size", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_nothing_costs_nothing(dataflow: str, size: tuple[int, int, int, int]) -> None:
    work = systolic_work(array(2, 3, dataflow), *size, activation_bits=8, weight_bits=8)
    assert work == replace(work, n_cycles=0) == ArrayWork(n_cycles=0)
