"""A figure of a reference beside ours: how far they are apart, and whether that is near enough."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Literal

DATA = Path(__file__).with_name("data")
Bound = Literal["within", "at_most", "at_least"]


@dataclass(frozen=True)
class Comparison:
    """One row of a validation table.

    Attributes:
        table: the heading it stands under.
        name: what is compared: a layer, a network, a pattern of accesses.
        unit: of reference and found; `count` for a number of things, empty for a ratio.
        tolerance: the largest error that is near enough, 0 for an exact figure. Without one the row is shown and does
            not decide, and `why` says why.
        why: a word about the row.
        bound: whether an error to either side counts, or one that is too large, or one that is too small.
    """

    table: str
    name: str
    quantity: str
    unit: str
    reference: float
    found: float
    tolerance: float | None
    why: str = ""
    bound: Bound = "within"

    @property
    def error(self) -> float:
        """Relative to the reference."""
        return self.found / self.reference - 1

    @property
    def decides(self) -> bool:
        """Whether a tolerance is asserted."""
        return self.tolerance is not None

    @property
    def ok(self) -> bool:
        """Whether it is near enough; a row that does not decide is."""
        if self.tolerance is None:
            return True
        if self.bound == "at_most":
            return self.error <= self.tolerance
        if self.bound == "at_least":
            return self.error >= -self.tolerance
        return abs(self.error) <= self.tolerance


def of(rows: Iterable[Comparison], quantity: str) -> tuple[Comparison, ...]:
    """Rows of one quantity."""
    return tuple(row for row in rows if row.quantity == quantity)


def mean_error(rows: Iterable[Comparison], largest: float) -> Comparison:
    """The mean of errors without their signs, which may be at most `largest`. Rows of one table and one quantity."""
    rows = tuple(rows)
    found = mean(abs(row.error) for row in rows)
    quantity = f"{rows[0].quantity}: mean error"
    return Comparison(rows[0].table, f"all {len(rows)}", quantity, "", largest, found, 0.0, "", "at_most")


def n_within(rows: Iterable[Comparison], tolerance: float, least: int) -> Comparison:
    """How many rows have an error of at most `tolerance`; it must be `least`. Rows of one table and one quantity."""
    rows = tuple(rows)
    found = sum(abs(row.error) <= tolerance for row in rows)
    quantity = f"{rows[0].quantity}: within {100 * tolerance:g} %"
    return Comparison(rows[0].table, f"of {len(rows)}", quantity, "count", least, found, 0.0, "", "at_least")


def reference_rows(file_name: str) -> list[dict[str, str]]:
    """The rows of a table of published or measured figures, by its column names; provenance is in its first lines."""
    with (DATA / file_name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))
