"""SRAM energy, leakage and cycle time: constants, or CACTI 7 at 45 nm."""

from dataclasses import dataclass

from dcsim.soc.spec import CactiSram, ConstantSram
from dcsim.soc.sram_table import look_up
from dcsim.units import PS_PER_S, ceil_div, kib_to_bytes, mw_to_watts, ns_to_ps

Sram = ConstantSram | CactiSram


@dataclass(frozen=True)
class SramCost:
    """What one access costs: energy [pJ], cycles of the SoC clock on the port (0: unlimited); leakage [W]."""

    read_pj: float
    write_pj: float
    cycles_per_access: int
    leakage_watts: float


def capacity_bytes(sram: Sram) -> int:
    """What the SRAM holds."""
    return kib_to_bytes(sram.capacity_kib)


def n_accesses(sram: Sram, n_bits: int) -> int:
    """Full-width accesses that move `n_bits` laid out contiguously."""
    return ceil_div(n_bits, sram.access_width_bits)


def cost(sram: Sram, clock_hz: int) -> SramCost:
    """Cost of an access at the SoC's nominal clock."""
    if isinstance(sram, ConstantSram):
        return SramCost(sram.read_pj_per_access, sram.write_pj_per_access, 0, mw_to_watts(sram.leakage_mw))

    def figure(column: str, given: float | None = None) -> float:
        if given is not None:
            return given
        return look_up(sram.cell, sram.access_width_bits, sram.n_banks, sram.capacity_kib, column)

    return SramCost(
        read_pj=figure("rd_pJ", sram.read_pj_per_access),
        write_pj=figure("wr_pJ", sram.write_pj_per_access),
        cycles_per_access=ceil_div(access_ps(sram) * clock_hz, PS_PER_S),
        leakage_watts=mw_to_watts(figure("leak_mW", sram.leakage_mw)),
    )


def access_ps(sram: CactiSram) -> int:
    """Time that an access takes the port [ps]: CACTI's random cycle time."""
    return ns_to_ps(look_up(sram.cell, sram.access_width_bits, sram.n_banks, sram.capacity_kib, "cycle_ns"))


def idle_leakage_ratio(sram: Sram, idle: str) -> float:
    """Share of the leakage that is left between frames: `on`, `retain` or `off`."""
    return {"on": 1.0, "retain": sram.retention_leakage_ratio or 0.0, "off": 0.0}[idle]
