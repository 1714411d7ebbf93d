"""How long a frame takes to replay, a thousand frames, and a design point: `python -m benchmarks.engines`.

CPU seconds of one thread, the least of a few runs, traces and compiled code at hand. For one design point of AlexNet
and of VGG-16 other simulators take, measured elsewhere: MAESTRO 0.03 and 0.07, Timeloop's mapper 9.5 and 31, ZigZag 17
and 46. MAESTRO also has the best rate of a sweep, 37 points a second.
"""

import time
from collections.abc import Callable

import numpy as np

from dcsim.prepare import synthetic_traces
from dcsim.simulation.analytic import estimate
from dcsim.simulation.frames import Arrivals
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Trace
from dcsim.zoo import find_network

N_RUNS = 5
FRAMES = (("alexnet", "dense", 0.3), ("vgg-16", "dense", 0.6), ("alexnet", "huffman", 0.1))


def main() -> None:
    for network, variant, aim_s in FRAMES:
        trace, soc = _trace(network, variant), _large_enough()
        one_s = _least_s(lambda trace=trace, soc=soc: simulate(trace, soc, 1, arrivals=Arrivals(n_frames=1)))
        many_s = _least_s(lambda trace=trace, soc=soc: simulate(trace, soc, 1, arrivals=Arrivals(n_frames=1000)))
        print(f"{network}, {variant}: one frame {one_s:.3f} s (aim {aim_s}), 1,000 frames {many_s / one_s:.2f} x one")
    trace, soc = _trace("alexnet", "huffman"), load_soc("mobile45")
    for name, axes, fps in (_grid(), _scattered()):
        n_points = len(fps)
        took_s = _least_s(lambda axes=axes, fps=fps: estimate(trace, soc, axes, fps), n_runs=2)
        print(f"alexnet, huffman, {name}: {n_points:,} points, {n_points / took_s:,.0f} points/s")


def _trace(network: str, variant: str) -> Trace:
    (trace,) = synthetic_traces(find_network(network), (variant,), 1)
    return trace


def _large_enough() -> SocSpec:
    """The default chip with the DRAM that dense VGG-16 needs."""
    soc = load_soc("mobile45")
    return soc.model_copy(update={"dram": soc.dram.model_copy(update={"capacity_mib": 1024})})


def _grid() -> tuple[str, dict[str, np.ndarray], np.ndarray]:
    """Ten values on each of six axes."""
    axes = [
        np.array([128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192]),
        np.linspace(100e6, 400e6, 10).astype(np.int64),
        np.linspace(600, 2500, 10).astype(np.int64),
        np.linspace(1, 50, 10),
        np.linspace(0, 10, 10),
        np.linspace(1, 60, 10),
    ]
    sram, clock, tck, symbol, always_on, fps = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    points = {
        "sram.capacity_kib": sram,
        "clock_hz": clock,
        "dram.timing.tck_ps": tck,
        "decoder.pj_per_symbol": symbol,
        "always_on_mw": always_on,
    }
    return "a grid of six axes", points, fps


def _scattered() -> tuple[str, dict[str, np.ndarray], np.ndarray]:
    """Points of which no two share a clock: every one needs a frame of its own."""
    clock = np.arange(100_000_000, 400_000_000, 15_000)
    return "each at a clock of its own", {"clock_hz": clock}, np.full(len(clock), 20.0)


def _least_s(work: Callable[[], object], n_runs: int = N_RUNS) -> float:
    work()
    times = []
    for _ in range(n_runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
