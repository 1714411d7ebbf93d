"""Run a sweep: blocks of points, worked out side by side, each a shard of the store."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from dcsim import __version__
from dcsim.errors import ConfigError
from dcsim.explore.executors import Executor, LocalPool, Task
from dcsim.explore.grid import Ints
from dcsim.explore.keys import KEY
from dcsim.explore.plan import Plan, make_plan
from dcsim.explore.rows import failed_rows, rows_of
from dcsim.explore.store import Store, frame_of, missing, places
from dcsim.explore.sweep_spec import SweepSpec, load_sweep
from dcsim.prepare import SILENT, Listener
from dcsim.units import ceil_div

if TYPE_CHECKING:
    import pandas as pd

    from dcsim.explore.answers import Sensitivity
    from dcsim.plots.sweeps import SweepPlots

#: most points of a shard: seconds of work, so that starting it is a small part and losing it a small loss
POINTS_A_SHARD: dict[str, int] = {"analytic": 1 << 15, "event": 64}

OneEngine = Literal["analytic", "event"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Share:
    """Which part of a sweep this run does: blocks number `place`, `place` + `of` and so on, counted from 0."""

    place: int = 0
    of: int = 1

    def parts(self, n_points: int, most: int) -> Iterator[slice]:
        """Its blocks of consecutive points, at most `most` in each: as many as every other share has."""
        n_blocks = self.of * ceil_div(n_points, self.of * most)
        for block in range(self.place, n_blocks, self.of):
            yield slice(block * n_points // n_blocks, (block + 1) * n_points // n_blocks)

    @classmethod
    def of_text(cls, text: str) -> "Share":
        """`2/8` is the second of eight. Raises ConfigError."""
        place, _, of = text.partition("/")
        if not (place.isdecimal() and of.isdecimal() and 1 <= int(place) <= int(of)):
            raise ConfigError(f"a shard is i/n with i from 1 to n, such as 2/8; found {text!r}")
        return cls(int(place) - 1, int(of))


@dataclass(frozen=True)
class Sweep:
    """A sweep that was run, or a part of it.

    Attributes:
        n_points: that keep the constraints, of this share.
        n_done_before, n_done_now: found in the store, worked out now.
        seconds: of the work now.
        replayed: numbers of the points that `screen` replayed.
    """

    plan: Plan
    store: Store
    share: Share
    n_points: int
    n_done_before: int
    n_done_now: int
    seconds: float
    replayed: tuple[int, ...] = ()

    def table(self, names: Sequence[str] | None = None) -> pa.Table:
        """The rows of this share, as an Arrow table in the order of their keys: these columns, or all."""
        first = first_engine(self.plan.spec)
        wanted = [self.plan.keys(points, first) for points in blocks(self.plan, first, self.share)]
        if self.replayed:
            wanted.append(self.plan.keys(np.array(self.replayed, np.int64), "event"))
        return self.store.table(names, np.concatenate([np.zeros(0, KEY), *wanted]))

    def frame(self, names: Sequence[str] | None = None) -> "pd.DataFrame":
        """The same as a DataFrame, keys as hexadecimal text."""
        return frame_of(self.table(names))

    @property
    def plot(self) -> "SweepPlots":
        """Pictures of the sweep: `plot.pareto()`, `.sensitivity()`, `.heatmap()`."""
        from dcsim.plots.sweeps import SweepPlots

        return SweepPlots(self)

    @property
    def axes(self) -> tuple[str, ...]:
        """Paths that take more than one value, in the order of the sweep."""
        return tuple(path for axis in self.plan.grid.axes for path, values in axis.items() if len(set(values)) > 1)

    def points(self, names: Sequence[str]) -> "pd.DataFrame":
        """These columns of all points without an error; of a screen, those that were replayed."""
        frame = self.table([*names, "engine", "error"]).to_pandas()
        wanted = (frame["error"] == "") & ((frame["engine"] == "event") | (not self.replayed))
        found: pd.DataFrame = frame.loc[wanted, list(names)].reset_index(drop=True)
        return found

    def front(self, objectives: Sequence[str]) -> "pd.DataFrame":
        """The points that no other one beats in these objectives, the best in the first one on top."""
        from dcsim.explore.front import pareto

        points = self.points([*dict.fromkeys([*self.axes, *objectives])])
        found: pd.DataFrame = points[pareto(points, objectives)].sort_values([*objectives, *self.axes])
        return found

    def sensitivity(self, objective: str) -> "list[Sensitivity]":
        """Which axis moves an objective most."""
        from dcsim.explore.answers import sensitivity

        frame = self.table([*self.axes, objective, "engine", "error"]).to_pandas()
        return sensitivity(frame, self.axes, objective)

    def rows(self, engine: OneEngine, points: Ints | None = None, names: Sequence[str] | None = None) -> "pd.DataFrame":
        """The rows of points that one engine worked out, in the order of the points; all of the sweep by default."""
        if points is None:
            points = np.concatenate(list(blocks(self.plan, engine)))
        keys = self.plan.keys(points, engine)
        table = self.store.table(names, keys)
        frame: pd.DataFrame = table.take(places(keys, table)).to_pandas().drop(columns="key")
        return frame


def sweep(
    spec: SweepSpec | Plan | str,
    folder: Path | str,
    *,
    share: Share = Share(),
    executor: Executor | None = None,
    listener: Listener = SILENT,
    progress: Progress = lambda done, total: None,
) -> Sweep:
    """Work out all points of a sweep that are not in the store yet.

    Args:
        spec: a sweep, or the name or path of its YAML, or a plan made for this folder.
        folder: where traces and shards are kept.
        share: the part to do.
        executor: who does it; a pool of one process a core by default.
        progress: told how many points are done, and of how many.

    Raises:
        DcsimError: bad input of any kind, before the first point.
    """
    spec = load_sweep(spec) if isinstance(spec, str) else spec
    store = Store(Path(folder))
    plan = spec if isinstance(spec, Plan) else make_plan(spec, store.folder, listener)
    _describe(plan, store)
    store.clean()
    first = first_engine(plan.spec)
    own = list(blocks(plan, first, share))
    found = _worked_out(Sweep(plan, store, share, 0, 0, 0, 0.0), own, first, executor, progress)
    if plan.spec.engine == "screen":
        from dcsim.explore.screen import best_points

        chosen = best_points(found)
        own = [chosen[part] for part in share.parts(len(chosen), POINTS_A_SHARD["event"])]
        found = replace(found, replayed=tuple(chosen.tolist()))
        found = _worked_out(found, own, "event", executor, progress)
    return found


def _worked_out(
    found: Sweep, own: list[Ints], engine: OneEngine, executor: Executor | None, progress: Progress
) -> Sweep:
    """The sweep when these blocks of points are in the store too."""
    started = time.monotonic()
    todo = undone(found.plan, found.store, own, engine)
    n_points, n_now = sum(map(len, own)), sum(len(task.points) for task in todo)
    n_done = n_points - n_now
    if todo:
        progress(n_done, n_points)
    for n_more in (executor or LocalPool()).run(found.plan, found.store.folder, todo):
        n_done += n_more
        progress(n_done, n_points)
    return replace(
        found,
        n_points=found.n_points + n_points,
        n_done_before=found.n_done_before + n_points - n_now,
        n_done_now=found.n_done_now + n_now,
        seconds=found.seconds + time.monotonic() - started,
    )


def undone(plan: Plan, store: Store, own: list[Ints], engine: OneEngine) -> list[Task]:
    """What is left of blocks of points when those in the store are taken away."""
    if not own:
        return []
    wanted = missing(np.concatenate([plan.keys(points, engine) for points in own]), store.keys())
    bounds = np.cumsum([len(points) for points in own])[:-1]
    left = (points[kept] for points, kept in zip(own, np.split(wanted, bounds), strict=True))
    return [Task(points, engine) for points in left if len(points)]


def first_engine(spec: SweepSpec) -> OneEngine:
    """The engine that works out all points; `screen` begins with the analytic one."""
    return "event" if spec.engine == "event" else "analytic"


def blocks(plan: Plan, engine: OneEngine, share: Share = Share()) -> Iterator[Ints]:
    """Points of a share that keep the constraints, in blocks of consecutive ones."""
    for part in share.parts(plan.grid.n_points, POINTS_A_SHARD[engine]):
        points = np.arange(part.start, part.stop)
        kept = points[plan.keeps(points)]
        if len(kept):
            yield kept


def work(plan: Plan, folder: Path, task: Task) -> int:
    """Work out the points of a task and add them to the store; how many they are."""
    rows = rows_of(plan, task.points, task.engine)
    Store(folder).write(plan.keys(task.points, task.engine), rows)
    return len(task.points)


def record_failure(plan: Plan, folder: Path, task: Task, why: str) -> int:
    """Add rows that say why their points could not be worked out, unless they are there; how many they are."""
    keys, store = plan.keys(task.points, task.engine), Store(folder)
    if missing(keys, store.keys()).any():
        store.write(keys, failed_rows(plan, task.points, task.engine, why))
    return len(task.points)


def _describe(plan: Plan, store: Store) -> None:
    """Leave word of whose points these are, beside them."""
    store.describe(
        {
            "dcsim_version": __version__,
            "axes": plan.grid.types,
            "sweep": plan.spec.model_dump(mode="json"),
            "traces": {saved.path.name: saved.digest for saved in plan.traces.values()},
        }
    )
