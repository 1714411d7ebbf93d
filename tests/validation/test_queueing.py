"""Do queues and pipelines keep to their closed forms?

M/D/1: frames at random, one service time. Their mean wait is rho / (2 mu (1 - rho)) (Pollaczek and Khinchine, in
Kleinrock, Queueing Systems, vol. 1, 5.6), and that of P(wait > x) follows from Erlang (1909; Franx, Oper. Res. Lett. 29,
2001): P(wait <= x) = (1 - rho) sum over k = 0 ... floor(x / D) of (lambda (k D - x))^k / k! exp(-lambda (k D - x)).
Simulated frames are held against both within a 99 % confidence interval from the means of 24 batches.

D/D/1, one resource and pipelines of two stages are exact, to the picosecond.
"""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats

from dcsim.simulation.frames import Arrivals, serve
from dcsim.simulation.simulate import Engine, simulate
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace
from tests.builders import STREAM_DECODER, chip, coded, linear, network

SERVICE_PS = 10**6
N_BATCHES, N_PER_BATCH = 25, 20_000  # the first batch, in which the queue fills, is left out
LOADS = [0.3, 0.5, 0.7, 0.9]
Waits = npt.NDArray[np.int64]


def period_ps(load: float) -> int:
    return round(SERVICE_PS / load)


def random_frames(load: float) -> Arrivals:
    return Arrivals("poisson", N_BATCHES * N_PER_BATCH, seed=round(100 * load))


def waits_ps(load: float) -> Waits:
    """Lindley: a frame waits as long as the one before waited and was served, less the time between the two."""
    arrivals_ps = random_frames(load).times_ps(period_ps(load)).tolist()
    waits, free_ps = [], 0
    for arrival_ps in arrivals_ps:
        waits.append(max(0, free_ps - arrival_ps))
        free_ps = arrival_ps + waits[-1] + SERVICE_PS
    return np.array(waits)


def assert_mean(samples: npt.NDArray[np.float64], expected: float, worst_error: float) -> None:
    """`expected` is in the confidence interval of the mean, and that is narrow enough to say something."""
    batches = samples.reshape(N_BATCHES, N_PER_BATCH)[1:].mean(axis=1)
    half_width = stats.t.ppf(0.995, N_BATCHES - 2) * batches.std(ddof=1) / math.sqrt(N_BATCHES - 1)
    assert half_width < worst_error * expected
    assert abs(batches.mean() - expected) < half_width


def wait_exceeds(load: float, services: float) -> float:
    """P(wait > x) of M/D/1, x in service times."""
    terms = [
        (load * (k - services)) ** k / math.factorial(k) * math.exp(load * (services - k))
        for k in range(math.floor(services) + 1)
    ]
    return 1 - (1 - load) * sum(terms)


# --- frames --------------------------------------------------------------------------------------------------------


def test_the_formula_of_the_tail_is_that_of_the_mean() -> None:
    # the mean is the integral of P(wait > x): Simpson's rule, service by service, where it is smooth
    for load in LOADS[:3]:
        points = [(2 * i + j) / 20 for i in range(200) for j in range(3)]
        weights = [1 / 60, 4 / 60, 1 / 60] * 200
        tail = sum(weight * wait_exceeds(load, min(x, 20.0)) for x, weight in zip(points, weights, strict=True))
        assert tail == pytest.approx(load / (2 * (1 - load)), rel=2e-3)


@pytest.mark.parametrize("load", LOADS)
def test_frames_at_random_wait_as_pollaczek_and_khinchine_say(load: float) -> None:
    assert_mean(waits_ps(load) / SERVICE_PS, load / (2 * (1 - load)), worst_error=0.07)


@pytest.mark.parametrize("load", LOADS)
def test_as_many_frames_wait_long_as_erlang_says(load: float) -> None:
    arrivals, waits = random_frames(load), waits_ps(load)
    for services in (0.0, 0.5, 1.0, 2.0, 5.0):
        late_ps = round(services * SERVICE_PS)
        expected = wait_exceeds(load, services)
        if expected > 0.02:
            assert_mean((waits > late_ps).astype(float), expected, worst_error=0.1)
        queue = serve(arrivals, period_ps(load), SERVICE_PS, SERVICE_PS + late_ps)
        assert queue.n_misses == (waits > late_ps).sum()


@pytest.mark.parametrize("load", LOADS)
def test_percentiles_of_many_frames_are_those_of_the_distribution(load: float) -> None:
    queue, waits = serve(random_frames(load), period_ps(load), SERVICE_PS, 0), waits_ps(load)
    found = {0.5: queue.latency_p50_ps, 0.95: queue.latency_p95_ps, 0.99: queue.latency_p99_ps}
    for share, latency_ps in found.items():
        assert latency_ps == SERVICE_PS + np.sort(waits)[math.ceil(share * len(waits)) - 1]
        if share > 1 - load:  # otherwise that many do not wait at all
            services = optimize.brentq(lambda x, later=1 - share: wait_exceeds(load, x) - later, 0, 25)
            assert latency_ps == pytest.approx((1 + services) * SERVICE_PS, rel=0.06)
            if (1 - share) * (1 - load) ** 2 * len(waits) > 100:  # long waits come in crowds; so many of them are seen
                assert_mean((waits > services * SERVICE_PS).astype(float), 1 - share, worst_error=0.4)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.999999, 1.0])
def test_frames_that_come_evenly_never_wait(load: float) -> None:
    queue = serve(Arrivals(), math.ceil(SERVICE_PS / load), SERVICE_PS, SERVICE_PS)
    assert (queue.latency_p50_ps, queue.latency_p99_ps) == (SERVICE_PS, SERVICE_PS)
    assert (queue.n_misses, queue.n_waiting_most) == (0, 0)


@pytest.mark.parametrize("gap_ps", [999_999, 800_000, 250_000])
def test_frames_that_come_evenly_but_too_fast_wait_longer_by_the_same_each_time(gap_ps: int) -> None:
    # frame n starts at n services and came at n gaps; when the last comes, floor(999 gaps / service) + 1 have started
    queue = serve(Arrivals(), gap_ps, SERVICE_PS, SERVICE_PS + 100 * (SERVICE_PS - gap_ps))
    assert queue.latency_p50_ps == SERVICE_PS + 499 * (SERVICE_PS - gap_ps)
    assert queue.latency_p99_ps == SERVICE_PS + 989 * (SERVICE_PS - gap_ps)
    assert queue.n_misses == 1000 - 101
    assert queue.n_waiting_most == 1000 - (999 * gap_ps // SERVICE_PS + 1)


# --- one resource, and two stages ----------------------------------------------------------------------------------
# A tile is 1 KiB: 8 rows of 32 fp32 weights, 256 MACs, 256 ns. Fetched, at 1024 bytes in `fetch` ns; two buffers.

ENGINES: list[Engine] = ["event", "analytic"]


def layer_of(n_tiles: int, name: str = "fc", producer: int = -1) -> Trace:
    return network(linear(name, 32, 8 * n_tiles, producers=(producer,)))


def fetching(fetch_ns: int, **changes: object) -> SocSpec:
    usual = {"idle.sram": "off", "sram.capacity_kib": 64, "dram.bandwidth_bytes_per_s": 1024e9 / fetch_ns}
    return chip(usual | changes)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_tiles", [1, 3, 128, 129, 200])
@pytest.mark.parametrize("clock_hz", [1_000_000_000, 333_333_333, 700_000_000])
def test_the_array_alone_takes_its_cycles(n_tiles: int, clock_hz: int, engine: Engine) -> None:
    result = simulate(layer_of(n_tiles), chip({"clock_hz": clock_hz, "dram.capacity_mib": 64}), fps=1, engine=engine)
    tiles_ns = np.diff(256 * n_tiles * np.arange(min(n_tiles, 128) + 1) // min(n_tiles, 128))
    if engine == "event" or n_tiles <= 128:  # the analytic engine rounds the mean tile instead of each
        assert result.service_ps == sum(round(1e12 * int(n_cycles) / clock_hz) for n_cycles in tiles_ns)
    assert result.service_ps == pytest.approx(256 * n_tiles * 1e12 / clock_hz, abs=n_tiles / 2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_tiles", [1, 2, 3, 31, 128])
@pytest.mark.parametrize("fetch_ns", [1, 255, 256, 257, 3000])
def test_two_stages_take_their_fill_and_the_slower_one_for_every_tile(
    n_tiles: int, fetch_ns: int, engine: Engine
) -> None:
    # the first tile is fetched while the array waits, or the last computed while the channel does: the quicker stage
    service_ns = min(fetch_ns, 256) + n_tiles * max(fetch_ns, 256)
    assert simulate(layer_of(n_tiles), fetching(fetch_ns), fps=1, engine=engine).service_ps == 1000 * service_ns


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fetch_ns", [128, 512])
def test_a_layer_of_very_many_tiles_goes_in_128_equal_steps(fetch_ns: int, engine: Engine) -> None:
    # four tiles a step, so that the fill is that of four
    service_ns = 4 * min(fetch_ns, 256) + 512 * max(fetch_ns, 256)
    assert simulate(layer_of(512), fetching(fetch_ns), fps=1, engine=engine).service_ps == 1000 * service_ns


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_buffers", [1, 2, 3])
@pytest.mark.parametrize("fetch_ns", [100, 400])
def test_buffers_beyond_the_second_make_two_stages_no_quicker_and_one_has_them_take_turns(
    fetch_ns: int, n_buffers: int, engine: Engine
) -> None:
    soc = fetching(fetch_ns, **{"tiles.n_buffers": n_buffers})
    alternating, overlapped = 9 * (fetch_ns + 256), min(fetch_ns, 256) + 9 * max(fetch_ns, 256)
    expected_ns = alternating if n_buffers == 1 else overlapped
    assert simulate(layer_of(9), soc, fps=1, engine=engine).service_ps == 1000 * expected_ns


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_tiles", [1, 2, 5, 60])
@pytest.mark.parametrize(("decode_ns", "compute_ns"), [(64, 256), (256, 64), (512, 128), (128, 512), (256, 256)])
def test_decoding_and_computing_are_two_stages_as_well(
    n_tiles: int, decode_ns: int, compute_ns: int, engine: Engine
) -> None:
    # resident, 256 codes and 256 gaps a tile, side by side in two lanes at 256 / decode_ns symbols a cycle each
    rows = 8 * n_tiles
    trace = network(linear("fc", 32, rows, m=4, encoding="shared", blocks=coded(32 * rows, 4, 4)))
    decoder = STREAM_DECODER | {"symbols_per_cycle": 256 / decode_ns}
    array = {"array.lanes_pixel": 4, "array.lanes_out": 256 // compute_ns} if compute_ns <= 256 else {}
    soc = chip({"decoder": decoder, "sram.capacity_kib": 64, "array.lanes_pixel": 2} | array)
    service_ns = min(decode_ns, compute_ns) + n_tiles * max(decode_ns, compute_ns)
    assert simulate(trace, soc, fps=1, engine=engine).service_ps == 1000 * service_ns


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fetch_ns", [100, 400])
def test_layers_follow_each_other_in_one_pipeline(fetch_ns: int, engine: Engine) -> None:
    # five tiles and three, and the second layer's are fetched while the first computes: it fills once
    trace = network(linear("a", 32, 40), linear("b", 40, 24, producers=(0,)))  # b: 960 weights, 4 tiles of 240
    service_ns = {100: 100 + 5 * 256 + 4 * 240, 400: 5 * 400 + 4 * 375 + 240}[fetch_ns]
    assert simulate(trace, fetching(fetch_ns), fps=1, engine=engine).service_ps == 1000 * service_ns
