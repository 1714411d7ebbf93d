"""When do frames arrive, how long do they wait for one another, and which of them are late? Worked out by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dcsim.errors import SimulationError
from dcsim.simulation.frames import Arrivals, Queue, Times, serve
from dcsim.simulation.simulate import simulate
from tests.builders import chip, linear, network

PERIOD_PS = 10_000
#: the array alone sets the time: 1024 MACs at one a nanosecond
ONE, SERVICE_PS = network(linear("fc", 32, 32)), 1_024_000


@dataclass(frozen=True)
class Given(Arrivals):
    """Frames that arrive when a test says."""

    at_ps: Sequence[int] = ()

    def times_ps(self, period_ps: int) -> Times:
        return np.array(self.at_ps, np.int64)


def served(at_ps: Sequence[int], service_ps: int, deadline_ps: int) -> Queue:
    return serve(Given(n_frames=len(at_ps), at_ps=at_ps), PERIOD_PS, service_ps, deadline_ps)


def figures(queue: Queue) -> tuple[int, int, int, int, int]:
    percentiles = (queue.latency_p50_ps, queue.latency_p95_ps, queue.latency_p99_ps)
    return (*percentiles, queue.n_misses, queue.n_waiting_most)


# --- arrivals ------------------------------------------------------------------------------------------------------


def test_periodic_frames_arrive_at_every_period_from_the_start() -> None:
    assert Arrivals(n_frames=4).times_ps(PERIOD_PS).tolist() == [0, 10_000, 20_000, 30_000]


def test_jitter_shifts_each_frame_to_either_side_by_up_to_its_share_of_the_period() -> None:
    times_ps = Arrivals("jittered", n_frames=5000, jitter=0.25).times_ps(PERIOD_PS)
    shifts_ps = times_ps - np.arange(5000) * PERIOD_PS  # less than half a period, so that none passes another
    assert -2500 <= shifts_ps.min() < -2450
    assert 2450 < shifts_ps.max() <= 2500
    assert stats.kstest(shifts_ps, stats.uniform(-2500, 5000).cdf).pvalue > 0.01


def test_frames_that_jitter_past_one_another_are_served_in_the_order_in_which_they_come() -> None:
    times_ps = Arrivals("jittered", n_frames=1000, jitter=1.0).times_ps(PERIOD_PS)
    assert all(before <= after for before, after in pairwise(times_ps))
    places = times_ps / PERIOD_PS - np.arange(1000)
    assert abs(places).max() < 1.0 + 1e-3
    assert len(times_ps) == 1000


def test_no_jitter_is_periodic() -> None:
    jittered = Arrivals("jittered", n_frames=9, jitter=0.0)
    assert jittered.times_ps(PERIOD_PS).tolist() == Arrivals(n_frames=9).times_ps(PERIOD_PS).tolist()


def test_poisson_frames_come_independently_of_one_another_one_a_period_on_average() -> None:
    times_ps = Arrivals("poisson", n_frames=20_000).times_ps(PERIOD_PS)
    assert times_ps[0] > 0  # the first one does not come at once
    gaps_ps = np.diff(times_ps, prepend=0)
    assert gaps_ps.min() >= 0
    assert stats.kstest(gaps_ps, stats.expon(scale=PERIOD_PS).cdf).pvalue > 0.01
    assert gaps_ps.mean() == pytest.approx(PERIOD_PS, rel=3 / math.sqrt(20_000))
    assert abs(stats.pearsonr(gaps_ps[1:], gaps_ps[:-1]).statistic) < 3 / math.sqrt(20_000)


@pytest.mark.parametrize("kind", ["jittered", "poisson"])
def test_a_seed_gives_the_same_arrivals_every_time_and_another_seed_others(kind: Any) -> None:
    first, again, other = (Arrivals(kind, 50, seed=seed).times_ps(PERIOD_PS).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", ["periodic", "jittered", "poisson"])
@pytest.mark.parametrize("period_ps", [1, 999_999_937, 10**12])
def test_arrivals_are_whole_picoseconds_one_a_period_on_average(kind: Any, period_ps: int) -> None:
    times_ps = Arrivals(kind, n_frames=4000).times_ps(period_ps)
    assert times_ps.dtype == np.int64
    assert times_ps.shape == (4000,)
    assert (times_ps[-1] - times_ps[0]) / 3999 == pytest.approx(period_ps, rel=4 / math.sqrt(4000))


@pytest.mark.parametrize(
    "faulty",
    [{"n_frames": 0}, {"n_frames": -1}, {"jitter": -0.01}, {"jitter": 1.01}, {"jitter": math.nan}],
    ids=["no frames", "negative frames", "negative jitter", "more than a period", "not a number"],
)
def test_arrivals_that_cannot_be_are_refused(faulty: dict[str, Any]) -> None:
    with pytest.raises(SimulationError, match="expected at least one frame and a jitter of 0 to 1, found "):
        simulate(ONE, chip(), 1000, arrivals=Arrivals("jittered", **faulty))


# --- a queue -------------------------------------------------------------------------------------------------------


def test_a_queue_of_five_frames() -> None:
    # served for 10:  arrives   0   4   5  27  60
    #                 starts    0  10  20  30  60
    #                 ends     10  20  30  40  70
    #                 latency  10  16  25  13  10     sorted 10 10 13 16 25: the third, the fifth, the fifth
    # At 5 two wait. From 10 to 20 one does, and from 27 to 30.
    assert figures(served((0, 4, 5, 27, 60), 10, deadline_ps=13)) == (13, 25, 25, 2, 2)


@pytest.mark.parametrize(
    ("deadline_ps", "n_misses"), [(9, 5), (10, 3), (12, 3), (13, 2), (16, 1), (24, 1), (25, 0), (26, 0)]
)
def test_a_frame_that_ends_at_its_deadline_keeps_it(deadline_ps: int, n_misses: int) -> None:
    queue = served((0, 4, 5, 27, 60), 10, deadline_ps)
    assert (queue.n_misses, queue.deadline_ps) == (n_misses, deadline_ps)


def test_a_frame_that_comes_when_the_one_before_ends_does_not_wait() -> None:
    assert figures(served((0, 10, 20, 30), 10, deadline_ps=10)) == (10, 10, 10, 0, 0)
    # a picosecond earlier each, and all but the first wait: 1, 2 and 3 of them one after the other, never two at once
    assert figures(served((0, 9, 18, 27), 10, deadline_ps=10)) == (11, 13, 13, 3, 1)


def test_frames_that_come_together_are_served_one_after_the_other() -> None:
    # latencies 1 to 100; while the first is in service, 99 wait
    assert figures(served([0] * 100, 1, deadline_ps=40)) == (50, 95, 99, 60, 99)


def test_percentiles_are_latencies_that_some_frame_had() -> None:
    # four of 1000 frames wait: of sorted latencies the 500th, the 950th and the 990th are those of frames that do not
    at_ps = [20 * index for index in range(996)] + [20_000] * 4
    assert figures(served(at_ps, 10, deadline_ps=10)) == (10, 10, 10, 3, 3)
    at_ps = [20 * index for index in range(80)] + [2000] * 20  # 81 frames of 100 take 10, the others 20 to 200
    assert figures(served(at_ps, 10, deadline_ps=10)) == (10, 150, 190, 19, 19)


def test_a_single_frame_has_nobody_to_wait_for() -> None:
    assert figures(served((7,), 10, deadline_ps=9)) == (10, 10, 10, 1, 0)


def test_arrivals_before_the_first_period_are_like_any_other() -> None:
    # jitter may shift the first frame to before 0
    assert figures(served((-5, 0, 20), 10, deadline_ps=10)) == (10, 15, 15, 1, 1)


@pytest.mark.parametrize("kind", ["periodic", "jittered", "poisson"])
def test_times_that_64_bits_do_not_hold_are_no_others(kind: Any) -> None:
    """A frame a minute, a million of them: 1.9 years, in which none waits but those that come together."""
    a_minute_ps = 60 * 10**12
    arrivals = Arrivals(kind, 1_000_000)
    at_ps = arrivals.times_ps(a_minute_ps)
    assert at_ps[-1] > 2**63
    assert (at_ps[1:] >= at_ps[:-1]).all()
    queue = serve(arrivals, a_minute_ps, 432, a_minute_ps)
    assert (queue.latency_p50_ps, queue.latency_p95_ps, queue.latency_p99_ps, queue.n_misses) == (432, 432, 432, 0)


def test_a_backlog_that_64_bits_do_not_hold_is_counted() -> None:
    a_day_ps = 86_400 * 10**12
    queue = serve(Arrivals(n_frames=1000), PERIOD_PS, a_day_ps, a_day_ps)
    assert queue.latency_p99_ps == 990 * a_day_ps - 989 * PERIOD_PS
    assert (queue.n_misses, queue.n_waiting_most) == (999, 999)


def test_a_queue_remembers_what_it_was_asked() -> None:
    arrivals = Arrivals("poisson", n_frames=7, seed=3)
    queue = serve(arrivals, PERIOD_PS, 1000, deadline_ps=2000)
    assert (queue.arrivals, queue.deadline_ps) == (arrivals, 2000)


# --- in a result ---------------------------------------------------------------------------------------------------


def test_frames_that_come_evenly_and_in_time_take_their_service_time() -> None:
    queue = simulate(ONE, chip(), fps=1e12 / SERVICE_PS).queue  # each comes when the one before ends
    assert queue is not None
    assert figures(queue) == (SERVICE_PS, SERVICE_PS, SERVICE_PS, 0, 0)
    assert (queue.arrivals, queue.deadline_ps) == (Arrivals("periodic", 1000), SERVICE_PS)


def test_a_result_has_the_queue_of_its_service_time_and_period() -> None:
    arrivals = Arrivals("poisson", n_frames=500, seed=5)
    result = simulate(ONE, chip(), fps=700_000, arrivals=arrivals, deadline_s=2e-6)
    queue = serve(arrivals, 1_428_571, SERVICE_PS, deadline_ps=2_000_000)
    assert result.queue == queue
    assert queue.latency_p50_ps < queue.latency_p95_ps < queue.latency_p99_ps
    assert (result.latency_s, result.latency_p95_s, result.latency_p99_s) == (
        pytest.approx(queue.latency_p50_ps / 1e12),
        pytest.approx(queue.latency_p95_ps / 1e12),
        pytest.approx(queue.latency_p99_ps / 1e12),
    )
    assert 0 < queue.n_misses < 500
    assert result.deadline_misses == queue.n_misses / 500


def test_how_frames_arrive_changes_neither_energy_nor_service() -> None:
    evenly, at_random = (simulate(ONE, chip(), 700_000, arrivals=Arrivals(kind)) for kind in ("periodic", "poisson"))
    assert (evenly.ledger, evenly.service_ps) == (at_random.ledger, at_random.service_ps)
    assert evenly.latency_s != at_random.latency_p95_s


def test_a_frame_of_several_inferences_comes_when_all_of_them_have() -> None:
    trace = network(linear("fc", 32, 32, m=4), batch=4)  # 4096 ns of service, every 4 x 1024 ns
    result = simulate(trace, chip({"sram.capacity_kib": 8}), fps=1e12 / SERVICE_PS)
    assert result.queue is not None
    assert (result.queue.deadline_ps, result.queue.n_waiting_most) == (4 * SERVICE_PS, 0)


def test_the_deadline_is_a_period_unless_it_is_said() -> None:
    def misses(deadline_s: float | None) -> float:
        return simulate(ONE, chip(), 500_000, deadline_s=deadline_s).deadline_misses

    assert [misses(None), misses(1.024e-6), misses(1.023e-6)] == [0, 0, 1]


def test_where_frames_queue_without_bound_all_of_them_are_late_and_the_queue_grows() -> None:
    result = simulate(ONE, chip(), fps=1e6)
    assert (result.queue, result.latency_s, result.latency_p95_s, result.latency_p99_s) == (None, None, None, None)
    assert result.deadline_misses == 1
    assert result.queue_growth_fps == pytest.approx(1e6 - 1e12 / SERVICE_PS)


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, math.nan, math.inf])
def test_a_deadline_that_is_no_positive_number_is_refused(deadline_s: float) -> None:
    with pytest.raises(SimulationError, match="the deadline must be a positive number of seconds, found "):
        simulate(ONE, chip(), 1000, deadline_s=deadline_s)
