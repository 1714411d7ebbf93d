"""The energy ledger: every pJ of a frame is a row of count times energy each."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LedgerRow:
    """One kind of event of one layer in one frame.

    Attributes:
        layer: name, or `(soc)` for what belongs to no layer.
        component: who spends it, such as `dram` or `sram_leakage`.
        action: what happened, such as `read` or `self_refresh`.
        unit: what `count` counts: `access`, `op`, `symbol`, or `ps` for power over time.
        count: how often in one frame.
        pj_each: energy of one [pJ].
    """

    layer: str
    component: str
    action: str
    unit: str
    count: int
    pj_each: float

    @property
    def energy_pj(self) -> float:
        """Count times energy of each [pJ]."""
        return self.count * self.pj_each


#: components in the order in which every table, plot and sum lists them
COMPONENTS = (
    "dram",
    "dram_io",
    "dram_background",
    "sram",
    "sram_leakage",
    "decoder",
    "array",
    "logic",
    "always_on",
)
STATIC_COMPONENTS = frozenset({"dram_background", "sram_leakage", "logic", "always_on"})


def total_pj(rows: Iterable[LedgerRow]) -> float:
    """Energy of all rows [pJ], added in their order: the reported energy is this sum to the last bit."""
    total = 0.0
    for row in rows:
        total += row.energy_pj
    return total


def by_component_pj(rows: Iterable[LedgerRow]) -> dict[str, float]:
    """Energy by component [pJ]; every component is present."""
    sums = dict.fromkeys(COMPONENTS, 0.0)
    for row in rows:
        sums[row.component] += row.energy_pj
    return sums
