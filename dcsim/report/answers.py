"""Answers as people and programs read them: fits with their trail, break-even points, knobs, sensitivities."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from dcsim import __version__
from dcsim.explore.checks import FIGURES
from dcsim.report.checks import digits_between, in_unit
from dcsim.report.tables import number, quantity

if TYPE_CHECKING:
    from dcsim.explore.answers import Sensitivity, Turned
    from dcsim.explore.break_even import BreakEven, BreakEvens, OnChip
    from dcsim.explore.fit import Attempt, Fit, Question

SCHEMA_VERSION = 1
DIGITS = 5  # of figures beside a limit that they may be close to
LEAST_ELASTICITY = 0.001  # knobs that move a figure less are only counted
REASON = "tightest limit, or why not"  # the one column that is broken into lines where it is too long
COMPARED = (
    "powers are those at the rate they are compared at: where one begins to need less, or else the highest rate that "
    "both keep up with; max fps is the highest of the first alone"
)
SYNTHETIC = " (synthetic: drawn from published densities)"


def _table(title: str, *names: str, words: Sequence[str] = ()) -> Table:
    """Columns of figures but for those in `words`."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    for name in names:
        table.add_column(name, justify="left" if name in words else "right", no_wrap=name != REASON)
    return table


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


# --- fit --------------------------------------------------------------------------------------------------------------


def fit_table(found: "Fit") -> Table:
    """The trail in the order of the values; values that hang on the same check are one row."""
    table = _table(_asked(found.question), found.question.knob, "tried", "verdict", REASON, words=("verdict", REASON))
    for run, nearest in _runs(found):
        first, last = run[0].value, run[-1].value
        values = _value(first) if first == last else f"{_value(first)} to {_value(last)}"
        table.add_row(values, f"{len(run)}", _word(run[0]), _reason(nearest))
    return table


def trail_table(found: "Fit") -> Table:
    """Every attempt in the order in which it was made."""
    table = _table("trail", found.question.knob, "engine", "verdict", REASON, words=("engine", "verdict", REASON))
    for attempt in found.trail:
        table.add_row(_value(attempt.value), attempt.engine, _word(attempt), _reason(attempt))
    return table


def fit_lines(found: "Fit") -> Iterator[str]:
    """The answer in words: the value, what fails one step further, and how sure it is."""
    asked = found.question
    if found.found:
        yield f"{asked.wanted} {asked.knob} within {asked.budget}: {_value(found.found.value)}, {_cost(found.found)}"
        if found.beyond:
            yield f"{_value(found.beyond.value)} does not fit: {_reason(found.beyond)}"
        else:
            yield f"{_value(found.found.value)} is the bound of the search: no value beyond it was tried"
    else:
        yield f"no {asked.knob} from {_value(asked.lowest)} to {_value(asked.highest)} fits {asked.budget}"
        if found.nearest:
            yield f"nearest miss {_value(found.nearest.value)}: {_reason(found.nearest)}"
        else:
            yield f"{asked.soc} cannot have any of the values that were tried"
    if not found.monotone:
        windows = [_value(a) if a == b else f"{_value(a)} to {_value(b)}" for a, b in found.windows]
        untried = "" if found.exhaustive else "; values between samples were not tried"
        yield f"the verdict is not monotone: samples fit at {' and at '.join(windows)}{untried}"


def fit_document(found: "Fit") -> dict[str, Any]:
    """What `dcsim fit --json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "dcsim_version": __version__,
        **asdict(found.question),
        "value": found.found.value if found.found else None,
        **{name: _attempt(getattr(found, name)) for name in ("found", "beyond", "nearest")},
        "monotone": found.monotone,
        "exhaustive": found.exhaustive,
        "windows": found.windows,
        "trail": [_attempt(attempt) for attempt in found.trail],
    }


def _attempt(attempt: "Attempt | None") -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {**asdict(attempt), "check": asdict(attempt.check) if attempt.check else None}


def _cost(attempt: "Attempt") -> str:
    """What it takes there."""
    assert attempt.average_power_watts is not None, "what fits was run"
    latency = f", {quantity(attempt.latency_s, 's')}" if attempt.latency_s is not None else ""
    return f"{quantity(attempt.average_power_watts, 'W')}{latency}"


def _asked(asked: "Question") -> str:
    what = f"{asked.network}{f', {asked.variant}' if asked.variant else ''}"
    rate = "" if asked.fps is None else f" at {asked.fps:.10g} fps"
    synthetic = SYNTHETIC if asked.synthetic else ""
    return f"{what} on {asked.soc}{rate}: {asked.wanted} {asked.knob} within {asked.budget}{synthetic}"


def _runs(found: "Fit") -> Iterator[tuple[list["Attempt"], "Attempt"]]:
    """Attempts by value, in runs that hang on the same check, each with the one of them that is nearest to the answer.

    Of several attempts at one value the last counts.
    """
    attempts = {attempt.value: attempt for attempt in found.trail}
    order = list(attempts) if isinstance(found.question.lowest, str) else sorted(attempts)
    answer = found.found or found.nearest or found.trail[0]
    middle = order.index(answer.value)
    for _, members in groupby(order, key=lambda value: _hangs_on(attempts[value])):
        values = list(members)
        nearest = min(values, key=lambda value: abs(order.index(value) - middle))
        yield [attempts[value] for value in values], attempts[nearest]


def _hangs_on(attempt: "Attempt") -> tuple[bool, bool, str]:
    return attempt.fits, attempt.possible, attempt.check.name if attempt.check else ""


def _word(attempt: "Attempt") -> Text:
    if not attempt.possible:
        return Text("cannot be", style="dim")
    return Text("fits", style="green") if attempt.fits else Text("no", style="red")


def _reason(attempt: "Attempt") -> str:
    if attempt.check is None:
        return attempt.fault
    check = attempt.check
    bound = "at least" if FIGURES[check.name].at_least else "at most"
    if check.found is None:
        return f"{check.name}: {check.why}"
    digits = digits_between(check, DIGITS)
    found, expected = (in_unit(value, check.unit, digits) for value in (check.found, check.expected))
    return f"{check.name}: {found}, {bound} {expected}"


# --- break-even -------------------------------------------------------------------------------------------------------


def break_even_tables(found: "BreakEvens") -> Iterator[Table]:
    """Which storage variant pays against the first, and how much SRAM makes DRAM traffic unnecessary."""
    where = f"{found.network} on {found.soc}{SYNTHETIC if found.synthetic else ''}"
    if found.storage:
        reference = found.storage[0].reference
        table = _table(
            f"{where}: frame rates at which a variant needs less power than {reference}",
            "variant",
            "less power",
            "compared at",
            "its power",
            f"power of {reference}",
            "max fps",
            words=("variant", "less power"),
        )
        for each in found.storage:
            table.add_row(*_pays(each))
        yield table
    now = f"{found.sram_kib:,} KiB"
    title = f"{where}: least SRAM without DRAM traffic, and when it needs less power than the {now} of the chip"
    names = ("variant", "SRAM", "DRAM traffic with 1 KiB less", "less power", "compared at", "power with it")
    table = _table(title, *names, f"power with {now}", "max fps", words=("variant", "less power"))
    moving = {each.reference: each for each in found.moving}
    for on_chip in found.on_chip:
        table.add_row(*_enough(on_chip), *(_pays(moving[on_chip.variant])[1:] if on_chip.variant in moving else ()))
    yield table


def break_even_lines(found: "BreakEvens") -> Iterator[str]:
    """How the tables are read, and what they leave out."""
    if found.storage or found.moving:
        yield COMPARED
    for variant, fault in found.faults.items():
        yield f"{variant} does not run: {fault}"
    for on_chip in found.on_chip:
        if on_chip.why and on_chip.capacity_kib is None:
            yield f"{on_chip.variant}: {on_chip.why}"
    refused = [on_chip for on_chip in found.on_chip if on_chip.why and on_chip.capacity_kib is not None]
    if refused:
        yield f"{', '.join(on_chip.variant for on_chip in refused)}: no such SRAM: {refused[0].why}"
    if not found.sized:
        yield f"the SRAM of {found.soc} is of kind constant: it costs the same at any size, so there is no break-even"


def _pays(each: "BreakEven") -> list[str]:
    """Cells: name, when it pays, a rate, both powers there, the highest rate it keeps up with."""
    words = {
        "always": "at any rate",
        "never": "never",
        "from": f"from {number(each.fps, 4)} fps" if each.fps else "",
        "up to": f"up to {number(each.fps, 4)} fps" if each.fps else "",
        "in parts": f"in parts, first at {number(each.fps, 4)} fps" if each.fps else "",
    }
    powers = [quantity(watts, "W", 4) for watts in (each.watts, each.reference_watts)]
    return [
        each.design,
        words[each.ahead],
        f"{number(each.fps or each.highest_fps, 4)} fps",
        *powers,
        number(each.design_fps, 4),
    ]


def _enough(on_chip: "OnChip") -> list[str]:
    size = "-" if on_chip.capacity_kib is None else f"{on_chip.capacity_kib:,} KiB"
    before = on_chip.dram_bytes_before
    return [on_chip.variant, size, "-" if before is None else quantity(before, "B")]


def break_even_document(found: "BreakEvens") -> dict[str, Any]:
    """What `dcsim break-even --json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "dcsim_version": __version__,
        "network": found.network,
        "synthetic": found.synthetic,
        "soc": found.soc,
        "sram_kib": found.sram_kib,
        "sram_costs_more_when_larger": found.sized,
        "storage": [asdict(each) for each in found.storage],
        "on_chip": [{key: value for key, value in vars(each).items() if key != "soc"} for each in found.on_chip],
        "moving": [asdict(each) for each in found.moving],
        "faults": found.faults,
    }


# --- knobs and sensitivity ------------------------------------------------------------------------------------------


def knob_table(turned: Sequence["Turned"], title: str) -> Table:
    """What each knob does to a figure, the most elastic first; the rest is counted."""
    names = ("knob", "value", "turned to", "figure", "turned to ", "figure ", "elasticity")
    table = _table(title, *names, words=("knob",))
    for each in turned:
        if abs(each.elasticity) >= LEAST_ELASTICITY:
            sides = [(each.lower, each.lower_ratio), (each.higher, each.higher_ratio)]
            cells = [cell for value, ratio in sides for cell in _side(value, ratio)]
            table.add_row(each.knob, _value(each.value), *cells, f"{each.elasticity:+.3f}")
    return table


def knob_line(turned: Sequence["Turned"]) -> str:
    """How many knobs are left out of the table."""
    n_still = sum(abs(each.elasticity) < LEAST_ELASTICITY for each in turned)
    return f"{n_still} others move it by less than {100 * LEAST_ELASTICITY:g} % of what they are turned"


def _side(value: float | None, ratio: float | None) -> tuple[str, str]:
    return (
        ("-", "-") if value is None or ratio is None else (_value(value), f"{round(100 * (ratio - 1), 2) + 0.0:+.2f} %")
    )


def knob_document(turned: Sequence["Turned"], about: dict[str, Any]) -> dict[str, Any]:
    """What `dcsim knobs --json` writes."""
    return {"schema": SCHEMA_VERSION, "dcsim_version": __version__, **about, "knobs": [asdict(e) for e in turned]}


def sensitivity_table(rows: Sequence["Sensitivity"], figure: str) -> Table:
    """How much each axis of a sweep moves a figure, the most first."""
    names = ("axis", "from", "to", "settings", "moves it", "at most", "to / from", "elasticity")
    table = _table(f"what moves {figure}", *names, words=("axis",))
    for row in rows:
        ratios = [f"{value:,.3g}x" for value in (row.median_swing, row.largest_swing)]
        signed = "-" if row.median_ratio is None else f"{row.median_ratio:,.3g}x"
        elasticity = "-" if row.elasticity is None else f"{row.elasticity:+.2f}"
        ends = [_value(end) if end is not None else "-" for end in (row.least, row.greatest)]
        table.add_row(row.axis, *ends, f"{row.n_settings:,}", *ratios, signed, elasticity)
    return table
