"""Validation tables as people and programs read them: reference, dcsim, error, tolerance."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcsim import __version__
from dcsim.report.tables import percent, quantity
from dcsim.units import PJ_PER_J

if TYPE_CHECKING:
    from dcsim.validation.comparison import Comparison

SCHEMA_VERSION = 1
WIDE = 1000


def validation_document(rows: Sequence["Comparison"]) -> dict[str, Any]:
    """All rows as plain values: what `dcsim validate --json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "dcsim_version": __version__,
        "ok": all(row.ok for row in rows),
        "tables": [
            {"table": heading, "ok": all(row.ok for row in own), "rows": [_plain(row) for row in own]}
            for heading, own in _by_heading(rows)
        ],
    }


def print_validation(screen: Console, rows: Sequence["Comparison"]) -> None:
    """A table for each heading, a line for each row; where it does not fit, reasons go below it."""
    for heading, own in _by_heading(rows):
        screen.print(Text(heading, style="bold"), soft_wrap=True)
        table = _table(own, with_reasons=True)
        if screen.measure(table, options=screen.options.update(max_width=WIDE)).maximum <= screen.width:
            screen.print(table)
        else:
            screen.print(_table(own, with_reasons=False))
            for line in _reasons(own):
                screen.print(line, soft_wrap=True)
        screen.print()


def _table(rows: Sequence["Comparison"], with_reasons: bool) -> Table:
    """A terminal that is too narrow breaks words, not figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=not with_reasons)
    for name in ("", "quantity"):
        table.add_column(name)
    for name in ("reference", "dcsim", "error", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    if with_reasons:
        table.add_column()
    for row in rows:
        figures = _shown(row.reference, row.unit), _shown(row.found, row.unit), _error(row), _tolerance(row)
        table.add_row(row.name, row.quantity, *figures, _verdict(row), *([row.why] if with_reasons else []))
    return table


def _reasons(rows: Sequence["Comparison"]) -> Iterator[str]:
    """`Alex-8, VGG-6, energy: its time is short`."""
    for what, why in dict.fromkeys((row.quantity, row.why) for row in rows if row.why):
        names = [row.name for row in rows if (row.quantity, row.why) == (what, why)]
        yield f"{', '.join(names)}, {what}: {why}"


def summary_line(rows: Sequence["Comparison"]) -> str:
    """How many figures decide, and which are beyond their tolerance."""
    n_deciding = sum(row.decides for row in rows)
    beyond = [f"{row.name}, {row.quantity}" for row in rows if not row.ok]
    found = f"{len(beyond)} beyond it: {'; '.join(beyond)}" if beyond else "all within it"
    return f"{len(rows)} figures, {n_deciding} of them with a tolerance, {found}"


def _by_heading(rows: Sequence["Comparison"]) -> Iterator[tuple[str, list["Comparison"]]]:
    for heading in dict.fromkeys(row.table for row in rows):
        yield heading, [row for row in rows if row.table == heading]


def _plain(row: "Comparison") -> dict[str, Any]:
    plain = asdict(row)
    del plain["table"]
    return plain | {"error": row.error, "decides": row.decides, "ok": row.ok}


def _shown(value: float, unit: str) -> str:
    """A figure as people read it."""
    if unit == "":
        return percent(value)
    if unit == "x":
        return f"{value:.1f}x"
    if unit in ("cycles", "count"):
        return f"{value:,.0f}"
    if unit == "pJ":
        return quantity(value / PJ_PER_J, "J") if value >= 1 else f"{value:g} pJ"
    return quantity(value, unit)


def _error(row: "Comparison") -> str:
    return f"{round(100 * row.error, 2) + 0.0:+.2f} %"  # + 0.0, or a small error to the left would be -0.00


def _tolerance(row: "Comparison") -> str:
    """`5 %`, `exact`, `at most`, or `-` for a row that does not decide."""
    if row.tolerance is None:
        return "-"
    size = f"{100 * row.tolerance:g} %" if row.tolerance else ""
    if row.bound == "within":
        return size or "exact"
    words = row.bound.replace("_", " ")
    return f"{words}, {size}" if size else words


def _verdict(row: "Comparison") -> Text:
    if not row.decides:
        return Text()
    return Text("ok", style="green") if row.ok else Text("beyond", style="red")
