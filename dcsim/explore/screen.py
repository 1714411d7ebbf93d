"""The `screen` engine: everything analytically, then the best points and their neighbours by replay."""

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.explore.answers import neighbours, pareto
from dcsim.explore.executors import Executor, LocalPool
from dcsim.explore.sweep import Sweep, blocks, undone

FIGURES = ("energy_pj_per_frame", "sustainable_fps")
POINTS_AT_ONCE = 64


@dataclass(frozen=True)
class Disagreement:
    """How far the analytic engine was from the replay where both were asked.

    Attributes:
        n_points: so many.
        median, largest: of |analytic / replay - 1|, by figure.
    """

    n_points: int
    median: dict[str, float]
    largest: dict[str, float]


def best_points(found: Sweep) -> npt.NDArray[np.int64]:
    """Numbers of the points on the Pareto front of the analytic rows, and of those one step away on an axis."""
    plan = found.plan
    points = np.concatenate(list(blocks(plan, "analytic")))
    rows = found.rows("analytic")
    front = points[pareto(rows, plan.spec.objectives)]
    near = np.unique(np.concatenate([front, neighbours(plan.grid, front)]))
    return near[np.isin(near, points)]


def replay_the_best(found: Sweep, executor: Executor | None) -> Sweep:
    """Replay what `best_points` names, unless its rows are there."""
    started = time.monotonic()
    chosen = best_points(found)
    own = [chosen[start : start + POINTS_AT_ONCE] for start in range(0, len(chosen), POINTS_AT_ONCE)]
    own = [points for number, points in enumerate(own) if number % found.share.of == found.share.place]
    todo = undone(found.plan, found.store, own, "event")
    for _ in (executor or LocalPool()).run(found.plan, found.store.folder, todo):
        pass
    n_now = sum(len(task.points) for task in todo)
    return replace(
        found,
        n_points=found.n_points + sum(map(len, own)),
        n_done_before=found.n_done_before + sum(map(len, own)) - n_now,
        n_done_now=found.n_done_now + n_now,
        seconds=found.seconds + time.monotonic() - started,
        replayed=tuple(chosen.tolist()),
    )


def disagreement(found: Sweep) -> Disagreement:
    """Compare both engines on the points that were replayed."""
    points = np.array(found.replayed, np.int64)
    analytic, event = found.rows("analytic", points), found.rows("event", points)
    median, largest = {}, {}
    for figure in FIGURES:
        off = np.abs(analytic[figure].to_numpy() / event[figure].to_numpy() - 1)
        off = off[np.isfinite(off)]
        median[figure] = float(np.median(off)) if len(off) else 0.0
        largest[figure] = float(off.max()) if len(off) else 0.0
    return Disagreement(len(points), median, largest)
