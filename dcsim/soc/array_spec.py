"""What a YAML file says about the array of a chip: three kinds. Units are in the keys."""

from typing import Annotated, Literal

from pydantic import Field

from dcsim.config import Spec
from dcsim.soc.quantities import Count, NonNegative

MacFormat = Literal["int8", "int16", "fp16", "fp32"]
OPERAND_BITS = {"int8": 8, "int16": 16, "fp16": 16, "fp32": 32}

#: multiply and add of one format [pJ] at 45 nm, 0.9 V: Horowitz, ISSCC 2014, Figure 1.1.9. It has no 16-bit integer
#: multiply: that is a fifth of the 32-bit one of 3.1 pJ (EIE, Han et al., ISCA 2016, section on arithmetic precision).
HOROWITZ_PJ = {"int8": (0.2, 0.03), "int16": (0.62, 0.05), "fp16": (1.1, 0.4), "fp32": (3.7, 0.9)}


class ArraySpec(Spec):
    """What all arrays have.

    Attributes:
        mac_format: of multiply-accumulates, and width of a weight in the array.
        pj_per_mac: energy of a multiplication and an addition; Horowitz's for `mac_format` unless said.
        pj_per_alu_op: energy of an operation outside MACs; Horowitz's addition unless said.
    """

    mac_format: MacFormat
    pj_per_mac: NonNegative | None = None
    pj_per_alu_op: NonNegative | None = None

    @property
    def operand_bits(self) -> int:
        """Width of a weight or an activation in the array [bits]."""
        return OPERAND_BITS[self.mac_format]

    @property
    def mac_pj(self) -> float:
        """Energy of a multiply-accumulate: a multiplication and an addition of the same format [pJ]."""
        return sum(HOROWITZ_PJ[self.mac_format]) if self.pj_per_mac is None else self.pj_per_mac

    @property
    def alu_pj(self) -> float:
        """Energy of an operation outside MACs: an addition, also taken for a compare [pJ]."""
        return HOROWITZ_PJ[self.mac_format][1] if self.pj_per_alu_op is None else self.pj_per_alu_op


class SimdArray(ArraySpec):
    """`lanes_out` output channels x `lanes_pixel` output pixels of multiply-accumulate units, output stationary.

    Attributes:
        kind: `simd`.
        lanes_out: output channels at once; an activation that is read serves all of them.
        lanes_pixel: output pixels at once; a weight that is read serves all of them.
        skip_zeros: `weights` lets the array take stored entries as they come from the decoder and work on nonzeros
            only; otherwise it needs dense operands.
        register_accesses_per_mac: of the register files.
        pj_per_register_access: energy of one of them.
    """

    kind: Literal["simd"]
    lanes_out: Count
    lanes_pixel: Count
    skip_zeros: Literal["none", "weights"] = "none"
    register_accesses_per_mac: Annotated[int, Field(ge=0)]
    pj_per_register_access: NonNegative


class SystolicArray(ArraySpec):
    """`n_rows` x `n_columns` processing elements that pass operands on to their neighbours. It needs dense operands.

    Attributes:
        kind: `systolic`.
        n_rows, n_columns: of processing elements.
        dataflow: the operand that stays in place.
        register_accesses_per_mac: of the registers between neighbours.
        pj_per_register_access: energy of one of them.
    """

    kind: Literal["systolic"]
    n_rows: Count
    n_columns: Count
    dataflow: Literal["output_stationary", "weight_stationary", "input_stationary"]
    register_accesses_per_mac: Annotated[int, Field(ge=0)]
    pj_per_register_access: NonNegative


class SparseArray(ArraySpec):
    """EIE (Han et al., ISCA 2016): rows interleaved over PEs, each with its own memories and a queue of activations.

    Nonzero activations are broadcast; a PE that falls behind fills its queue, and a full queue stops the broadcast.
    Zero weights and zero activations are skipped. Energies are those of a PE's own memories and queue; they replace the
    reads of operands from the chip's SRAM.

    Attributes:
        kind: `sparse`.
        n_pes: processing elements.
        fifo_depth: activations that a PE's queue holds, the one in work among them.
        code_bits: width of a code in a PE's memory.
        gap_bits: width of a gap in a PE's memory; longer runs of zeros take fillers.
        pj_per_entry_read: energy of reading a code and its gap.
        pj_per_pointer_read: energy of reading the pair of pointers to a column.
        pj_per_activation_access: energy of reading or writing an activation or an accumulator.
        pj_per_queue_access: energy of writing or reading an activation in the queue.
    """

    kind: Literal["sparse"]
    n_pes: Count
    fifo_depth: Count
    code_bits: Annotated[int, Field(ge=1, le=16)]
    gap_bits: Annotated[int, Field(ge=1, le=16)]
    pj_per_entry_read: NonNegative
    pj_per_pointer_read: NonNegative
    pj_per_activation_access: NonNegative
    pj_per_queue_access: NonNegative


AnyArray = Annotated[SimdArray | SystolicArray | SparseArray, Field(discriminator="kind")]
