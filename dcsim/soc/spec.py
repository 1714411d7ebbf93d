"""What a YAML file under configs/soc/ says about a chip. Units are in the keys."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from dcsim.config import SourcedSpec, Spec, find_yaml, load_spec


def _whole(value: object) -> object:
    """350e6 as the integer it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]
Cycles = Annotated[int, Field(ge=0)]
Hertz = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
WidthBits = Annotated[int, Field(ge=8, le=1024, multiple_of=8)]


class ConstantSram(Spec):
    """The literature's SRAM: a constant energy per access, any number of accesses at once, no leakage."""

    kind: Literal["constant"]
    capacity_kib: Count
    access_width_bits: WidthBits
    read_pj_per_access: NonNegative
    write_pj_per_access: NonNegative


class CactiSram(Spec):
    """One single-port SRAM whose energies, leakage and cycle time come from the CACTI 7 table of 45 nm."""

    kind: Literal["cacti45"]
    capacity_kib: Annotated[int, Field(ge=8, le=8192)]  # the sizes of the table
    access_width_bits: Literal[32, 64, 128]
    cell: Literal["high-performance", "low-operating-power", "low-standby-power"]


class ConstantDram(Spec):
    """The literature's DRAM: a constant energy per access. No bandwidth means that transfers take no time."""

    kind: Literal["constant"]
    capacity_mib: Count
    access_width_bits: WidthBits
    pj_per_access: NonNegative
    bandwidth_bytes_per_s: Positive | None


class DramTiming(Spec):
    """JEDEC timing of a DRAM in cycles of its own clock; names as in the standard, t left in."""

    tck_ps: Count
    burst_cycles: Count
    cl_cycles: Cycles
    trcd_cycles: Cycles
    trp_cycles: Cycles
    tras_cycles: Cycles
    trrd_cycles: Cycles
    tfaw_cycles: Cycles
    twtr_cycles: Cycles
    trtp_cycles: Cycles
    trfc_cycles: Cycles
    trefi_cycles: Count
    txp_cycles: Cycles
    txs_cycles: Cycles

    @property
    def refresh_cycles(self) -> int:
        """What a refresh takes from the stream: itself, closing and opening rows, refilling the pipeline."""
        return self.trfc_cycles + self.trp_cycles + self.trcd_cycles + self.burst_cycles + 2

    @model_validator(mode="after")
    def _time_is_left(self) -> Self:
        if self.refresh_cycles >= self.trefi_cycles:
            raise ValueError(f"a refresh takes {self.refresh_cycles} cycles, more than there are in trefi_cycles")
        return self


class DramCurrents(Spec):
    """Datasheet supply currents of one channel, folded to one rail of `vdd_volts`."""

    vdd_volts: Positive
    idd0_ma: NonNegative
    idd2p_ma: NonNegative
    idd2n_ma: NonNegative
    idd3n_ma: NonNegative
    idd4r_ma: NonNegative
    idd4w_ma: NonNegative
    idd5_ma: NonNegative
    idd6_ma: NonNegative

    @model_validator(mode="after")
    def _commands_cost_energy(self) -> Self:
        for name in ("idd4r_ma", "idd4w_ma", "idd5_ma"):
            if getattr(self, name) < self.idd3n_ma:
                raise ValueError(f"{name} must not be below idd3n_ma, the standby that it includes")
        if self.idd0_ma < max(self.idd2n_ma, self.idd3n_ma):
            raise ValueError("idd0_ma must not be below idd2n_ma and idd3n_ma, the standby that it includes")
        return self


class LpddrDram(Spec):
    """One LPDDR channel: device core energy by event and state; I/O and PHY are not part of it."""

    kind: Literal["lpddr"]
    capacity_mib: Count
    burst_bytes: Count
    row_bytes: Count
    idle: Literal["standby", "power_down", "self_refresh"]
    timing: DramTiming
    currents: DramCurrents


class IdealDecoder(Spec):
    """Decodes in no time and for no energy: the literature's arithmetic."""

    kind: Literal["ideal"]


class StreamDecoder(Spec):
    """Expands stored weights into dense operands: entropy decode, codebook lookup, gap expansion.

    A lane takes one stream, so two lanes decode codes and gaps side by side. A lane is bounded both by symbols and by
    code bits per cycle.
    """

    kind: Literal["stream"]
    lanes: Annotated[int, Field(ge=1, le=2)]
    symbols_per_cycle: Positive
    bits_per_cycle: Positive
    pj_per_symbol: NonNegative
    pj_per_lookup: NonNegative
    pj_per_gap: NonNegative


class SimdArray(Spec):
    """`lanes_out` output channels x `lanes_pixel` output pixels of multiply-accumulate units, output stationary.

    `skip_zeros: weights` lets the array take stored entries as they come from the decoder and work on nonzeros only;
    otherwise it needs dense operands.
    """

    kind: Literal["simd"]
    lanes_out: Count
    lanes_pixel: Count
    skip_zeros: Literal["none", "weights"] = "none"
    mac_format: Literal["int8", "int16", "fp16", "fp32"]
    pj_per_mac: NonNegative
    pj_per_alu_op: NonNegative
    register_accesses_per_mac: Annotated[int, Field(ge=0)]
    pj_per_register_access: NonNegative

    @property
    def operand_bits(self) -> int:
        return {"int8": 8, "int16": 16, "fp16": 16, "fp32": 32}[self.mac_format]


class TileBuffers(Spec):
    """Working memory inside the SRAM: a tile is a part of a layer's weights, stored or expanded."""

    n_buffers: Annotated[int, Field(ge=1)]
    tile_kib: Count


class SocSpec(SourcedSpec):
    """A mobile SoC at 45 nm."""

    clock_hz: Hertz
    activation_bits: Literal[8, 16, 32]
    always_on_mw: NonNegative
    sram: Annotated[ConstantSram | CactiSram, Field(discriminator="kind")]
    dram: Annotated[ConstantDram | LpddrDram, Field(discriminator="kind")]
    decoder: Annotated[IdealDecoder | StreamDecoder, Field(discriminator="kind")]
    array: SimdArray
    tiles: TileBuffers


def load_soc(name: str) -> SocSpec:
    """The SoC of a shipped name (`mobile45`) or of a YAML path. Raises ConfigError."""
    return load_spec(SocSpec, find_yaml("soc", name))
