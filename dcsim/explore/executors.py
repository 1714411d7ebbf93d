"""Who works out the points of a sweep: processes of this machine, or a Dask cluster."""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from dcsim.errors import ConfigError

if TYPE_CHECKING:
    from dcsim.explore.plan import Plan

N_ATTEMPTS = 2


@dataclass(frozen=True)
class Task:
    """Points that become one shard."""

    points: tuple[int, ...]
    engine: Literal["analytic", "event"]


class Executor(Protocol):
    """Works out tasks and adds them to the store, in any order."""

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """The number of points of each task, as they are done."""
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
    """Processes of this machine. A worker that dies is replaced and its task tried once more, then point by point.

    A point whose worker dies each time is recorded with that error, so that the sweep goes on.
    """

    n_workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """See Executor."""
        if not tasks:
            return
        waiting = [(task, 1) for task in reversed(tasks)]
        while waiting:
            died: list[tuple[Task, int]] = []
            with self._pool(plan, folder, min(self.n_workers, len(waiting))) as pool:
                running: dict[Future[int], tuple[Task, int]] = {}
                broken = False
                while (waiting and not broken) or running:
                    while waiting and not broken and len(running) < 2 * self.n_workers:
                        task, attempt = waiting.pop()
                        try:
                            running[pool.submit(_work_here, task)] = (task, attempt)
                        except BrokenProcessPool:
                            waiting.append((task, attempt))
                            broken = True
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        task, attempt = running.pop(future)
                        try:
                            yield future.result()
                        except BrokenProcessPool:
                            broken = True
                            died.append((task, attempt))
            for task, attempt in died:
                yield from self._again(plan, folder, task, attempt)

    def _again(self, plan: "Plan", folder: Path, task: Task, attempt: int) -> Iterator[int]:
        """A task whose worker died, or died beside it: alone, then point by point."""
        from dcsim.explore.sweep import record_failure

        if attempt < N_ATTEMPTS:
            with self._pool(plan, folder, 1) as pool:
                try:
                    yield pool.submit(_work_here, task).result()
                except BrokenProcessPool:
                    pass
                else:
                    return
        if len(task.points) == 1:
            record_failure(plan, folder, task, f"the process that worked it out died, {N_ATTEMPTS} times")
            yield 1
            return
        for point in task.points:
            yield from self._again(plan, folder, Task((point,), task.engine), 1)

    @staticmethod
    def _pool(plan: "Plan", folder: Path, n_workers: int) -> ProcessPoolExecutor:
        # threads of numba and arrow do not survive a fork
        return ProcessPoolExecutor(n_workers, get_context("spawn"), _begin, (plan, folder))


_HERE: dict[str, tuple["Plan", Path]] = {}


def _begin(plan: "Plan", folder: Path) -> None:
    """A worker is told once what all its tasks are about."""
    _HERE["plan"] = (plan, folder)


def _work_here(task: Task) -> int:
    from dcsim.explore.sweep import work

    plan, folder = _HERE["plan"]
    return work(plan, folder, task)


@dataclass
class DaskCluster:
    """Workers of a running Dask cluster, which see the same folder and have dcsim installed."""

    scheduler: str

    def run(self, plan: "Plan", folder: Path, tasks: list[Task]) -> Iterator[int]:
        """See Executor. Raises ConfigError when there is no Dask, or no such scheduler."""
        try:
            from distributed import Client, as_completed
        except ImportError as error:
            raise ConfigError("a Dask cluster needs dask: pip install 'dcsim[dask]'") from error
        from distributed.scheduler import KilledWorker

        from dcsim.explore.sweep import record_failure, work

        try:
            client = Client(self.scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            raise ConfigError(f"no Dask scheduler at {self.scheduler}: {error}") from error
        with client:
            shared = client.scatter(plan, broadcast=True)
            futures = {client.submit(work, shared, folder.resolve(), task, pure=False): task for task in tasks}
            for future in as_completed(futures):
                try:
                    yield future.result()
                except KilledWorker as error:
                    record_failure(plan, folder, futures[future], f"the worker that worked it out died: {error}")
                    yield len(futures[future].points)
