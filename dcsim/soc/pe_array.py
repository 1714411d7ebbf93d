"""Work of a GEMM on the array: cycles and operand traffic follow from kind and size, not from a chosen reuse factor."""

from dataclasses import astuple, dataclass

from dcsim.soc.array_spec import ArraySpec, SimdArray, SparseArray, SystolicArray
from dcsim.units import ceil_div


@dataclass(frozen=True)
class ArrayWork:
    """What one operator costs the array and asks of the SRAM for one frame.

    Attributes:
        n_cycles: array cycles.
        n_macs: multiply-accumulates performed, zero operands included (1 MAC = 2 operations).
        n_alu_ops: additions and comparisons outside MACs.
        weight_read_bits, activation_read_bits: operands read from SRAM.
        partial_read_bits, partial_write_bits: partial sums that pass the SRAM, beyond the one write of each output.
        n_entries, n_pointer_reads, n_activation_accesses, n_queue_accesses: accesses to the PEs' own memories.
    """

    n_cycles: int
    n_macs: int = 0
    n_alu_ops: int = 0
    weight_read_bits: int = 0
    activation_read_bits: int = 0
    partial_read_bits: int = 0
    partial_write_bits: int = 0
    n_entries: int = 0
    n_pointer_reads: int = 0
    n_activation_accesses: int = 0
    n_queue_accesses: int = 0

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
        activation_read_bits=n_groups * m * k * activation_bits,
    )


def elementwise_work(array: ArraySpec, n_alu_ops: int, n_inputs: int, activation_bits: int) -> ArrayWork:
    """An operator without weights, such as pooling: every lane takes one input element a cycle, each read once."""
    return ArrayWork(
        n_cycles=ceil_div(max(n_alu_ops, n_inputs), n_alu_lanes(array)),
        n_alu_ops=n_alu_ops,
        activation_read_bits=n_inputs * activation_bits,
    )


def n_alu_lanes(array: ArraySpec) -> int:
    """Lanes for what is not a MAC: all of a SIMD array, the last row of a systolic one, a PE each of a sparse one."""
    if isinstance(array, SimdArray):
        return array.lanes_out * array.lanes_pixel
    if isinstance(array, SystolicArray):
        return array.n_columns
    assert isinstance(array, SparseArray)
    return array.n_pes


def peak_macs_per_cycle(array: ArraySpec) -> int:
    """Multiply-accumulates in a cycle when no unit waits: one each."""
    if isinstance(array, SimdArray):
        return array.lanes_out * array.lanes_pixel
    if isinstance(array, SystolicArray):
        return array.n_rows * array.n_columns
    assert isinstance(array, SparseArray)
    return array.n_pes


def event_counts(array: ArraySpec, work: ArrayWork) -> dict[str, int]:
    """Events of the array that cost energy, by name."""
    counts = {"mac": work.n_macs, "alu": work.n_alu_ops}
    if isinstance(array, SparseArray):
        return counts | {
            "entry": work.n_entries,
            "pointer": work.n_pointer_reads,
            "activation": work.n_activation_accesses,
            "queue": work.n_queue_accesses,
        }
    assert isinstance(array, SimdArray | SystolicArray)
    return counts | {"register": work.n_macs * array.register_accesses_per_mac}


def event_energies_pj(array: ArraySpec) -> dict[str, tuple[str, float]]:
    """Unit and energy [pJ] of each event of the array."""
    energies = {"mac": ("op", array.mac_pj), "alu": ("op", array.alu_pj)}
    if isinstance(array, SparseArray):
        return energies | {
            "entry": ("access", array.pj_per_entry_read),
            "pointer": ("access", array.pj_per_pointer_read),
            "activation": ("access", array.pj_per_activation_access),
            "queue": ("access", array.pj_per_queue_access),
        }
    assert isinstance(array, SimdArray | SystolicArray)
    return energies | {"register": ("access", array.pj_per_register_access)}
