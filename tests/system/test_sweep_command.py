"""Does a sweep end with every point once, whatever is killed on the way, and is a slip told before anything is made?"""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dcsim.explore.store import Store
from tests.conftest import ROOT, Dcsim

SMALL = """
name: small
network: lenet-300-100
soc: mobile45
fps: 20
variants: [dense, huffman]
axes:
  - {path: sram.capacity_kib, values: [128, 256, 512]}
  - {path: operating_point, values: [nominal, auto, 0]}
  - {path: fps, log_range: {start: 1, stop: 10000, n: 5}}
constraints: ["fps * sram.capacity_kib < 1e6"]
"""
#: 18 shards of a second or less each
LONG = """
name: long
network: lenet-300-100
soc: mobile45
fps: 20
variants: [huffman]
engine: event
axes:
  - {path: dram.timing.tck_ps, range: {start: 1000, stop: 3000, n: 192}}
  - {path: array.lanes_out, values: [2, 4, 8, 16, 32, 64]}
"""
N_LONG = 1152


@pytest.fixture(autouse=True)
def sweeps(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "long.yaml").write_text(LONG)


def n_done(folder: Path) -> int:
    return len(Store(folder).keys())


# --- as a user runs it -------------------------------------------------------------------------------------------------


def test_a_sweep_is_run_and_run_again(dcsim: Dcsim, tmp_path: Path) -> None:
    first = dcsim("sweep", "small.yaml", "-o", "out", "--table", "all.parquet")
    assert first.returncode == 0, first.stderr
    assert "72 points of 90 combinations, analytic: about " in first.stderr
    assert first.stdout.startswith("out: 72 points, 0 found there, 72 worked out in ")
    assert "small: best by energy_pj_per_frame, latency_s" in first.stdout
    again = dcsim("sweep", "small.yaml", "-o", "out", "--table", "again.parquet")
    assert again.stdout.startswith("out: 72 points, 72 found there, 0 worked out in ")
    assert (tmp_path / "all.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    elsewhere = dcsim("sweep", tmp_path / "small.yaml", "-o", "elsewhere", "--workers", 1, "--table", "all.csv")
    assert elsewhere.returncode == 0, elsewhere.stderr
    with (tmp_path / "all.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    table = pq.read_table(tmp_path / "all.parquet")
    assert [bytes.fromhex(row["key"]) for row in rows] == table.column("key").to_pylist()
    assert [float(row["energy_pj_per_frame"]) for row in rows] == table.column("energy_pj_per_frame").to_pylist()


def test_a_dry_run_tells_how_many_points_there_are_and_does_none(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("sweep", "small.yaml", "-o", "out", "--dry-run")
    assert done.returncode == 0
    assert "72 points of 90 combinations, analytic: about " in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_where_the_files_of_a_network_are_is_told_once_for_all_its_variants(dcsim: Dcsim) -> None:
    told = dcsim("sweep", "small.yaml", "-o", "out", "--dry-run").stderr.splitlines()
    assert len([line for line in told if line.startswith("files: ")]) == 1
    told = dcsim("break-even", "lenet-300-100").stderr.splitlines()
    assert len([line for line in told if line.startswith("files: ")]) == 1


def test_a_dry_run_refuses_a_folder_of_another_sweep_and_leaves_its_own_as_it_is(dcsim: Dcsim, tmp_path: Path) -> None:
    assert dcsim("sweep", "small.yaml", "-o", "out", "--workers", 1).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert dcsim("sweep", "small.yaml", "-o", "out", "--dry-run").returncode == 0
    assert "choose another folder" in dcsim("sweep", "long.yaml", "-o", "out", "--dry-run").stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_shares_of_several_machines_are_the_whole(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "event.yaml").write_text(SMALL + "engine: event\n")
    for share in ("2/3", "3/3", "1/3"):
        done = dcsim("sweep", "event.yaml", "-o", "shares", "--shard", share, "--workers", 1, "--table", "part.parquet")
        assert done.returncode == 0, done.stderr
        assert 20 < pq.read_metadata(tmp_path / "part.parquet").num_rows < 28
    whole = dcsim("sweep", "event.yaml", "-o", "shares", "--table", "shares.parquet")
    assert whole.stdout.startswith("shares: 72 points, 72 found there, 0 worked out in ")
    dcsim("sweep", "event.yaml", "-o", "alone", "--workers", 1, "--table", "alone.parquet")
    assert (tmp_path / "shares.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()


def test_screen_says_how_far_the_engines_are_apart(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "screen.yaml").write_text(SMALL + "engine: screen\n")
    done = dcsim("sweep", "screen.yaml", "-o", "out")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "points were replayed" in line]
    assert "the analytic engine is off by: energy_pj_per_frame 0.00 % in the median" in line


def test_points_that_cannot_be_are_told_and_are_no_fault(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text(SMALL.replace("[128, 256, 512]", "[4, 256, 16]"))
    done = dcsim("sweep", "faulty.yaml", "-o", "out")
    assert done.returncode == 0, done.stderr
    faults = [line.split(" points cannot be: ") for line in done.stdout.splitlines() if "points cannot be" in line]
    assert sum(int(n) for n, _ in faults) == 60
    assert {why.split(" ")[0] for _, why in faults} == {"sram.cacti45:", "mobile45:"}


def test_a_sweep_of_which_no_point_can_be_is_bad_input_and_keeps_its_rows(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text(SMALL.replace("[128, 256, 512]", "[4]"))
    done = dcsim("sweep", "faulty.yaml", "-o", "out", "--workers", 1, "--table", "all.csv")
    assert done.returncode == 2
    assert "30 points cannot be: sram.cacti45: capacity_kib: expected 8 to 8192" in done.stdout
    assert "error: sweep small: none of its points can be, see above why; the rows are in out" in done.stderr
    assert n_done(tmp_path / "out") == 30
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 31
    share = dcsim("sweep", "faulty.yaml", "-o", "out", "--workers", 1, "--shard", "1/2")
    assert share.returncode == 0, share.stderr  # the other may have points that can be


# --- slips -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "path: sram.capacity_kib",
            "path: sram.capacity_kb",
            "sweep small: no sram.capacity_kb; did you mean sram.cap",
        ),
        (
            "fps * sram.capacity_kib <",
            "fps * sram.capacity_kb <",
            "no sram.capacity_kb; did you mean sram.capacity_kib?",
        ),
        ("< 1e6", "< open('/etc/passwd')", "only arithmetic and comparisons of paths, found open('/etc/passwd')"),
        (
            "fps * sram.capacity_kib < 1e6",
            "fps < 0.1",
            "sweep small has no points: no combination keeps its constraints",
        ),
        ("network: lenet-300-100", "network: lenet-300", "did you mean lenet-300-100?"),
        ("soc: mobile45", "soc: mobile54", "did you mean mobile45?"),
        ("variants: [dense, huffman]", "variants: [huffmann]", "small.yaml:6: variants.0: "),
        ("stop: 10000, n: 5", "stop: 0, n: 5", "small.yaml:10: axes.2: a log_range goes between positive numbers"),
        ("[nominal, auto, 0]", "[]", "small.yaml:9: axes.1.values: expected at least 1 item"),
        ("path: sram.capacity_kib, values: [128", "path: clock_hz, values: [abc", "clock_hz: expected a valid integer"),
        ("128, 256", "128.5, 256", "sram.capacity_kib takes whole numbers, found 128.5"),
    ],
)
def test_a_slip_is_told_before_anything_is_made(dcsim: Dcsim, tmp_path: Path, old: str, new: str, words: str) -> None:
    assert SMALL.count(old) == 1
    (tmp_path / "small.yaml").write_text(SMALL.replace(old, new))
    done = dcsim("sweep", "small.yaml", "-o", "out", "--table", "all.parquet")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if "no points" not in words:  # to count points that keep a constraint takes no trace, but is done with the trial
        assert not (tmp_path / "out").exists()
    assert not (tmp_path / "all.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shard", "0/3"), "a shard is i/n with i from 1 to n"),
        (("--table", "all.txt"), "the name must end in .parquet or .csv"),
        (("--table", "-"), "only --json can go to stdout"),
        (("--executor", "dask"), "--executor dask and --scheduler tcp://host:port belong together"),
        (("--scheduler", "tcp://127.0.0.1:9"), "--executor dask and --scheduler tcp://host:port belong together"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    dcsim: Dcsim, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = dcsim("sweep", "small.yaml", "-o", "out", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_sweep_is_refused(dcsim: Dcsim, tmp_path: Path) -> None:
    assert dcsim("sweep", "small.yaml", "-o", "out").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    done = dcsim("sweep", "long.yaml", "-o", "out")
    assert done.returncode == 2
    assert (
        "out holds a sweep along variant (object), sram.capacity_kib (int64), operating_point (object)" in done.stderr
    )
    assert "choose another folder" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_damaged_shard_is_named(dcsim: Dcsim, tmp_path: Path) -> None:
    assert dcsim("sweep", "small.yaml", "-o", "out").returncode == 0
    (shard,) = (tmp_path / "out" / "points").iterdir()
    shard.write_bytes(shard.read_bytes()[:-5])
    done = dcsim("sweep", "small.yaml", "-o", "out")
    assert done.returncode == 2
    assert f"{shard.relative_to(tmp_path)}: not a shard of a sweep" in done.stderr
    shard.unlink()
    assert dcsim("sweep", "small.yaml", "-o", "out").stdout.startswith("out: 72 points, 0 found there, 72 worked out")


# --- killed ------------------------------------------------------------------------------------------------------------

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


class Running:
    """A command in a process group of its own."""

    def __init__(self, folder: Path, *command: object, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=folder,
            env=ENVIRONMENT | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, words: str) -> None:
        """Until it says so on stderr."""
        assert self.process.stderr
        for line in self.process.stderr:
            if words in line:
                return
        pytest.fail(f"it ended before it said {words!r}")

    def wait_for_points(self, n_points: int) -> None:
        """Until so many are in the store."""
        while self.process.poll() is None and n_done(self.folder / "out") < n_points:
            time.sleep(0.02)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """All of its processes at once, unless a quick machine has ended before."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.communicate(timeout=60)
        return self.process.returncode

    def workers(self) -> list[int]:
        """Processes that work points out: children that multiprocessing has spawned, but for its tracker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of the long sweep when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "long.yaml").write_text(LONG)
    command = [sys.executable, "-m", "dcsim", "sweep", "long.yaml", "-o", "out", "--table", "all.parquet"]
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
    assert pq.read_metadata(folder / "all.parquet").num_rows == N_LONG
    return folder / "all.parquet"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups and signals are those of POSIX")
def test_a_sweep_that_is_killed_ten_times_ends_with_the_same_bytes(
    dcsim: Dcsim, tmp_path: Path, undisturbed: Path
) -> None:
    """Each kill comes at a random moment: before the first shard, or when one or two more are there; it costs those that
    are in flight."""
    moments = random.Random(2026)
    out = tmp_path / "out"
    seen = [0]
    for _ in range(10):
        sweep = Running(tmp_path, "-m", "dcsim", "sweep", "long.yaml", "-o", "out", "--workers", 2)
        sweep.wait_for(f"{N_LONG:,} points of {N_LONG:,} combinations")
        sweep.wait_for_points(seen[-1] + 64 * moments.randint(0, 2))
        time.sleep(moments.uniform(0, 0.5))
        sweep.kill()
        seen.append(n_done(out))
    assert seen == sorted(seen)
    assert len({n for n in seen if 0 < n < N_LONG}) > 3, seen
    last = dcsim("sweep", "long.yaml", "-o", "out", "--table", "all.parquet")
    assert last.returncode == 0, last.stderr
    assert last.stdout.startswith(
        f"out: {N_LONG:,} points, {seen[-1]:,} found there, {N_LONG - seen[-1]:,} worked out in "
    )
    assert (tmp_path / "all.parquet").read_bytes() == undisturbed.read_bytes()
    keys = Store(out).keys().tolist()
    assert len(keys) == len(set(keys)) == N_LONG


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_ctrl_c_keeps_what_has_begun_and_says_nothing_but_that(dcsim: Dcsim, tmp_path: Path) -> None:
    sweep = Running(tmp_path, "-m", "dcsim", "sweep", "long.yaml", "-o", "out", "--workers", 2)
    sweep.wait_for_points(1)
    os.killpg(sweep.process.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
    _, stderr = sweep.process.communicate(timeout=60)
    assert sweep.process.returncode == 130
    assert stderr.endswith("interrupted\n")
    assert "Traceback" not in stderr
    assert 0 < n_done(tmp_path / "out") < N_LONG
    assert list((tmp_path / "out" / "points").glob(".*")) == []
    assert dcsim("sweep", "long.yaml", "-o", "out").returncode == 0


# --- workers that die --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
def test_workers_end_with_the_process_that_gave_them_work(tmp_path: Path) -> None:
    sweep = Running(tmp_path, "-m", "dcsim", "sweep", "long.yaml", "-o", "out", "--workers", 2)
    sweep.wait_for_points(1)
    workers = sweep.workers()
    assert len(workers) == 2
    sweep.process.kill()
    sweep.process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert 0 < n_done(tmp_path / "out") < N_LONG


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
def test_workers_that_are_killed_are_replaced_and_nothing_is_lost(tmp_path: Path, undisturbed: Path) -> None:
    arguments = ("sweep", "long.yaml", "-o", "out", "--workers", 2, "--table", "all.parquet")
    sweep = Running(tmp_path, "-m", "dcsim", *arguments)
    for n_before in (1, 200):
        sweep.wait_for_points(n_before)
        os.kill(sweep.workers()[0], signal.SIGKILL)
    stdout, stderr = sweep.process.communicate(timeout=240)
    assert sweep.process.returncode == 0, stderr
    assert stdout.startswith(f"out: {N_LONG:,} points, 0 found there, {N_LONG:,} worked out in ")
    assert "cannot be" not in stdout
    assert (tmp_path / "all.parquet").read_bytes() == undisturbed.read_bytes()


#: each worker runs this module when it starts, and dies at a point
DEADLY = """
import os, sys
import dcsim.explore.sweep as sweeps
from dcsim.explore.executors import LocalPool

rows_of = sweeps.rows_of


def deadly(plan, points, engine):
    for deadly in map(int, os.environ["DEADLY"].split()):
        if deadly in points and __name__ != "__main__":
            with open("deaths", "a") as stream:
                stream.write(f"{deadly} among {len(points)}\\n")
            os._exit(1)
    return rows_of(plan, points, engine)


sweeps.rows_of = deadly
sweeps.POINTS_A_SHARD = {"event": 8, "analytic": 8}

if __name__ == "__main__":
    found = sweeps.sweep("small.yaml", "out", executor=LocalPool(2))
    print(found.n_points, found.n_done_now)
"""


@pytest.fixture
def healthy(dcsim: Dcsim, tmp_path: Path) -> Store:
    """The small sweep without deaths."""
    assert dcsim("sweep", "small.yaml", "-o", "healthy").returncode == 0
    return Store(tmp_path / "healthy")


def test_a_point_that_kills_its_worker_is_tried_again_and_then_recorded(tmp_path: Path, healthy: Store) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    done = Running(tmp_path, "deadly.py", DEADLY="3 50")
    stdout, stderr = done.process.communicate(timeout=240)
    assert done.process.returncode == 0, stderr
    assert stdout == "72 72\n"
    deaths = [line.split(" among ") for line in (tmp_path / "deaths").read_text().splitlines()]
    for point in ("3", "50"):
        among = [int(n) for died, n in deaths if died == point]
        assert len(among) > 2  # with others, with fewer, and alone
        assert among == sorted(among, reverse=True)
        assert among.count(1) == 1
    rows = Store(tmp_path / "out").frame()
    assert len(rows) == rows["key"].nunique() == 72
    died = rows[rows["error"] != ""]
    assert set(died["error"]) == {"the process that worked it out died, and again when alone"}
    assert len(died) == 2
    expected = healthy.frame()
    kept = rows["error"] == ""
    assert rows[kept].equals(expected[kept.to_numpy()])
    assert list(rows["key"]) == list(expected["key"])


def test_a_script_that_its_workers_would_run_again_is_told_how_to_begin(tmp_path: Path) -> None:
    script = "from dcsim.explore.sweep import sweep\nsweep('small.yaml', 'out')\n"
    (tmp_path / "script.py").write_text(script)
    running = Running(tmp_path, "script.py")
    _, stderr = running.process.communicate(timeout=240)
    assert running.process.returncode == 1
    assert "ConfigError: processes that would work points out end before they begin" in stderr
    assert n_done(tmp_path / "out") == 0
    (tmp_path / "script.py").write_text(script.replace("sweep(", 'if __name__ == "__main__":\n    sweep('))
    assert Running(tmp_path, "script.py").process.communicate(timeout=240) == ("", "")
    assert n_done(tmp_path / "out") == 72


@pytest.mark.slow
def test_recorded_deaths_are_not_tried_for_ever_and_can_be_taken_back(tmp_path: Path, healthy: Store) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    Running(tmp_path, "deadly.py", DEADLY="3").process.communicate(timeout=240)
    (tmp_path / "deaths").unlink()
    again = Running(tmp_path, "deadly.py", DEADLY="3")
    stdout, _ = again.process.communicate(timeout=240)
    assert stdout == "72 0\n"
    assert not (tmp_path / "deaths").exists()
    store = Store(tmp_path / "out")
    for shard in store.shards.iterdir():
        if any(pq.read_table(shard).column("error").to_pylist()):
            shard.unlink()
    healed = Running(tmp_path, "deadly.py", DEADLY="")
    stdout, _ = healed.process.communicate(timeout=240)
    assert stdout == "72 1\n"
    assert store.frame().equals(healthy.frame())
