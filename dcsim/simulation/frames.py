"""Frames arrive, wait their turn and are served one at a time, each in the same time."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dcsim.errors import SimulationError

#: arrays of whole picoseconds: of 64 bits, or of Python's integers where those would not last
Times = npt.NDArray[Any]

LASTS_PS = 1 << 62  # 53 days
POISSON_SPREAD = 64  # no sum of exponential gaps is this far above its mean but once in e^64


@dataclass(frozen=True)
class Arrivals:
    """When frames arrive.

    Attributes:
        kind: `periodic`; `jittered`, each shifted by up to `jitter` periods to either side; `poisson`, each
            independent of the others.
        n_frames: how many, after the cold one.
        jitter: of `jittered` arrivals, as a share of the period.
        seed: of the random ones.
    """

    kind: Literal["periodic", "jittered", "poisson"] = "periodic"
    n_frames: int = 1000
    jitter: float = 0.1
    seed: int = 0

    def times_ps(self, period_ps: int) -> Times:
        """Arrival of every frame at one per `period_ps` on average, first come first served [ps]. Shape (n_frames,).

        Raises:
            SimulationError: no frames, or a jitter that is not between 0 and 1.
        """
        if self.n_frames < 1 or not 0 <= self.jitter <= 1:
            raise SimulationError(
                f"expected at least one frame and a jitter of 0 to 1, found {self.n_frames} and {self.jitter:g}"
            )
        random, integer = np.random.default_rng(self.seed), _integer(self.n_frames * period_ps * POISSON_SPREAD)
        if self.kind == "poisson":
            return _whole(np.cumsum(random.exponential(period_ps, self.n_frames)), integer)
        steady: Times = np.arange(self.n_frames).astype(integer) * period_ps
        if self.kind == "periodic":
            return steady
        shifts = random.uniform(-self.jitter, self.jitter, self.n_frames) * period_ps
        return np.sort(steady + _whole(shifts, integer))


def _integer(lasts_ps: int) -> type:
    """For times up to this one."""
    return np.int64 if lasts_ps < LASTS_PS else object


def _whole(times_ps: npt.NDArray[np.float64], integer: type) -> Times:
    whole = times_ps.round()
    return whole.astype(np.int64) if integer is np.int64 else np.array([int(time_ps) for time_ps in whole], object)


@dataclass(frozen=True)
class Queue:
    """What waiting did to frames, the cold one not among them.

    Attributes:
        arrivals: how they came.
        latency_p50_ps, latency_p95_ps, latency_p99_ps: from arrival to last write-back.
        deadline_ps: what each should have kept.
        n_misses: frames that did not.
        n_waiting_most: most frames that waited at once, the one in service not counted.
    """

    arrivals: Arrivals
    latency_p50_ps: int
    latency_p95_ps: int
    latency_p99_ps: int
    deadline_ps: int
    n_misses: int
    n_waiting_most: int


def serve(arrivals: Arrivals, period_ps: int, service_ps: int, deadline_ps: int) -> Queue:
    """Serve frames in order of arrival, one at a time (Lindley, Proc. Camb. Phil. Soc. 48, 1952)."""
    arrival_ps = arrivals.times_ps(period_ps)
    integer = _integer(len(arrival_ps) * service_ps)
    before_ps: Times = np.arange(len(arrival_ps)).astype(integer) * service_ps  # service of all frames before
    end_ps = before_ps + service_ps + np.maximum.accumulate(arrival_ps - before_ps)
    latency_ps = end_ps - arrival_ps
    n_started = np.searchsorted(end_ps - service_ps, arrival_ps, side="right")
    in_order = np.sort(latency_ps)
    p50, p95, p99 = (int(in_order[-(-q * len(in_order) // 100) - 1]) for q in (50, 95, 99))
    return Queue(
        arrivals=arrivals,
        latency_p50_ps=p50,
        latency_p95_ps=p95,
        latency_p99_ps=p99,
        deadline_ps=deadline_ps,
        n_misses=int((latency_ps > deadline_ps).sum()),
        n_waiting_most=int((np.arange(1, len(arrival_ps) + 1) - n_started).max()),
    )
