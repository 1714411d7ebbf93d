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
    """What all arrays have. Energies that are left out are Horowitz's for `mac_format`."""

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

    `skip_zeros: weights` lets the array take stored entries as they come from the decoder and work on nonzeros only;
    otherwise it needs dense operands.
    """

    kind: Literal["simd"]
    lanes_out: Count
    lanes_pixel: Count
    skip_zeros: Literal["none", "weights"] = "none"
    register_accesses_per_mac: Annotated[int, Field(ge=0)]
    pj_per_register_access: NonNegative


class SystolicArray(ArraySpec):
    """`n_rows` x `n_columns` processing elements that pass operands on to their neighbours.

    The dataflow says which operand stays in place: output, weight or input stationary. It needs dense operands.
    """

    kind: Literal["systolic"]
    n_rows: Count
    n_columns: Count
    dataflow: Literal["output_stationary", "weight_stationary", "input_stationary"]
    register_accesses_per_mac: Annotated[int, Field(ge=0)]
    pj_per_register_access: NonNegative


class SparseArray(ArraySpec):
    """EIE (Han et al., ISCA 2016): rows interleaved over PEs, each with its own memories and a queue of activations.

    A PE holds its part of each column as entries of `code_bits` + `gap_bits`, found by a pair of pointers. Nonzero
    activations are broadcast; a PE that falls behind fills its queue of `fifo_depth`, and a full queue stops the
    broadcast. Zero weights and zero activations are skipped.

    Energies are those of a PE's own memories and queue; they replace the reads of operands from the chip's SRAM.
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
