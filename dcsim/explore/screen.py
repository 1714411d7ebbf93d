"""The `screen` engine: everything analytically, then the best points and their neighbours by replay."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.explore.answers import neighbours
from dcsim.explore.front import pareto
from dcsim.explore.store import missing
from dcsim.explore.sweep import Sweep, blocks

FIGURES = ("energy_pj_per_frame", "sustainable_fps")


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
    """Numbers of the points on the Pareto front of the analytic rows, and of those one step away on an axis.

    None while rows of other shares are missing: the front is that of all.
    """
    plan = found.plan
    points = np.concatenate(list(blocks(plan, "analytic")))
    if missing(plan.keys(points, "analytic"), found.store.keys()).any():
        return points[:0]
    rows = found.rows("analytic", points, [*plan.spec.objectives, "error"])
    front = points[pareto(rows, plan.spec.objectives)]
    near = np.unique(np.concatenate([front, neighbours(plan.grid, front)]))
    return near[np.isin(near, points)]


def disagreement(found: Sweep) -> Disagreement:
    """Compare both engines on the points that were replayed and whose rows are there."""
    points = np.array(found.replayed, np.int64)
    points = points[~missing(found.plan.keys(points, "event"), found.store.keys())]
    analytic, event = found.rows("analytic", points, FIGURES), found.rows("event", points, FIGURES)
    median, largest = {}, {}
    for figure in FIGURES:
        off = np.abs(analytic[figure].to_numpy() / event[figure].to_numpy() - 1)
        off = off[np.isfinite(off)]
        median[figure] = float(np.median(off)) if len(off) else 0.0
        largest[figure] = float(off.max()) if len(off) else 0.0
    return Disagreement(len(points), median, largest)
