"""Tables for the terminal."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcsim.explore.checks import FIGURES
from dcsim.soc.ledger import STATIC_COMPONENTS
from dcsim.units import PJ_PER_J, ps_to_s

if TYPE_CHECKING:
    from dcsim.explore.checks import Check, Verdict
    from dcsim.run import RunReport
    from dcsim.simulation.result import RunResult

PREFIXES = (
    *((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
    *((1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f")),
)


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """A value with the SI prefix that suits it: 0.0128 W as `12.8 mW`."""
    if value == 0:
        return f"0 {unit}"
    value = float(f"{value:.{digits - 1}e}")  # rounded first, so that 999.96 W is 1.00 kW
    for scale, prefix in PREFIXES:
        if abs(value) >= scale:
            return f"{_significant(value / scale, digits)} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def _significant(value: float, digits: int) -> str:
    """`digits` significant digits, never in powers of ten: 12.8, 1.23, 640, 4000."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole)}f}"


def number(value: float, digits: int = 3) -> str:
    """A number, such as a rate, with all whole digits and at least `digits` that matter: 2,314, 51.2, 0.0420."""
    if not value or math.isinf(value):  # a frame that takes no time
        return f"{value:g}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded one, so that 9.996 is 10.0
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def percent(ratio: float | None, digits: int = 2) -> str:
    """A ratio as percent, `-` when there is none."""
    return "-" if ratio is None else f"{100 * ratio:.{digits}f} %"


def run_table(report: "RunReport", console: Console) -> Table:
    """One row per storage variant: bytes, energy per frame by component, watts, time, verdict.

    On a narrow terminal the split by component goes first, then what can be derived.
    """
    unbounded = console.options.update(max_width=1000)
    for detail in (2, 1, 0):
        table = _run_table(report, detail)
        if console.measure(table, options=unbounded).maximum <= console.width:
            break
    return table


def _run_table(report: "RunReport", detail: int) -> Table:
    title = f"{report.network} on {report.soc} at {report.fps:.10g} fps, bytes and energy per frame"
    if report.synthetic:
        title += " (synthetic: drawn from published densities)"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))
    columns = [column for column in _COLUMNS if column.detail <= detail]
    table.add_column("variant", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    table.add_column(f"fits {report.budget}" if report.budget else "fits", no_wrap=True)
    for result, verdict in zip(report.results, report.verdicts, strict=True):
        name = Text(result.variant, style="bold" if result.variant == report.gate else "")
        table.add_row(name, *(column.cell(result) for column in columns), _fits(result, verdict))
    return table


@dataclass(frozen=True)
class _Column:
    """A column of the run table; the higher its detail, the earlier a narrow terminal goes without."""

    heading: str
    detail: int
    cell: Callable[["RunResult"], str]


def _component(component: str) -> Callable[["RunResult"], str]:
    return lambda result: quantity(result.energy_pj_by_component[component] / PJ_PER_J, "J")


def _static(result: "RunResult") -> str:
    return quantity(sum(result.energy_pj_by_component[name] for name in STATIC_COMPONENTS) / PJ_PER_J, "J")


def _max_fps(result: "RunResult") -> str:
    return number(result.sustainable_fps)


_COLUMNS = (
    _Column("file", 1, lambda result: quantity(result.file_bytes, "B")),
    _Column("ratio", 0, lambda result: f"{result.compression_ratio:.1f}x"),
    _Column("error", 0, lambda result: percent(result.test_error)),
    _Column("from DRAM", 1, lambda result: quantity(result.dram_bytes_per_frame, "B")),
    _Column("DRAM", 2, _component("dram")),
    _Column("I/O", 2, _component("dram_io")),
    _Column("SRAM", 2, _component("sram")),
    _Column("decode", 2, _component("decoder")),
    _Column("compute", 2, _component("array")),
    _Column("static", 2, _static),
    _Column("energy", 0, lambda result: quantity(result.energy_pj_per_frame / PJ_PER_J, "J")),
    _Column("power", 0, lambda result: quantity(result.average_power_watts, "W")),
    _Column("DRAM access power", 0, lambda result: quantity(result.component_watts("dram"), "W")),
    _Column("latency", 1, lambda result: "grows" if result.latency_s is None else quantity(result.latency_s, "s")),
    _Column("max fps", 1, _max_fps),
)


def _fits(result: "RunResult", verdict: "Verdict | None") -> Text:
    if verdict is None:
        return Text("-") if result.sustainable else Text("too slow", style="yellow")
    tightest = verdict.tightest
    if not result.sustainable:
        return Text("no, too slow", style="red")
    style = "green" if verdict.fits else "red"
    return Text(f"{'yes' if verdict.fits else 'no'}, {_used(tightest)}", style=style)


def _used(check: "Check") -> str:
    """How much of a limit is used: `63 % of power`, from ten times on `16x power`."""
    word = FIGURES[check.name].word
    if check.status == "missing":
        return f"no evidence of {word}"
    if math.isinf(check.used):
        return word
    return f"{_significant(100 * check.used, 2)} % of {word}" if check.used < 10 else f"{check.used:,.0f}x {word}"


def resource_table(result: "RunResult") -> Table:
    """Where the time of each resource went in one steady-state period."""
    table = Table(box=None, pad_edge=False, padding=(0, 2), title="time per frame", title_justify="left")
    for name in ("resource", "busy", "stalled", "idle", "stalls by cause"):
        table.add_column(name, justify="left" if name in ("resource", "stalls by cause") else "right", no_wrap=True)
    for use in result.resources:
        causes = [f"{cause} {quantity(ps_to_s(ps), 's')}" for cause, ps in use.stall_ps.items() if ps]
        cells = [quantity(ps_to_s(ps), "s") for ps in (use.busy_ps, sum(use.stall_ps.values()), use.idle_ps)]
        table.add_row(use.resource, *cells, ", ".join(causes))
    return table


def queue_line(result: "RunResult") -> str:
    """How long frames took when they came as they did, or at which rate they would be kept up with."""
    if result.queue is None:
        return (
            f"frames queue up: {number(result.queue_growth_fps)} more each second; "
            f"{result.soc} keeps up with {_max_fps(result)} fps"
        )
    queue = result.queue
    p50, p95, p99 = (
        quantity(ps_to_s(ps), "s") for ps in (queue.latency_p50_ps, queue.latency_p95_ps, queue.latency_p99_ps)
    )
    return (
        f"latency of {queue.arrivals.n_frames:,} {queue.arrivals.kind} frames: median {p50}, 95 % within {p95}, 99 % "
        f"within {p99}; {queue.n_misses:,} missed {quantity(ps_to_s(queue.deadline_ps), 's')}, at most "
        f"{queue.n_waiting_most:,} waited; cold frame {quantity(result.cold_latency_s, 's')}; "
        f"{quantity(result.clock_hz, 'Hz')} at {result.volts:g} V"
    )


def placement_table(result: "RunResult") -> Table:
    """Where weights and outputs of each layer lie, and why."""
    table = Table(box=None, pad_edge=False, padding=(0, 2), title="placement", title_justify="left")
    for name in ("layer", "weights", "why", "output", "why", "tiles", "from DRAM", "to DRAM"):
        right = name in ("tiles", "from DRAM", "to DRAM")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for use in result.layers:
        weights = "" if not use.why_weights else "SRAM" if use.weights_resident else "DRAM"
        moved = [quantity(n_bytes, "B") for n_bytes in (use.dram_read_bytes, use.dram_write_bytes)]
        output = "DRAM" if use.output_spilled else "SRAM"
        table.add_row(use.layer, weights, use.why_weights, output, use.why_output, f"{use.n_tiles:,}", *moved)
    return table
