"""How long a frame's timeline takes to draw up and to write: `python -m benchmarks.timeline`.

CPU seconds of one thread, the least of a few runs, for about 100,000 slices: a token of SmolLM-135M, dense.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dcsim.prepare import synthetic_traces
from dcsim.report.timeline import write_timeline
from dcsim.simulation.simulate import simulate
from dcsim.simulation.timeline import timeline_of
from dcsim.soc.spec import load_soc
from dcsim.zoo import find_network

N_RUNS = 5
AIM_S = 1.0


def main() -> None:
    (trace,) = synthetic_traces(find_network("smollm-135m"), ("dense",), 1)
    soc = load_soc("mobile45")
    soc = soc.model_copy(update={"dram": soc.dram.model_copy(update={"capacity_mib": 1024})})
    result = simulate(trace, soc, 1)
    assert result.replayed is not None
    assert result.timeline is not None
    drawn_s = _least_s(lambda: timeline_of(result.replayed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.json"
        written_s = _least_s(lambda: write_timeline(result, path))
        n_bytes = path.stat().st_size
    print(
        f"{len(result.timeline.tile):,} slices: drawn up in {drawn_s:.2f} s, written in {written_s:.2f} s "
        f"(aim {AIM_S:g} for both), {n_bytes / 1e6:.0f} MB"
    )


def _least_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(N_RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
