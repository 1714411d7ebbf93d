"""What a YAML file says about the DRAM of a chip. Units are in the keys."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.config import Spec
from dcsim.soc.quantities import Count, Cycles, NonNegative, Positive, WidthBits
from dcsim.units import mib_to_bytes

Idle = Literal["standby", "power_down", "self_refresh"]
ADDRESS_FIELDS = ("row", "rank", "bank", "column", "channel")


class NoDram(Spec):
    """No DRAM: everything must fit the SRAM, and weights stay there.

    Attributes:
        kind: `none`.
    """

    kind: Literal["none"]


class ConstantDram(Spec):
    """The literature's DRAM: a constant energy per access.

    Attributes:
        kind: `constant`.
        capacity_mib: what it holds.
        access_width_bits: bits that one access moves.
        pj_per_access: energy of one access, read or write.
        bandwidth_bytes_per_s: of all transfers together; null: they take no time.
    """

    kind: Literal["constant"]
    capacity_mib: Count
    access_width_bits: WidthBits
    pj_per_access: NonNegative
    bandwidth_bytes_per_s: Positive | None


class DramTiming(Spec):
    """JEDEC timing of a DRAM in cycles of its own clock; names as in the standard, t left in.

    Attributes:
        tck_ps: cycle of the DRAM clock.
        burst_cycles: for which one burst takes the data bus.
        cl_cycles: from a read command to its data (CL).
        cwl_cycles: write latency, from a write command to its data (CWL).
        trcd_cycles: from opening a row to its first access.
        trp_cycles: from closing a row to the next opening in its bank.
        tras_cycles: a row stays open at least so long.
        trrd_cycles: between openings in two banks of a rank.
        tfaw_cycles: window with at most four openings in a rank.
        twtr_cycles: from the last data of a write to a read.
        twr_cycles: from the last data of a write to closing the row.
        trtp_cycles: from a read to closing the row.
        trtrs_cycles: pause of the data bus when its direction or the rank changes.
        trfc_cycles: a refresh of a rank.
        trefi_cycles: from one refresh to the next.
        txp_cycles: waking from power-down.
        txs_cycles: waking from self-refresh.
    """

    tck_ps: Count
    burst_cycles: Count
    cl_cycles: Cycles
    cwl_cycles: Cycles
    trcd_cycles: Cycles
    trp_cycles: Cycles
    tras_cycles: Cycles
    trrd_cycles: Cycles
    tfaw_cycles: Cycles
    twtr_cycles: Cycles
    twr_cycles: Cycles
    trtp_cycles: Cycles
    trtrs_cycles: Cycles
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
    """Datasheet supply currents of one rank of one channel, folded to one rail of `vdd_volts`.

    Attributes:
        vdd_volts: supply of the core.
        idd0_ma: rows are opened and closed all the time.
        idd2p_ma: power-down, all banks closed.
        idd2n_ma: standby, all banks closed.
        idd3n_ma: standby, rows open.
        idd4r_ma: reading burst after burst.
        idd4w_ma: writing burst after burst.
        idd5_ma: refreshing all the time.
        idd6_ma: self-refresh.
    """

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


class BankedDram(Spec):
    """Channels x ranks x banks with open rows: energy of the device core by command and state, I/O and PHY apart.

    Attributes:
        kind: `banked`.
        capacity_mib: of all channels and ranks together.
        n_channels: that work side by side; a power of two.
        n_ranks: on a channel; a power of two.
        n_banks: in a rank; a power of two.
        burst_bytes: one column access of a channel; a power of two.
        row_bytes: one row of a channel; a power of two.
        address_map: fields of an address from the most significant on, joined by `-`: row, rank, bank, column, channel.
        n_outstanding: reads that may be in flight; null: as many as there are.
        sleep_after_cycles: without a request for so long, it goes into the idle state of the chip's policy.
        io_pj_per_bit: pads, trace and both PHYs, for each bit that is moved.
        timing: of its commands.
        currents: of its core.
    """

    kind: Literal["banked"]
    capacity_mib: Count
    n_channels: Count
    n_ranks: Count
    n_banks: Count
    burst_bytes: Count
    row_bytes: Count
    address_map: str
    n_outstanding: Count | None
    sleep_after_cycles: Cycles
    io_pj_per_bit: NonNegative
    timing: DramTiming
    currents: DramCurrents

    @property
    def address_fields(self) -> tuple[str, ...]:
        """Fields of an address, most significant first."""
        return tuple(self.address_map.split("-"))

    @property
    def n_rows(self) -> int:
        """Rows of a bank."""
        return mib_to_bytes(self.capacity_mib) // (self.n_channels * self.n_ranks * self.n_banks * self.row_bytes)

    @model_validator(mode="after")
    def _addresses_are_whole_bits(self) -> Self:
        for name in ("n_channels", "n_ranks", "n_banks", "burst_bytes", "row_bytes"):
            if getattr(self, name).bit_count() != 1:
                raise ValueError(f"{name} must be a power of two, found {getattr(self, name)}")
        if self.row_bytes % self.burst_bytes:
            raise ValueError("row_bytes must be a multiple of burst_bytes")
        fields, known = self.address_fields, set(ADDRESS_FIELDS)
        needed = {"row", "bank", "column"} | {n for n in ("rank", "channel") if getattr(self, f"n_{n}s") > 1}
        if len(set(fields)) != len(fields) or not needed <= set(fields) <= known:
            raise ValueError(
                f"address_map must name each of {', '.join(sorted(needed))} once, joined by -, found {self.address_map}"
            )
        part = self.n_channels * self.n_ranks * self.n_banks * self.row_bytes
        if mib_to_bytes(self.capacity_mib) % part:
            raise ValueError(f"capacity_mib is not a whole number of rows: one row of every bank is {part} bytes")
        return self


AnyDram = Annotated[NoDram | ConstantDram | BankedDram, Field(discriminator="kind")]
