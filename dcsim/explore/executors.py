"""Who works out the points of a sweep: processes of this machine, or a Dask cluster."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from dcsim.errors import ConfigError

if TYPE_CHECKING:
    from dcsim.explore.plan import Plan


@dataclass(frozen=True, eq=False)
class Task:
    """Points that become one shard."""

    points: npt.NDArray[np.int64]
    engine: Literal["analytic", "event"]

    def halves(self) -> "tuple[Task, ...]":
        """The same work as two tasks."""
        return tuple(Task(points, self.engine) for points in np.array_split(self.points, 2))


class Executor(Protocol):
    """Works out tasks and adds them to the store, in any order."""

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """The number of points of each task, or part of one, as they are done."""
        ...


class InProcess:
    """One after the other, here."""

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """See Executor."""
        from dcsim.explore.sweep import work

        for task in tasks:
            yield work(plan, folder, task)


@dataclass
class LocalPool:
    """Processes of this machine. When one dies, all are replaced, and what they were at is done again alone.

    Where it dies again, the halves of the task are tried, until the point is found that it dies of. That one is
    recorded with its error, so that the sweep goes on.
    """

    n_workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """See Executor."""
        waiting = tasks[::-1]
        while waiting:
            interrupted: list[Task] = []
            yield from self._side_by_side(plan, folder, waiting, interrupted)
            yield from self._one_by_one(plan, folder, interrupted)

    def _side_by_side(self, plan: "Plan", folder: Path, waiting: list[Task], interrupted: list[Task]) -> Iterator[int]:
        """Work from the end of `waiting` until nothing is left, or a worker died while `interrupted` were at work."""
        with self._pool(plan, folder, min(self.n_workers, len(waiting))) as pool:
            running: dict[Future[int], Task] = {}
            try:
                while running or (waiting and not interrupted):
                    while waiting and not interrupted and len(running) < 2 * self.n_workers:
                        task = waiting.pop()
                        try:
                            running[pool.submit(_work_here, task)] = task
                        except BrokenProcessPool:
                            interrupted.append(task)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        task = running.pop(future)
                        try:
                            yield future.result()
                        except BrokenProcessPool:
                            interrupted.append(task)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # what has begun is finished, and no more
                raise

    def _one_by_one(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """Tasks whose worker died, or died beside them, each alone; halves of those of which it dies again."""
        from dcsim.explore.sweep import record_failure

        waiting, died = tasks[::-1], False
        while waiting:
            with self._pool(plan, folder, 1) as pool:
                while waiting and not died:
                    task = waiting.pop()
                    try:
                        yield pool.submit(_work_here, task).result()
                    except BrokenProcessPool:
                        died = True
            if died and len(task.points) == 1:
                yield record_failure(plan, folder, task, "the process that worked it out died, and again when alone")
            elif died:
                waiting += task.halves()[::-1]
            died = False

    @staticmethod
    @contextmanager
    def _pool(plan: "Plan", folder: Path, n_workers: int) -> Iterator[ProcessPoolExecutor]:
        """Processes that have begun. Raises ConfigError when they cannot."""
        # threads of numba and arrow do not survive a fork
        with ProcessPoolExecutor(n_workers, get_context("spawn"), _begin, (plan, folder)) as pool:
            try:
                pool.submit(os.getpid).result()
            except BrokenProcessPool as error:
                raise ConfigError(
                    "processes that would work points out end before they begin; a script of your own has to call "
                    'sweep under `if __name__ == "__main__":`'
                ) from error
            yield pool


_HERE: dict[str, tuple["Plan", Path]] = {}


def _begin(plan: "Plan", folder: Path) -> None:
    """A worker is told once what all its tasks are about. Ctrl-C is for the process that gave them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    _HERE["plan"] = (plan, folder)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever for its next task."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _work_here(task: Task) -> int:
    from dcsim.explore.sweep import work

    plan, folder = _HERE["plan"]
    return work(plan, folder, task)


@dataclass
class DaskCluster:
    """Workers of a running Dask cluster, which see the same folder and have dcsim installed.

    A task whose workers died as often as the scheduler allows is halved, until the point is found that they die of.
    """

    scheduler: str

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """See Executor. Raises ConfigError when there is no Dask, or no such scheduler."""
        try:
            from distributed import Client, as_completed
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise ConfigError("a Dask cluster needs dask: pip install 'dcsim[dask]'") from error

        from dcsim.explore.sweep import record_failure, work

        try:
            client = Client(self.scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            raise ConfigError(f"no Dask scheduler at {self.scheduler}: {error}") from error
        with client:
            running: Any = as_completed()
            task_of: dict[Any, Task] = {}

            def begin(task: Task) -> None:
                future = client.submit(work, plan, folder.resolve(), task, pure=False)
                task_of[future] = task
                running.add(future)

            for task in tasks:
                begin(task)
            for future in running if tasks else ():
                task = task_of.pop(future)
                try:
                    yield future.result()
                except KilledWorker as error:
                    if len(task.points) == 1:
                        yield record_failure(plan, folder, task, f"the worker that worked it out died: {error}")
                    else:
                        for half in task.halves():
                            begin(half)
