"""Work of a GEMM on the array: cycles and operand traffic follow from its lanes, not from a chosen reuse factor."""

from dataclasses import astuple, dataclass

from dcsim.soc.spec import SimdArray
from dcsim.units import ceil_div


@dataclass(frozen=True)
class ArrayWork:
    """What one operator costs the array and asks of the SRAM for one frame.

    Attributes:
        n_cycles: array cycles.
        n_macs: multiply-accumulates performed, zero operands included (1 MAC = 2 operations).
        n_alu_ops: additions and comparisons outside MACs.
        weight_read_bits, activation_read_bits: operands read from SRAM.
    """

    n_cycles: int
    n_macs: int
    n_alu_ops: int
    weight_read_bits: int
    activation_read_bits: int

    def times(self, n: int) -> "ArrayWork":
        """The same `n` times in a row."""
        return ArrayWork(*(n * count for count in astuple(self)))

    def followed_by(self, other: "ArrayWork") -> "ArrayWork":
        """Both, one after the other."""
        return ArrayWork(*map(sum, zip(astuple(self), astuple(other), strict=True)))


def gemm_work(
    array: SimdArray, n_groups: int, m: int, n: int, k: int, activation_bits: int, weight_bits: int
) -> ArrayWork:
    """Output-stationary GEMM of M output pixels x N output channels x K filter volume, per group.

    `weight_bits` is the width of the operand that N belongs to, another activation in attention.

    A weight read serves `lanes_pixel` MACs, an activation read serves `lanes_out`; partial sums stay in registers;
    edges round up. Operands that lanes need together are assumed to lie side by side, so reads use the full port.
    """
    out_folds, pixel_folds = ceil_div(n, array.lanes_out), ceil_div(m, array.lanes_pixel)
    return ArrayWork(
        n_cycles=n_groups * out_folds * pixel_folds * k,
        n_macs=n_groups * m * n * k,
        n_alu_ops=0,
        weight_read_bits=n_groups * n * k * pixel_folds * weight_bits,
        activation_read_bits=n_groups * m * k * out_folds * activation_bits,
    )


def sparse_gemm_work(
    array: SimdArray, n_groups: int, m: int, k: int, n_entries: int, n_weights_nonzero: int, activation_bits: int
) -> ArrayWork:
    """A GEMM that is given stored entries, column by column, each activation broadcast to all output channels.

    An entry takes a lane a cycle, a filler zero too, but only nonzeros are multiplied (EIE, Han et al., ISCA 2016).
    Weights do not pass the SRAM port again here: they come from the decoder, once per fold of output pixels. Lanes are
    assumed to be loaded evenly.
    """
    pixel_folds = ceil_div(m, array.lanes_pixel)
    return ArrayWork(
        n_cycles=ceil_div(n_entries, array.lanes_out) * pixel_folds,
        n_macs=n_weights_nonzero * m,
        n_alu_ops=0,
        weight_read_bits=0,
        activation_read_bits=n_groups * m * k * activation_bits,
    )


def elementwise_work(array: SimdArray, n_alu_ops: int, n_inputs: int, activation_bits: int) -> ArrayWork:
    """An operator without weights, such as pooling: every lane takes one input element a cycle, each read once."""
    lanes = array.lanes_out * array.lanes_pixel
    return ArrayWork(ceil_div(max(n_alu_ops, n_inputs), lanes), 0, n_alu_ops, 0, n_inputs * activation_bits)
