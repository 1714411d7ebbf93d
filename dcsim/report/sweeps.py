"""What a sweep says of itself: how long it will take, what it found, its best points."""

import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from dcsim.errors import ConfigError
from dcsim.files import written
from dcsim.plots.sweeps import FIGURES
from dcsim.report.tables import percent, quantity

if TYPE_CHECKING:
    import pandas as pd

    from dcsim.explore.executors import Executor
    from dcsim.explore.grid import Ints
    from dcsim.explore.plan import Plan
    from dcsim.explore.sweep import OneEngine, Progress, Share, Sweep
    from dcsim.prepare import Listener

MOST_SHOWN = 12
SILENT_S = 60  # between two lines of progress where there is no terminal
TRIED = {"analytic": 1 << 14, "event": 4}


def expectation(plan: "Plan", share: "Share", executor: "Executor") -> str:
    """How many points there are, and how long they take by trying some. Raises ConfigError when there are none."""
    from dcsim.explore.executors import DaskCluster
    from dcsim.explore.sweep import blocks, first_engine

    engine = first_engine(plan.spec)
    sizes = [len(block) for block in blocks(plan, engine, share)]  # the blocks themselves may be more than memory holds
    n_points = sum(sizes)
    if not n_points and share.of == 1:
        raise ConfigError(f"sweep {plan.spec.name} has no points: no combination keeps its constraints")
    if not n_points:
        return f"no points of {plan.grid.n_points:,} combinations are in this share"
    middle = next(islice(blocks(plan, engine, share), len(sizes) // 2, None))
    each_s = _each_s(plan, middle, engine)
    n_workers = min(getattr(executor, "n_workers", 1), len(sizes))
    processes = f"{n_workers} processes" if n_workers > 1 else "1 process"
    if isinstance(executor, DaskCluster):
        processes = "one worker of the cluster"
    told = (
        f"{n_points:,} points of {plan.grid.n_points:,} combinations, {engine}: about {quantity(each_s, 's')} each, "
        f"{quantity(n_points * each_s / n_workers, 's')} with {processes}, and some seconds to start"
    )
    if plan.spec.engine != "screen":
        return told
    replay_s = _each_s(plan, middle, "event")
    return f"{told}; then the best and those beside them are replayed, about {quantity(replay_s, 's')} each"


def _each_s(plan: "Plan", points: "Ints", engine: "OneEngine") -> float:
    """Seconds that a further point takes, by trying some of these."""
    from dcsim.explore.rows import rows_of

    some = points[:: max(1, len(points) // TRIED[engine])][: TRIED[engine]]
    rows_of(plan, some[:1], engine)  # compiled code is loaded, traces are read
    started = time.monotonic()
    rows_of(plan, some, engine)
    return (time.monotonic() - started) / len(some)


def watched(listener: "Listener") -> "Progress":
    """Progress with its rate: a bar in a terminal, and otherwise a line from time to time."""
    begun: dict[int, tuple[float, int]] = {}  # of each stage, known by its total: when, and how many were done then
    told = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        started, before = begun.setdefault(total, (now, done))
        rate_per_s = (done - before) / (now - started) if now > started else 0.0
        listener.progress("sweep" if len(begun) == 1 else "replay", done, total, f"{rate_per_s:,.0f} points a second")
        if not sys.stderr.isatty() and now - told > SILENT_S and rate_per_s > 0:
            told = now
            left = quantity((total - done) / rate_per_s, "s")
            listener.say(f"{done:,} of {total:,} points, {rate_per_s:,.0f} a second, {left} left")

    return progress


def sweep_rows(found: "Sweep") -> "pd.DataFrame":
    """Of the rows what is shown: axes, objectives, engine and error."""
    import pandas as pd

    names = [*found.plan.grid.types, *found.plan.spec.objectives, "engine", "error"]
    return found.table(names).to_pandas() if found.n_points else pd.DataFrame(columns=names)


def sweep_lines(found: "Sweep", rows: "pd.DataFrame") -> list[str]:
    """What was done, and how the engines agree where both were asked."""
    rate_per_s = found.n_done_now / found.seconds if found.seconds else 0.0
    lines = [
        f"{found.store.folder}: {found.n_points:,} points, {found.n_done_before:,} found there, {found.n_done_now:,} "
        f"worked out in {quantity(found.seconds, 's')}, {rate_per_s:,.0f} a second"
    ]
    faults = [(n, error) for error, n in rows["error"].value_counts().items() if error]
    lines += [f"{n:,} point{'s' if n > 1 else ''} cannot be: {error}" for n, error in faults]
    lines += _left_out(rows[(rows["error"] == "") & ((rows["engine"] == "event") | (not found.replayed))], found)
    if found.replayed:
        from dcsim.explore.screen import disagreement

        off = disagreement(found)
        figures = ", ".join(
            f"{name} {percent(off.median[name])} in the median and {percent(off.largest[name])} at most"
            for name in off.median
        )
        lines.append(f"{off.n_points:,} points were replayed; the analytic engine is off by: {figures}")
    elif found.plan.spec.engine == "screen":
        lines.append("nothing is replayed before the rows of all shares are there, or when none is free of errors")
    return lines


def _left_out(sound: "pd.DataFrame", found: "Sweep") -> list[str]:
    """Which points cannot be among the best for want of a figure, while what moves the other figures counts them."""
    n_without = {name: int(sound[name].isna().sum()) for name in found.plan.spec.objectives}
    because = {"latency_s": " (they do not keep up with their frame rate)", "test_error": " (it was not measured)"}
    return [
        f"{n:,} point{'s have' if n > 1 else ' has'} no {name}{because.get(name, '')}: not among the best, but counted "
        "in what moves the other figures"
        for name, n in n_without.items()
        if n
    ]


def require_sound(found: "Sweep", rows: "pd.DataFrame") -> None:
    """Refuse a whole sweep of which no point can be. Raises ConfigError."""
    if found.share.of == 1 and found.n_points and rows["error"].all():
        name, folder = found.plan.spec.name, found.store.folder
        raise ConfigError(f"sweep {name}: none of its points can be, see above why; the rows are in {folder}")


def sweep_table(found: "Sweep", rows: "pd.DataFrame") -> Table:
    """The Pareto front over the sweep's objectives, the best of the first objective on top."""
    from dcsim.explore.front import pareto

    spec = found.plan.spec
    axes = list(found.axes)
    if found.replayed:
        rows = rows[rows["engine"] == "event"]
    objectives = list(spec.objectives)
    front = rows[pareto(rows, objectives)].sort_values([*objectives, *axes]).drop_duplicates(objectives)
    title = f"{spec.name}: best by {', '.join(spec.objectives)}, {len(front):,} points"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    for name in (*axes, *spec.objectives):
        table.add_column(name, justify="right", no_wrap=True)
    for row in front.head(MOST_SHOWN).to_dict("records"):
        table.add_row(*(_value(row[path]) for path in axes), *(_figure(name, row[name]) for name in spec.objectives))
    if len(front) > MOST_SHOWN:
        table.add_row(*["..."] * (len(axes) + len(spec.objectives)))
    return table


def sensitivity_table(found: "Sweep", rows: "pd.DataFrame") -> Table:
    """Which axis moves each objective most: largest over least figure along it, all other axes fixed."""
    from dcsim.explore.answers import sensitivity

    axes, objectives = [*found.plan.grid.types], found.plan.spec.objectives
    moved = [{each.axis: each for each in sensitivity(rows, axes, objective)} for objective in objectives]
    title = "what moves them: largest over least along one axis, the others fixed; median, most"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    table.add_column("axis", no_wrap=True)
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("to", justify="right", no_wrap=True)
    for objective in objectives:
        table.add_column(objective, justify="right", no_wrap=True)
    for name, first in moved[0].items():
        swings = (f"{each[name].median_swing:.3g}x, {each[name].largest_swing:.3g}x" for each in moved)
        if first.n_settings:
            table.add_row(name, _value(first.least), _value(first.greatest), *swings)
    return table


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _figure(name: str, value: float) -> str:
    if name == "test_error":
        return percent(value)
    _, unit, scale = FIGURES[name]
    return quantity(value / scale, unit)


def write_table(found: "Sweep", path: Path) -> None:
    """All rows in the order of their keys, as .parquet or .csv. Raises OutputError."""
    import pyarrow.parquet as pq

    with written(path) as temporary:
        if path.suffix == ".csv":
            found.frame().to_csv(temporary, index=False)
        else:
            pq.write_table(found.table(), temporary, compression="zstd")
