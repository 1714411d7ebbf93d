"""Verdicts for people: tables and sentences for the terminal, Markdown for the summary of a job."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dcsim.explore.checks import FIGURES, Blame, Check, Knob, Status, Verdict
from dcsim.report.tables import number, percent, quantity
from dcsim.units import PJ_PER_J

if TYPE_CHECKING:
    from dcsim.report.baseline import Change, Changes
    from dcsim.run import RunReport
    from dcsim.simulation.result import RunResult

COLUMNS = ("check", "expected", "found", "headroom", "", "most of it")
MOST_DIGITS = 15  # that a float has
LEAST_SHARE = 0.0005  # less would be 0.0 %
STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "over": "red", "missing": "red"}
WORDS: dict[Status, str] = {"ok": "ok", "warn": "warning", "over": "over", "missing": "no evidence"}
VERDICTS: dict[Status, str] = {
    "ok": "fits {}",
    "warn": "fits {} with a warning",
    "over": "is over {}",
    "missing": "lacks evidence for {}",
}


def in_unit(value: float, unit: str, digits: int = 3) -> str:
    """A figure of a check as people read it, with at least `digits` digits."""
    if unit == "pJ":
        return quantity(value / PJ_PER_J, "J", digits)
    if unit in ("fps", "h"):
        return f"{number(value, digits)} {unit}"
    if unit == "x":
        return f"{value:.1f}x"
    return quantity(value, {"bytes": "B"}.get(unit, unit), digits) if unit else percent(value, digits - 1)


def digits_between(item: Check, least: int = 3) -> int:
    """Digits with which a figure is told apart from the limit that it misses; `least` where it misses none."""
    if item.found is None or item.ok:
        return least
    found, limit = item.found, item.expected
    enough = (n for n in range(least, MOST_DIGITS + 1) if in_unit(found, item.unit, n) != in_unit(limit, item.unit, n))
    return next(enough, least)


def run_name(result: "RunResult") -> str:
    """What was run on what, and whether it was drawn instead of measured."""
    drawn = " (synthetic)" if result.synthetic else ""
    return f"{result.network}, {result.variant}{drawn} on {result.soc} at {result.fps:.10g} fps"


def title(report: "RunReport") -> str:
    """The verdict on the gated variant in one line."""
    (gated,) = (result for result in report.results if result.variant == report.gate)
    assert report.verdict, "a verdict takes a budget"
    return f"{run_name(gated)} {VERDICTS[report.verdict.status].format(report.budget)}"


def check_table(verdict: Verdict) -> Table:
    """One row per check of one verdict."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in COLUMNS:
        right = name in ("found", "headroom")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for item in verdict.checks:
        *cells, status, blamed = _row(item)
        table.add_row(*cells, Text(status, style=STYLES[item.status]), blamed)
    return table


def _row(item: Check) -> list[str]:
    """Cells of COLUMNS."""
    return [
        item.name,
        _expected(item),
        "-" if item.found is None else in_unit(item.found, item.unit, digits_between(item)),
        "-" if item.headroom is None else _times(item.headroom),
        item.status,
        _blamed(item.blame) if item.blame else "-",
    ]


def _times(ratio: float) -> str:
    """A difference as a share, `+99.7 %` or `-12.5 %`; from ten times on, in either direction, `+118x` and `-118x`."""
    if 0 < abs(ratio) < LEAST_SHARE:
        return f"{100 * ratio:+.1g} %"
    return f"{100 * ratio:+.1f} %" if abs(ratio) < 9 else f"{'+' if ratio > 0 else '-'}{1 + abs(ratio):,.0f}x"


def _expected(item: Check) -> str:
    bound = "at least" if FIGURES[item.name].at_least else "at most"
    warned = "" if item.warning is None else f"warned {'below' if bound == 'at least' else 'above'} "
    digits = digits_between(item)
    warning = "" if item.warning is None else warned + in_unit(item.warning, item.unit)
    if item.limit is None:
        return warning
    return f"{bound} {in_unit(item.limit, item.unit, digits)}" + (f", {warning}" if warning else "")


def _blamed(blame: Blame) -> str:
    return f"{blame.layer}, {blame.component}: {percent(blame.share, 0)}"


def sentences(verdict: Verdict) -> list[str]:
    """What is wrong, who is to blame and what would mend it: a line for every check that is not ok."""
    return [sentence(item) for item in verdict.checks if item.status != "ok"]


def sentence(item: Check) -> str:
    """One check in words: what is found, who is to blame, what would mend it."""
    told = f"{item.name}: {WORDS[item.status]}: {finding(item)}"
    if item.blame:
        told += f". Most of it: {_blamed(item.blame)}"
    return f"{told}. {_mended(item, item.knob)}" if item.knob else told


def finding(item: Check) -> str:
    """What is found and what was expected, or why there is nothing."""
    found = "" if item.found is None else f"{in_unit(item.found, item.unit, digits_between(item))}, {_expected(item)}"
    return "; ".join(part for part in (found, item.why) if part)


def _mended(item: Check, knob: Knob) -> str:
    if knob.mends is None:
        return f"Not tried: {knob.turn}"
    found = "no end of queueing" if knob.found is None else in_unit(knob.found, item.unit)
    return f"With {knob.turn} it would be {found}" + ("" if knob.mends else ", still over")


# --- changes ----------------------------------------------------------------------------------------------------------


def change_table(changes: Sequence["Change"]) -> Table | None:
    """Every figure that is not what it was; None when there is none."""
    moved = [change for change in changes if change.before != change.now]
    if not moved:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("figure", "baseline", "now", "change", ""):
        table.add_column(name, justify="left" if name == "figure" else "right", no_wrap=True)
    for change in moved:
        table.add_row(*_change_row(change))
    return table


def unchanged(changes: Sequence["Change"]) -> str:
    """The figures that are what they were, in one line; empty when there are none."""
    names = [change.name for change in changes if change.before == change.now]
    return f"unchanged: {', '.join(names)}" if names else ""


def _change_row(change: "Change") -> list[str]:
    before, now = change.before, change.now
    cells = [change.name, *("-" if value is None else in_unit(value, change.unit) for value in (before, now))]
    if before is None or now is None:
        return [*cells, "-", "-"]
    points = f"{100 * (now - before):+.2f} points"
    difference = in_unit(now - before, change.unit)
    absolute = (difference if now < before else f"+{difference}") if change.unit else points
    return [*cells, absolute, _times(now / before - 1) if before else "-"]


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(report: "RunReport", changes: "Changes | None" = None) -> str:
    """The verdict and all checks in GitHub's Markdown, for the summary of a job."""
    lines = [f"### {_plain(title(report))}", ""]
    for result, verdict in zip(report.results, report.verdicts, strict=True):
        if verdict is None:
            continue
        decides = " (decides)" if result.variant == report.gate and len(report.results) > 1 else ""
        lines += [
            f"**{_plain(result.variant)}**{decides}",
            "",
            *_grid(COLUMNS, [_row(item) for item in verdict.checks]),
        ]
        lines += [f"- {_plain(told)}" for told in sentences(verdict)]
        if changes and result.variant in changes.variants:
            lines += ["", *_changed(changes.variants[result.variant])]
        lines.append("")
    if changes:
        lines += [f"Baseline: {_plain(condition)}" for condition in changes.conditions]
    return "\n".join(lines).rstrip() + "\n"


def _changed(changes: Sequence["Change"]) -> list[str]:
    rows = [_change_row(change) for change in changes if change.before != change.now]
    table = _grid(("figure", "baseline", "now", "change", ""), rows) if rows else []
    return [*table, _plain(unchanged(changes))]


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [list(headings), ["---"] * len(headings), *([_plain(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(row) + " |" for row in cells] + [""]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one cell."""
    for mark in "\\|*`<>[]":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
