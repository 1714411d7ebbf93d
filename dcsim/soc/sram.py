"""SRAM energy, leakage and cycle time from a CACTI 7 table of 45 nm, 330 K, one read-write port.

Between the table's sizes all figures are interpolated log-log; sizes outside are refused when the YAML is
read, because no smooth law
stays within 11-25 % of CACTI's points.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from dcsim.soc.spec import CactiSram, ConstantSram
from dcsim.units import PS_PER_S, ceil_div, kib_to_bytes, mw_to_watts, ns_to_ps

TABLE = Path(__file__).with_name("cacti45_sram.csv")
CELLS = {"high-performance": "itrs-hp", "low-operating-power": "itrs-lop", "low-standby-power": "itrs-lstp"}

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
    """Cost of an access at the SoC's clock."""
    if isinstance(sram, ConstantSram):
        return SramCost(sram.read_pj_per_access, sram.write_pj_per_access, 0, 0.0)
    cycle_ns = _interpolate(sram, "cycle_ns")
    return SramCost(
        read_pj=_interpolate(sram, "rd_pJ"),
        write_pj=_interpolate(sram, "wr_pJ"),
        cycles_per_access=ceil_div(ns_to_ps(cycle_ns) * clock_hz, PS_PER_S),
        leakage_watts=mw_to_watts(_interpolate(sram, "leak_mW")),
    )


def _interpolate(sram: CactiSram, column: str) -> float:
    points = _points(CELLS[sram.cell], sram.access_width_bits, column)
    exact = dict(points).get(sram.capacity_kib)
    if exact is not None:
        return exact
    (size, value), (next_size, next_value) = next(
        pair for pair in pairwise(points) if pair[0][0] < sram.capacity_kib < pair[1][0]
    )
    fraction = math.log(sram.capacity_kib / size) / math.log(next_size / size)
    return math.exp((1 - fraction) * math.log(value) + fraction * math.log(next_value))


@cache
def _points(cell: str, access_width_bits: int, column: str) -> tuple[tuple[int, float], ...]:
    with TABLE.open(newline="") as stream:
        rows = [
            (int(row["size_KB"]), float(row[column]))
            for row in csv.DictReader(stream)
            if row["cell"] == cell and int(row["width_bits"]) == access_width_bits and row["banks"] == "1"
        ]
    return tuple(sorted(rows))
