"""Run a sweep: blocks of points, worked out side by side, each a shard of the store."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dcsim import __version__
from dcsim.errors import ConfigError
from dcsim.explore.executors import Executor, LocalPool, Task
from dcsim.explore.grid import Ints
from dcsim.explore.plan import Plan, make_plan
from dcsim.explore.rows import failed_rows, rows_of
from dcsim.explore.store import Store, missing, places
from dcsim.explore.sweep_spec import SweepSpec, load_sweep
from dcsim.files import write_bytes
from dcsim.prepare import SILENT, Listener

if TYPE_CHECKING:
    import pandas as pd

#: points of a shard: seconds of work, so that starting it is a small part and losing it a small loss
POINTS_A_SHARD: dict[str, int] = {"analytic": 1 << 15, "event": 64}
MANIFEST = "sweep.json"

OneEngine = Literal["analytic", "event"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Share:
    """Which part of a sweep this run does: blocks number `place`, `place` + `of` and so on, counted from 0."""

    place: int = 0
    of: int = 1

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

    @cached_property
    def table(self) -> Any:
        """The rows of this sweep in the store, as an Arrow table in the order of their keys."""
        wanted = [self.plan.keys(points, self._first) for points in blocks(self.plan, self._first)]
        if self.replayed:
            wanted.append(self.plan.keys(np.array(self.replayed, np.int64), "event"))
        table = self.store.table()
        return table.filter(~missing(self.store.keys_of(table), np.concatenate(wanted)))

    @property
    def _first(self) -> OneEngine:
        return first_engine(self.plan.spec)

    def rows(self, engine: OneEngine, points: Ints | None = None) -> "pd.DataFrame":
        """The rows of points that one engine worked out, in the order of the points; all by default."""
        if points is None:
            points = np.concatenate(list(blocks(self.plan, engine)))
        table = self.store.table()
        place = places(self.plan.keys(points, engine), self.store.keys_of(table))
        frame: pd.DataFrame = table.take(place).to_pandas().drop(columns="key")
        return frame

    def frame(self) -> "pd.DataFrame":
        """The rows as a DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        frame["key"] = frame["key"].map(bytes.hex)
        return frame


def sweep(
    spec: SweepSpec | str,
    folder: Path | str,
    *,
    share: Share = Share(),
    executor: Executor | None = None,
    listener: Listener = SILENT,
    progress: Progress = lambda done, total: None,
) -> Sweep:
    """Work out all points of a sweep that are not in the store yet.

    Args:
        spec: a sweep, or the name or path of its YAML.
        folder: where traces and shards are kept.
        share: the part to do.
        executor: who does it; a pool of one process a core by default.

    Raises:
        DcsimError: bad input of any kind, before the first point.
    """
    spec = load_sweep(spec) if isinstance(spec, str) else spec
    store = Store(Path(folder))
    plan = make_plan(spec, store.folder, listener)
    _write_manifest(plan, store.folder)
    started = time.monotonic()
    first = first_engine(spec)
    own = [points for number, points in enumerate(blocks(plan, first)) if number % share.of == share.place]
    n_points = sum(map(len, own))
    todo = undone(plan, store, own, first)
    n_now = sum(len(task.points) for task in todo)
    n_done = n_points - n_now
    _run(plan, store, todo, executor, lambda now: progress(n_done + now, n_points))
    found = Sweep(plan, store, share, n_points, n_done, n_now, time.monotonic() - started)
    if spec.engine == "screen":
        from dcsim.explore.screen import replay_the_best

        return replay_the_best(found, executor)
    return replace(found, seconds=time.monotonic() - started)


def undone(plan: Plan, store: Store, own: list[Ints], engine: OneEngine) -> list[Task]:
    """What is left of blocks of points when those in the store are taken away."""
    if not own:
        return []
    wanted = missing(np.concatenate([plan.keys(points, engine) for points in own]), store.keys())
    bounds = np.cumsum([len(points) for points in own])[:-1]
    left = (points[kept] for points, kept in zip(own, np.split(wanted, bounds), strict=True))
    return [Task(tuple(points.tolist()), engine) for points in left if len(points)]


def first_engine(spec: SweepSpec) -> OneEngine:
    """The engine that works out all points; `screen` begins with the analytic one."""
    return "event" if spec.engine == "event" else "analytic"


def blocks(plan: Plan, engine: str) -> Iterator[Ints]:
    """Points that keep the constraints, in blocks of consecutive ones."""
    step = POINTS_A_SHARD[engine]
    for start in range(0, plan.grid.n_points, step):
        points = np.arange(start, min(start + step, plan.grid.n_points))
        kept = points[plan.keeps(points)]
        if len(kept):
            yield kept


def work(plan: Plan, folder: Path, task: Task) -> int:
    """Work out the points of a task and add them to the store; how many they are."""
    points = np.array(task.points, np.int64)
    rows = rows_of(plan, points, task.engine)
    Store(folder).write(plan.keys(points, task.engine), rows)
    return len(points)


def record_failure(plan: Plan, folder: Path, task: Task, why: str) -> None:
    """Add rows that say why their points could not be worked out."""
    points = np.array(task.points, np.int64)
    rows = failed_rows(plan, points, task.engine, why)
    Store(folder).write(plan.keys(points, task.engine), rows)


def _run(
    plan: Plan, store: Store, todo: list[Task], executor: Executor | None, progress: Callable[[int], None]
) -> None:
    executor = executor or LocalPool()
    n_done = 0
    for n_points in executor.run(plan, store.folder, todo):
        n_done += n_points
        progress(n_done)


def _write_manifest(plan: Plan, folder: Path) -> None:
    """Say whose points these are; refuse a folder of a sweep along other axes, for a table has one set of columns."""
    path = folder / MANIFEST
    paths = sorted(path for axis in plan.grid.axes for path in axis)
    if path.exists():
        try:
            before = json.loads(path.read_text())["axes"]
        except (ValueError, KeyError, OSError) as error:
            raise ConfigError(f"{path} is not what a sweep wrote: {error}; choose another folder") from error
        if before != paths:
            raise ConfigError(f"{folder} holds a sweep along {', '.join(before)}; choose another folder")
    about = {
        "dcsim_version": __version__,
        "axes": paths,
        "sweep": plan.spec.model_dump(mode="json"),
        "traces": {saved.path.name: saved.digest for saved in plan.traces.values()},
    }
    write_bytes(path, (json.dumps(about, indent=1) + "\n").encode())
