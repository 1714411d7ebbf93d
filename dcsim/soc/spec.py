"""What a YAML file under configs/soc/ says about a chip. Units are in the keys."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.config import SourcedSpec, Spec, find_yaml, load_spec
from dcsim.soc import sram_table
from dcsim.soc.array_spec import AnyArray
from dcsim.soc.dram_spec import AnyDram, Idle, NoDram
from dcsim.soc.quantities import Count, Hertz, NonNegative, Positive, Ratio, WidthBits


class ConstantSram(Spec):
    """The literature's SRAM: a constant energy per access, any number of accesses at once.

    Attributes:
        kind: `constant`.
        capacity_kib: what it holds.
        access_width_bits: bits that one access moves.
        read_pj_per_access, write_pj_per_access: dynamic energy of one access.
        leakage_mw: power while it is on.
        retention_leakage_ratio: share of the leakage that is left at the voltage of `idle.sram: retain`.
    """

    kind: Literal["constant"]
    capacity_kib: Count
    access_width_bits: WidthBits
    read_pj_per_access: NonNegative
    write_pj_per_access: NonNegative
    leakage_mw: NonNegative
    retention_leakage_ratio: Ratio | None = None


class CactiSram(Spec):
    """One single-port SRAM whose energies, leakage and cycle time come from the CACTI 7 table of 45 nm.

    Sizes between those of the table are interpolated log-log.

    Attributes:
        kind: `cacti45`.
        capacity_kib: what it holds.
        access_width_bits: width of its one port.
        cell: ITRS transistor type of the cells.
        n_banks: more than one are looked up only where the table has them.
        outside_table: what to do with sizes outside of the table: refuse them, or go on at the slope of the last two.
        retention_leakage_ratio: share of the leakage that is left at the voltage of `idle.sram: retain`.
        read_pj_per_access, write_pj_per_access: dynamic energy of one access, instead of the table's.
        leakage_mw: power while it is on, instead of the table's.
    """

    kind: Literal["cacti45"]
    capacity_kib: Count
    access_width_bits: Literal[32, 64, 128]
    cell: Literal["high-performance", "low-operating-power", "low-standby-power"]
    n_banks: Count
    outside_table: Literal["refuse", "extrapolate"] = "refuse"
    retention_leakage_ratio: Ratio | None = None
    read_pj_per_access: NonNegative | None = None
    write_pj_per_access: NonNegative | None = None
    leakage_mw: NonNegative | None = None

    @model_validator(mode="after")
    def _is_in_the_table(self) -> Self:
        extrapolate = self.outside_table == "extrapolate"
        fault = sram_table.fault(self.cell, self.access_width_bits, self.n_banks, self.capacity_kib, extrapolate)
        if fault:
            raise ValueError(fault)
        return self


class IdealDecoder(Spec):
    """Decodes in no time and for no energy: the literature's arithmetic.

    Attributes:
        kind: `ideal`.
    """

    kind: Literal["ideal"]


class StreamDecoder(Spec):
    """Expands stored weights into dense operands: entropy decode, codebook lookup, gap expansion.

    With one lane the streams of a layer, codes and gaps, are decoded one after the other; otherwise they share the
    lanes evenly and are decoded side by side. A lane is bounded both by symbols and by code bits per cycle.

    Attributes:
        kind: `stream`.
        lanes: streams, or runs of one stream, that are decoded side by side.
        symbols_per_cycle: most symbols that a lane decodes in a cycle of the SoC's clock.
        bits_per_cycle: most code bits that a lane takes in a cycle.
        pj_per_symbol: energy of decoding one Huffman symbol.
        pj_per_lookup: energy of turning a code into a value of the codebook.
        pj_per_gap: energy of turning a gap into a position.
    """

    kind: Literal["stream"]
    lanes: Count
    symbols_per_cycle: Positive
    bits_per_cycle: Positive
    pj_per_symbol: NonNegative
    pj_per_lookup: NonNegative
    pj_per_gap: NonNegative


class TileBuffers(Spec):
    """Working memory inside the SRAM: a tile is a part of a layer's weights, stored or expanded.

    Attributes:
        n_buffers: tiles that are held at once; two let the next one come while one is worked on.
        tile_kib: size of a buffer.
    """

    n_buffers: Annotated[int, Field(ge=1)]
    tile_kib: Count


class LogicPower(Spec):
    """Power of the logic at the nominal clock and voltage.

    Attributes:
        clock_mw: of the clock network, while the clock runs; goes with f V^2.
        leakage_mw: while the logic has power; goes with V.
    """

    clock_mw: NonNegative
    leakage_mw: NonNegative


class IdlePolicy(Spec):
    """What the chip does between frames. Waking SRAM and logic takes no time.

    Attributes:
        logic: `run` keeps the clock running, `clock_gate` stops it, `power_gate` takes away the leakage too.
        sram: `on`; `retain` keeps contents at a lower voltage, for a part of the leakage; `off` loses them, so that no
            weights stay from frame to frame.
        dram: `standby`, precharged and ready; `power_down` between refreshes; or `self_refresh`.
    """

    logic: Literal["run", "clock_gate", "power_gate"]
    sram: Literal["on", "retain", "off"]
    dram: Idle


class OperatingPoint(Spec):
    """A clock and the lowest voltage at which the chip runs at it.

    Attributes:
        clock_hz: of array, decoder and SRAM.
        volts: supply of logic and SRAM; their dynamic energy goes with its square.
    """

    clock_hz: Hertz
    volts: Positive


class FixedPlacement(Spec):
    """A placement that is given instead of chosen: names of layers.

    Attributes:
        weights: layers whose weights stay in SRAM across frames.
        activations: layers whose outputs stay in SRAM; `(input)` is the network's input.
    """

    weights: tuple[str, ...]
    activations: tuple[str, ...]


class SocSpec(SourcedSpec):
    """A mobile SoC. Energies hold at the nominal point, `clock_hz` and `volts`.

    Attributes:
        clock_hz: nominal clock of array, decoder and SRAM; the DRAM has its own.
        volts: nominal supply of logic and SRAM.
        operating_points: other clocks it can run at, slowest first.
        operating_point: the one to use: `nominal`, the place of one in the list, from 0, or `auto`, the most frugal one
            that meets the deadline.
        activation_bits: width in which activations are stored and moved.
        always_on_mw: what never sleeps.
        logic: clock network and leakage of the logic.
        idle: what happens between frames.
        sram: the one on-chip memory.
        dram: the memory beside the chip.
        decoder: what expands stored weights.
        array: the multiply-accumulate units.
        tiles: working buffers in the SRAM.
        placement: what stays in SRAM, instead of what dcsim finds.
    """

    clock_hz: Hertz
    volts: Positive
    operating_points: tuple[OperatingPoint, ...] = ()
    operating_point: Literal["nominal", "auto"] | Annotated[int, Field(ge=0)] = "nominal"
    activation_bits: Literal[8, 16, 32]
    always_on_mw: NonNegative
    logic: LogicPower
    idle: IdlePolicy
    sram: Annotated[ConstantSram | CactiSram, Field(discriminator="kind")]
    dram: AnyDram
    decoder: Annotated[IdealDecoder | StreamDecoder, Field(discriminator="kind")]
    array: AnyArray
    tiles: TileBuffers
    placement: FixedPlacement | None = None

    @property
    def nominal(self) -> OperatingPoint:
        """The point at which the energies of the file hold."""
        return OperatingPoint(clock_hz=self.clock_hz, volts=self.volts)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for slow, fast in pairwise(self.operating_points):
            if fast.clock_hz <= slow.clock_hz or fast.volts < slow.volts:
                raise ValueError(
                    "operating_points must go from slow to fast: each clock above the one before, no voltage below it; "
                    f"found {slow.clock_hz} Hz at {slow.volts:g} V before {fast.clock_hz} Hz at {fast.volts:g} V"
                )
        if isinstance(self.operating_point, int) and self.operating_point >= len(self.operating_points):
            raise ValueError(f"operating_point {self.operating_point}: there are {len(self.operating_points)} points")
        if self.operating_point == "auto" and not self.operating_points:
            raise ValueError("operating_point auto needs operating_points to choose from")
        if self.idle.sram == "retain" and self.sram.retention_leakage_ratio is None:
            raise ValueError("idle.sram retain needs sram.retention_leakage_ratio")
        if self.idle.sram == "off" and isinstance(self.dram, NoDram):
            raise ValueError("idle.sram off loses the weights, and without a DRAM there is no place to load them from")
        return self


def load_soc(name: str) -> SocSpec:
    """The SoC of a shipped name (`mobile45`) or of a YAML path. Raises ConfigError."""
    return load_spec(SocSpec, find_yaml("soc", name))
