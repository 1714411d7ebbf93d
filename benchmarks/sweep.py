"""A million analytic points, an event sweep on one and on two processes, and what a billion would take.

`python -m benchmarks.sweep` takes two minutes on two cores with nothing else to do. Wall time says what one waits for
and suffers from other programs; CPU time, of all processes together, hardly does. Memory is that of all processes
together, sampled while they run: PSS shares out what they have in common, RSS counts it once for each.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import dcsim.explore.rows as rows
import dcsim.explore.sweep as sweeps
from dcsim.explore.executors import LocalPool, Task
from dcsim.explore.plan import Plan, make_plan
from dcsim.explore.store import Store
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.simulation.simulate import simulate

MILLION: dict[str, Any] = {
    "name": "million",
    "network": "alexnet",
    "soc": "mobile45",
    "fps": 2,
    "axes": [
        {"path": "variant", "values": ["dense", "pruned", "shared", "huffman"]},
        {"path": "sram.capacity_kib", "values": [128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192]},
        {"path": "clock_hz", "range": {"start": 100e6, "stop": 400e6, "n": 10}},
        {"path": "dram.timing.tck_ps", "range": {"start": 600, "stop": 2500, "n": 10}},
        {"path": "always_on_mw", "range": {"start": 0, "stop": 10, "n": 10}},
        {"path": "fps", "log_range": {"start": 0.1, "stop": 5, "n": 25}},
    ],
}
#: some 20 ms a point
EVENT: dict[str, Any] = {
    "name": "event",
    "network": "lenet-5",
    "soc": "mobile45",
    "fps": 20,
    "variants": ["huffman"],
    "engine": "event",
    "axes": [
        {"path": "dram.timing.tck_ps", "range": {"start": 1000, "stop": 2500, "n": 64}},
        {"path": "fps", "range": {"start": 1, "stop": 32, "n": 32}},
    ],
}
BARS = {"seconds": 60.0, "peak_bytes": 1e9, "speedup": 1.8, "overhead": 0.05}
SAMPLED_EVERY_S = 0.25
TIMES = "DCSIM_BENCHMARK_TIMES"  # folder where every worker leaves the seconds it spent
A_BILLION = 10**9
HOURS_S = 3600.0


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    n_few, few_cpu_s, _ = analytic_sweep(n_rates=1)
    n_many, many_cpu_s, bytes_a_point = analytic_sweep(n_rates=25)
    analytic_cpu_s = (many_cpu_s - few_cpu_s) / (n_many - n_few)
    fixed_cpu_s = few_cpu_s - n_few * analytic_cpu_s
    print(f"a further point takes {analytic_cpu_s * 1e6:.1f} us of CPU, to begin and to end {fixed_cpu_s:.1f} s")
    event_cpu_s = event_sweep()
    billion(analytic_cpu_s, event_cpu_s, bytes_a_point)


# --- a million analytic points ---------------------------------------------------------------------------------------


def analytic_sweep(n_rates: int) -> tuple[int, float, float]:
    """Run the command on 40,000 points for every rate; (points, CPU seconds, bytes on disk of a point)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        about = json.loads(json.dumps(MILLION))
        about["axes"][-1]["log_range"]["n"] = n_rates
        (folder / "million.yaml").write_text(json.dumps(about))
        command = [sys.executable, "-m", "dcsim", "sweep", "million.yaml", "-o", "out"]
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with watched(process.pid) as peaks:
            assert process.wait() == 0
        wall_s, cpu_s = time.monotonic() - started, _cpu_s(resource.RUSAGE_CHILDREN, before)
        stored = sum(path.stat().st_size for path in (folder / "out" / "points").iterdir())
        n_points = len(Store(folder / "out").keys())
    print(
        f"{n_points:,} analytic points, the whole command: {wall_s:.1f} s of wall, {cpu_s:.1f} s of CPU "
        f"(aim {BARS['seconds']:g} s), peak {peaks['pss'] / 1e6:.0f} MB PSS, {peaks['rss'] / 1e6:.0f} MB RSS "
        f"(aim {BARS['peak_bytes'] / 1e6:.0f} MB), {stored / 1e6:.0f} MB on disk"
    )
    return n_points, cpu_s, stored / n_points


@contextmanager
def watched(pid: int) -> Iterator[dict[str, float]]:
    """Peak memory of a process and all below it, sampled until the block is left."""
    peaks, done = {"pss": 0.0, "rss": 0.0}, threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLED_EVERY_S):
            found = [_memory(each) for each in _family(pid)]
            for kind in peaks:
                peaks[kind] = max(peaks[kind], sum(each.get(kind, 0.0) for each in found))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peaks
    finally:
        done.set()
        sampler.join()


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(int(child)))]


def _memory(pid: int) -> dict[str, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {key.lower(): 1024.0 * int(size.split()[0]) for key, size in (line.split(":") for line in lines)}


# --- points of 20 ms -------------------------------------------------------------------------------------------------

simulated_s = {"wall": 0.0, "cpu": 0.0}
worked_s = {"wall": 0.0, "cpu": 0.0}
work = sweeps.work


def timed_simulate(*arguments: Any, **options: Any) -> Any:
    """`simulate`, its time added up."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = simulate(*arguments, **options)
    simulated_s["wall"] += time.perf_counter() - wall
    simulated_s["cpu"] += time.process_time() - cpu
    return found


def timed_work(plan: Plan, folder: Path, task: Task) -> int:
    """What a worker does for a shard; afterwards it leaves word of its time so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    n_points = work(plan, folder, task)
    worked_s["wall"] += time.perf_counter() - wall
    worked_s["cpu"] += time.process_time() - cpu
    Path(os.environ[TIMES], str(os.getpid())).write_text(json.dumps([simulated_s, worked_s]))
    return n_points


if TIMES in os.environ:  # in the workers too, which run this module when they start
    rows.simulate = timed_simulate
    sweeps.work = timed_work


def event_sweep() -> float:
    """One process and two; CPU seconds of one point."""
    walls, overheads = [], []
    for n_workers in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            times = Path(name, "times")
            times.mkdir()
            os.environ[TIMES] = str(times)
            plan = make_plan(SweepSpec.model_validate_json(json.dumps(EVENT)), Path(name, "out"))
            cpu = resource.getrusage(resource.RUSAGE_SELF)
            found = sweeps.sweep(plan, Path(name, "out"), executor=LocalPool(n_workers))
            parent_cpu_s = _cpu_s(resource.RUSAGE_SELF, cpu)
            spent = [json.loads(path.read_text()) for path in times.iterdir()]
        walls.append(found.seconds)
        each_s = sum(simulated["wall"] for simulated, _ in spent) / found.n_points
        simulated, worked = (sum(each[place]["cpu"] for each in spent) for place in (0, 1))
        overheads.append((worked + parent_cpu_s) / simulated - 1)
        idle = n_workers * found.seconds / sum(simulated["wall"] for simulated, _ in spent) - 1
        print(
            f"{found.n_points:,} event points of {each_s * 1e3:.1f} ms, {n_workers} process(es): {found.seconds:.1f} s "
            f"of wall; store and scheduling take {overheads[-1]:.1%} of the simulation's CPU time (aim "
            f"{BARS['overhead']:.0%}), and with starting the processes {idle:.1%} of its wall time"
        )
    print(f"two processes over one: {walls[0] / walls[1]:.2f} x (aim {BARS['speedup']:g} x)")
    return simulated * (1 + overheads[-1]) / found.n_points


# --- a billion -------------------------------------------------------------------------------------------------------


def billion(analytic_cpu_s: float, event_cpu_s: float, bytes_a_point: float) -> None:
    """What 10^9 points take at these costs."""
    print("a billion points, from the costs above:")
    for name, each_s in (("analytic", analytic_cpu_s), ("event", event_cpu_s)):
        hours = A_BILLION * each_s / HOURS_S
        print(
            f"  {name}: 1e9 x {each_s * 1e6:,.1f} us = {hours:,.1f} core hours; {hours / 2:,.1f} h on 2 cores, "
            f"{hours / 64:,.2f} h on 64, {hours / 1000:,.2f} h on 1,000"
        )
    n_shards = np.ceil(A_BILLION / sweeps.POINTS_A_SHARD["analytic"])
    print(
        f"  on disk: 1e9 x {bytes_a_point:.0f} B = {A_BILLION * bytes_a_point / 1e9:.0f} GB in {n_shards:,.0f} shards"
    )


def _cpu_s(who: int, before: resource.struct_rusage) -> float:
    now = resource.getrusage(who)
    return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
