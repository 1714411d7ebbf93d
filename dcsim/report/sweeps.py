"""What a sweep says of itself: how long it will take, what it found, its best points."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from dcsim.errors import ConfigError
from dcsim.files import written
from dcsim.report.tables import percent, quantity
from dcsim.units import PJ_PER_J

if TYPE_CHECKING:
    from dcsim.explore.executors import Executor
    from dcsim.explore.sweep import Share, Sweep
    from dcsim.explore.sweep_spec import SweepSpec
    from dcsim.prepare import Listener

MOST_SHOWN = 12
TRIED = {"analytic": 4096, "event": 4}
UNITS = {
    "energy_pj_per_frame": "J",
    "average_power_watts": "W",
    "latency_s": "s",
    "file_bytes": "B",
    "dram_bytes_per_frame": "B",
    "sram_bytes": "B",
    "sustainable_fps": "fps",
}


def expectation(spec: "SweepSpec", folder: Path, share: "Share", executor: "Executor", listener: "Listener") -> str:
    """How many points there are, and how long they take by trying some. Raises DcsimError for what cannot be."""
    from dcsim.explore.plan import make_plan
    from dcsim.explore.rows import rows_of
    from dcsim.explore.sweep import blocks, first_engine

    plan, engine = make_plan(spec, folder, listener), first_engine(spec)
    own = [points for number, points in enumerate(blocks(plan, engine)) if number % share.of == share.place]
    n_points = sum(map(len, own))
    if not n_points:
        raise ConfigError(f"sweep {spec.name} has no points: no combination keeps its constraints")
    middle = own[len(own) // 2]
    some = middle[:: max(1, len(middle) // TRIED[engine])][: TRIED[engine]]
    rows_of(plan, some[:1], engine)  # compiled code is loaded, traces are read
    started = time.monotonic()
    rows_of(plan, some, engine)
    each_s = (time.monotonic() - started) / len(some)
    n_workers = getattr(executor, "n_workers", 1)
    return (
        f"{n_points:,} points of {plan.grid.n_points:,} combinations, {engine}: about "
        f"{quantity(each_s, 's')} each, {quantity(n_points * each_s / n_workers, 's')} with {n_workers} processes"
    )


def sweep_lines(found: "Sweep") -> list[str]:
    """What was done, and how the engines agree where both were asked."""
    rate = found.n_done_now / found.seconds if found.seconds else 0.0
    lines = [
        f"{found.store.folder}: {found.n_points:,} points, {found.n_done_before:,} found there, {found.n_done_now:,} "
        f"worked out in {quantity(found.seconds, 's')}, {rate:,.0f} a second"
    ]
    table = found.table
    errors = [error for error in table.column("error").to_pylist() if error]
    lines += [f"{errors.count(error):,} points cannot be: {error}" for error in dict.fromkeys(errors)]
    if found.replayed:
        from dcsim.explore.screen import disagreement

        off = disagreement(found)
        figures = ", ".join(
            f"{name} {percent(off.median[name])} in the median and {percent(off.largest[name])} at most"
            for name in off.median
        )
        lines.append(f"{off.n_points:,} points were replayed; the analytic engine is off by: {figures}")
    return lines


def sweep_table(found: "Sweep") -> Table:
    """The Pareto front over the sweep's objectives, the best of the first objective on top."""
    from dcsim.explore.answers import pareto

    spec = found.plan.spec
    rows = found.frame()
    if found.replayed:
        rows = rows[rows["engine"] == "event"]
    front = (
        rows[pareto(rows, spec.objectives)].sort_values(list(spec.objectives)).drop_duplicates(list(spec.objectives))
    )
    axes = [path for axis in found.plan.grid.axes for path, values in axis.items() if len(set(values.tolist())) > 1]
    title = f"{spec.name}: best by {', '.join(spec.objectives)}, {len(front):,} points"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    for name in (*axes, *spec.objectives):
        table.add_column(name, justify="right", no_wrap=True)
    for row in front.head(MOST_SHOWN).to_dict("records"):
        table.add_row(*(_value(row[path]) for path in axes), *(_figure(name, row[name]) for name in spec.objectives))
    if len(front) > MOST_SHOWN:
        table.add_row(*["..."] * (len(axes) + len(spec.objectives)))
    return table


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _figure(name: str, value: float) -> str:
    if name == "test_error":
        return percent(value)
    return quantity(value / PJ_PER_J if name == "energy_pj_per_frame" else value, UNITS[name])


def write_table(found: "Sweep", path: Path) -> None:
    """All rows in the order of their keys, as .parquet or .csv. Raises OutputError."""
    import pyarrow.parquet as pq

    with written(path) as temporary:
        if path.suffix == ".csv":
            found.frame().to_csv(temporary, index=False)
        else:
            pq.write_table(found.table, temporary, compression="zstd")
