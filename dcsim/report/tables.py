"""Tables for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from dcsim.soc.ledger import STATIC_COMPONENTS
from dcsim.units import PJ_PER_J, ps_to_s

if TYPE_CHECKING:
    from dcsim.explore.budget import Check, Verdict
    from dcsim.run import RunReport
    from dcsim.simulation.result import RunResult
    from dcsim.soc.spec import SocSpec

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
DYNAMIC_COLUMNS = {"DRAM": "dram", "SRAM": "sram", "decode": "decoder", "compute": "array"}
NARROW_COLUMNS = 110


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """A value with the SI prefix that suits it: 0.0128 W as `12.8 mW`."""
    if value == 0:
        return f"0 {unit}"
    for scale, prefix in PREFIXES:
        if abs(value) >= scale:
            return f"{_significant(value / scale, digits)} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def _significant(value: float, digits: int) -> str:
    """`digits` significant digits, never in powers of ten: 12.8, 1.23, 640, 4000."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole)}f}"


def percent(ratio: float | None, digits: int = 2) -> str:
    """A ratio as percent, `-` when there is none."""
    return "-" if ratio is None else f"{100 * ratio:.{digits}f} %"


def run_table(report: "RunReport", width: int) -> Table:
    """One row per storage variant: bytes, energy per frame by component, watts, time, verdict.

    Args:
        width: columns of the terminal; in a narrow one the split by component is left out.
    """
    wide = width >= NARROW_COLUMNS
    title = f"{report.network} on {report.soc} at {report.fps:g} fps"
    if report.synthetic:
        title += " (synthetic: drawn from published densities)"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("variant")
    names = ["file", "ratio", "test error", "DRAM/frame"]
    names += [*DYNAMIC_COLUMNS, "static"] if wide else []
    names += ["energy/frame", "power", "of it DRAM", "latency", "max fps"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"fits {report.budget}" if report.budget else "fits", no_wrap=True)
    for result, verdict in zip(report.results, report.verdicts, strict=True):
        table.add_row(*_run_row(result, verdict, wide, gated=result.variant == report.gate))
    return table


def _run_row(result: "RunResult", verdict: "Verdict | None", wide: bool, gated: bool) -> list[str | Text]:
    by_component = result.energy_pj_by_component
    joules = {name: pj / PJ_PER_J for name, pj in by_component.items()}
    static = sum(joules[name] for name in STATIC_COMPONENTS)
    parts = [quantity(joules[component], "J") for component in DYNAMIC_COLUMNS.values()] + [quantity(static, "J")]
    return [
        Text(result.variant, style="bold" if gated else ""),
        quantity(result.file_bytes, "B"),
        f"{result.compression_ratio:.1f}x",
        percent(result.test_error),
        quantity(result.dram_bytes_per_frame, "B"),
        *(parts if wide else []),
        quantity(result.energy_pj_per_frame / PJ_PER_J, "J"),
        quantity(result.average_power_watts, "W"),
        quantity(result.component_watts("dram"), "W"),
        quantity(result.latency_s, "s") if result.latency_s is not None else "grows",
        f"{result.sustainable_fps:,.1f}" if result.sustainable_fps < 100 else f"{result.sustainable_fps:,.0f}",
        _fits(result, verdict),
    ]


def _fits(result: "RunResult", verdict: "Verdict | None") -> Text:
    if verdict is None:
        return Text("-") if result.sustainable else Text("too slow", style="yellow")
    tightest = verdict.tightest
    style = "green" if verdict.fits else "red"
    return Text(f"{'yes' if verdict.fits else 'no'}, {_used(tightest)}", style=style)


def _used(check: "Check") -> str:
    """How much of a limit is used: `63 % of power`."""
    word = CHECK_WORDS[check.name]
    if check.headroom is None:
        return f"no {word}"
    return f"{_significant(100 * check.used, 2)} % of {word}"


CHECK_WORDS = {
    "average_power_watts": "power",
    "energy_pj_per_frame": "energy",
    "latency_s": "latency",
    "file_bytes": "file",
    "test_error": "error",
    "sustainable_fps": "fps",
}


def check_table(verdict: "Verdict") -> Table:
    """One row per check of one verdict."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name, justify in (
        ("check", "left"),
        ("limit", "right"),
        ("found", "right"),
        ("headroom", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for item in verdict.checks:
        table.add_row(
            item.name,
            quantity(item.limit, item.unit),
            "-" if item.found is None else quantity(item.found, item.unit),
            "-" if item.headroom is None else f"{100 * item.headroom:+.1f} %",
            Text("ok", style="green") if item.ok else Text("over", style="red"),
        )
    return table


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


def inspect_table(content: Mapping[str, Any]) -> Table:
    """A `.dcz` file, tensor by tensor, from the document of `inspection`."""
    title = (
        f"{content['network']}, {content['variant']}: {content['file_bytes']:,} bytes, "
        f"{content['compression_ratio']:.1f}x, header {content['header_bytes']} bytes"
    )
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2))
    headings = (
        "tensor",
        "shape",
        "encoding",
        "density",
        "fillers",
        "codes",
        "gap bits",
        "bits/weight",
        "bytes",
        "share",
    )
    for name in headings:
        table.add_column(name, justify="left" if name in headings[:3] else "right", no_wrap=True)
    for row in content["tensors"]:
        table.add_row(
            row["name"],
            "x".join(map(str, row["shape"])),
            row["encoding"],
            percent(row["density"], 1),
            f"{row['n_filler_zeros']:,}",
            str(row["n_codes"] or "-"),
            str(row["gap_bits"] or "-"),
            f"{row['bits_per_weight']:.3f}",
            f"{row['stored_bytes']:,}",
            percent(row["share_of_file"], 1),
        )
    return table


def soc_table(soc: "SocSpec") -> Table:
    """Every number of a chip with its source."""
    table = Table(
        title=f"{soc.name}: {soc.description}", title_justify="left", box=None, pad_edge=False, padding=(0, 2)
    )
    table.add_column("key", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("source")
    for path, value in soc.leaves().items():
        if path not in ("name", "description"):
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            table.add_row(path, shown, soc.source_of(path) or "")
    return table
