"""Work of a GEMM on a systolic array: cycles in SCALE-Sim's closed form, operand traffic from the folds.

SCALE-Sim (Samajdar et al., ISPASS 2020) lays two dimensions of the GEMM over the R rows and C columns of the array and
the third over time. What does not fit is done in folds, ceil(S_R / R) x ceil(S_C / C) of them:

    dataflow             S_R             S_C             T
    output stationary    output pixels   filters         filter volume
    weight stationary    filter volume   filters         output pixels
    input stationary     filter volume   output pixels   filters
"""

from typing import NamedTuple

from dcsim.soc.array_spec import SystolicArray
from dcsim.soc.pe_array import ArrayWork
from dcsim.units import ceil_div

PARTIAL_BITS = 32  # assumption: partial sums that leave the array are fp32 or int32


class Mapping(NamedTuple):
    """How a GEMM lies on the array: extent over its rows, over its columns and over time."""

    over_rows: int
    over_columns: int
    over_time: int


def mapping(array: SystolicArray, m: int, n: int, k: int) -> Mapping:
    """S_R, S_C and T of M output pixels x N filters x K filter volume (SCALE-Sim, the table above)."""
    if array.dataflow == "output_stationary":
        return Mapping(m, n, k)
    return Mapping(k, n, m) if array.dataflow == "weight_stationary" else Mapping(k, m, n)


def systolic_work(
    array: SystolicArray, n_groups: int, m: int, n: int, k: int, activation_bits: int, weight_bits: int
) -> ArrayWork:
    """GEMM of M output pixels x N filters x K filter volume, `n_groups` of them one after the other.

    Cycles: (2 R + C + T - 2) of each fold; a fold fills and drains the whole array, also where it uses a part of it.

    Traffic: the operand laid over rows and time streams in once for each fold of columns, the one laid over columns and
    time once for each fold of rows, and a stationary one is loaded once. Output stationary keeps partial sums in the
    array; the other two add them up down the columns, so with F folds of rows a sum leaves the array F times and
    returns F - 1 times, each time in `PARTIAL_BITS`: F - 1 of either beside the one write of the output.

    Args:
        weight_bits: width of the operand that N belongs to, another activation in attention.
    """
    if 0 in (n_groups, m, n, k):
        return ArrayWork(n_cycles=0)
    rows, columns, time = mapping(array, m, n, k)
    row_folds, column_folds = ceil_div(rows, array.n_rows), ceil_div(columns, array.n_columns)
    activation_passes, weight_passes, n_partials = {
        "output_stationary": (column_folds, row_folds, 0),
        "weight_stationary": (column_folds, 1, m * n * (row_folds - 1)),
        "input_stationary": (1, column_folds, m * n * (row_folds - 1)),
    }[array.dataflow]
    return ArrayWork(
        n_cycles=n_groups * (2 * array.n_rows + array.n_columns + time - 2) * row_folds * column_folds,
        n_macs=n_groups * m * n * k,
        weight_read_bits=n_groups * n * k * weight_passes * weight_bits,
        activation_read_bits=n_groups * m * k * activation_passes * activation_bits,
        partial_read_bits=n_groups * n_partials * PARTIAL_BITS,
        partial_write_bits=n_groups * n_partials * PARTIAL_BITS,
    )
