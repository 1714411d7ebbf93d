"""The CACTI 7 table of 45 nm, 330 K, one read-write port, and the way between its points.

Figures of one bank are interpolated log-log between sizes, because no smooth law stays within 11-25 % of CACTI's
points. Other bank counts are looked up at the points of the table only.
"""

import csv
import math
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("cacti45_sram.csv")
CELLS = {"high-performance": "itrs-hp", "low-operating-power": "itrs-lop", "low-standby-power": "itrs-lstp"}


def fault(cell: str, access_width_bits: int, n_banks: int, capacity_kib: int, extrapolate: bool) -> str | None:
    """Why the table has no figures for such an SRAM, or None."""
    sizes = [size for size, _ in points(cell, access_width_bits, n_banks, "rd_pJ")]
    if n_banks > 1 and capacity_kib not in sizes:
        found = ", ".join(f"{size} KiB" for size in sizes) or "none"
        return (
            f"n_banks {n_banks}: the table has {found} of this cell and width, found {capacity_kib} KiB; use n_banks 1"
        )
    if n_banks == 1 and not extrapolate and not sizes[0] <= capacity_kib <= sizes[-1]:
        return (
            f"capacity_kib: expected {sizes[0]} to {sizes[-1]}, the sizes of the CACTI table, found {capacity_kib}; "
            "`outside_table: extrapolate` goes on beyond them at the slope of the last two"
        )
    return None


def look_up(cell: str, access_width_bits: int, n_banks: int, capacity_kib: int, column: str) -> float:
    """A figure of the table, interpolated log-log between sizes and continued so beyond them."""
    known = points(cell, access_width_bits, n_banks, column)
    exact = dict(known).get(capacity_kib)
    if exact is not None:
        return exact
    after = next((place for place, (size, _) in enumerate(known) if size > capacity_kib), len(known) - 1)
    (size, value), (next_size, next_value) = known[max(after, 1) - 1], known[max(after, 1)]
    fraction = math.log(capacity_kib / size) / math.log(next_size / size)
    return math.exp((1 - fraction) * math.log(value) + fraction * math.log(next_value))


@cache
def points(cell: str, access_width_bits: int, n_banks: int, column: str) -> tuple[tuple[int, float], ...]:
    """(KiB, figure) of every size of one kind of SRAM, smallest first."""
    with TABLE.open(newline="") as stream:
        rows = [
            (int(row["size_KB"]), float(row[column]))
            for row in csv.DictReader(stream)
            if (row["cell"], int(row["width_bits"]), int(row["banks"])) == (CELLS[cell], access_width_bits, n_banks)
        ]
    return tuple(sorted(rows))
