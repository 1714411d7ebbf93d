"""Does a Dask cluster do every point once, also when one of its workers is killed, and is its absence explained?"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dcsim.errors import ConfigError
from dcsim.explore.executors import DaskCluster, InProcess
from dcsim.explore.store import Store
from dcsim.explore.sweep import sweep
from tests.conftest import ROOT, Dcsim

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="kills a process"),
    pytest.mark.xdist_group("dask"),
]

#: twelve shards of a second or less each
SWEEP = """
name: cluster
network: lenet-300-100
soc: mobile45
fps: 20
variants: [huffman]
engine: event
axes:
  - {path: dram.timing.tck_ps, range: {start: 1000, stop: 3000, n: 128}}
  - {path: array.lanes_out, values: [2, 4, 8, 16, 32, 64]}
"""
N_POINTS = 768
PATIENCE_S = 120


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Cluster:
    """A scheduler and two workers, processes of this machine that have nothing of the client but the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.scheduler = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}  # a task whose worker died is tried once more
        self.processes = [self.start("dask_scheduler", "--host", self.scheduler, "--no-show", **once)]
        self.processes += [
            self.start("dask_worker", self.scheduler, "--nthreads", "1", "--no-nanny", "--name", name)
            for name in ("first", "second")
        ]

    def start(self, what: str, *options: str, **environment: str) -> "subprocess.Popen[str]":
        """One of its processes, somewhere else than the client."""
        place = self.folder / f"{what}-{len(list(self.folder.iterdir()))}"
        place.mkdir()
        with (place / "log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{what}", "--no-dashboard", *options],
                cwd=place,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def ready(self) -> None:
        """Until both workers have said so."""
        logs = [self.folder / f"dask_worker-{place}" / "log" for place in (1, 2)]
        until(lambda: all("Registered to" in log.read_text() for log in logs))

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster.yaml").write_text(SWEEP)
    (tmp_path / "cluster").mkdir()
    running = Cluster(tmp_path / "cluster")
    try:
        running.ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_cluster_does_all_points_although_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path, in_folder: None
) -> None:
    command = ("sweep", "cluster.yaml", "-o", "out", "--executor", "dask", "--scheduler", cluster.scheduler)
    running = subprocess.Popen(
        [sys.executable, "-m", "dcsim", *command, "--table", "all.parquet"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    store = Store(tmp_path / "out")
    until(lambda: len(store.keys()) >= 128 or running.poll() is not None)
    n_before = len(store.keys())
    cluster.processes[1].send_signal(signal.SIGKILL)
    stdout, stderr = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, stderr
    assert 0 < n_before < N_POINTS
    assert stdout.startswith(f"out: {N_POINTS} points, 0 found there, {N_POINTS} worked out in "), stdout
    assert "cannot be" not in stdout
    keys = store.keys().tolist()
    assert len(keys) == len(set(keys)) == N_POINTS
    sweep("cluster.yaml", "alone", executor=InProcess())
    assert pq.read_table(tmp_path / "all.parquet").equals(Store(tmp_path / "alone").table())


def test_what_a_cluster_has_done_is_found_by_a_pool_and_the_other_way(
    cluster: Cluster, dcsim: Dcsim, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SWEEP.replace("n: 128", "n: 20"))
    dask = ("--executor", "dask", "--scheduler", cluster.scheduler)
    first = dcsim("sweep", "small.yaml", "-o", "out", "--shard", "1/2", *dask)
    assert first.stdout.startswith("out: 60 points, 0 found there, 60 worked out in "), first.stderr
    second = dcsim("sweep", "small.yaml", "-o", "out", "--workers", 1)
    assert second.stdout.startswith("out: 120 points, 60 found there, 60 worked out in "), second.stderr
    third = dcsim("sweep", "small.yaml", "-o", "out", *dask)
    assert third.stdout.startswith("out: 120 points, 120 found there, 0 worked out in "), third.stderr


#: what a worker imports before it works: it then dies at a point
DEADLY = """
import os
import time
import dcsim.explore.sweep as sweeps

rows_of = sweeps.rows_of


def deadly(plan, points, engine):
    if 5 in points:
        time.sleep(1)  # a nanny gives up when its worker dies before it has said that it runs
        os._exit(1)
    return rows_of(plan, points, engine)


sweeps.rows_of = deadly
"""


@pytest.mark.slow
def test_a_point_that_kills_its_workers_is_recorded(cluster: Cluster, tmp_path: Path, dcsim: Dcsim) -> None:
    """Workers that a nanny starts again, and that die at one point of six whenever they get it."""
    (tmp_path / "small.yaml").write_text(SWEEP.replace("n: 128", "n: 1"))
    (tmp_path / "deadly.py").write_text(DEADLY)
    for process in cluster.processes[1:]:
        process.kill()
        process.wait()
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    options = ("--nthreads", "1", "--preload", "deadly")
    cluster.processes += [cluster.start("dask_worker", cluster.scheduler, *options, PYTHONPATH=path) for _ in range(2)]
    command = ("sweep", "small.yaml", "-o", "out", "--executor", "dask", "--scheduler", cluster.scheduler)
    done = dcsim(*command)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "cannot be" in line]
    assert line.startswith("1 point cannot be: the worker that worked it out died")
    rows = Store(tmp_path / "out").frame()
    assert len(rows) == rows["key"].nunique() == 6
    assert (rows["error"] == "").sum() == 5


def test_a_scheduler_that_is_not_there_is_said(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(SWEEP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    for address in (nobody, "nonsense://x"):
        done = dcsim("sweep", "cluster.yaml", "-o", "out", "--executor", "dask", "--scheduler", address)
        assert done.returncode == 2, done.stderr
        assert f"no Dask scheduler at {address}: " in done.stderr
        assert "Traceback" not in done.stderr


def test_without_dask_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    (tmp_path / "cluster.yaml").write_text(SWEEP)
    with pytest.raises(ConfigError, match=r"pip install 'dcsim\[dask\]'"):
        sweep(str(tmp_path / "cluster.yaml"), tmp_path / "out", executor=DaskCluster("tcp://127.0.0.1:9"))
