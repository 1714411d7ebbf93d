"""The smallest or largest value of one knob at which a network meets a budget, with the trail of what was tried.

A knob is a number of the chip by its dotted path, or `fps`; of the network it is `variant`, in order of file size, or
`codebook_bits`. Samples are judged by the analytic engine, the answer and the value before it by the replay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError, DcsimError, SimulationError
from dcsim.explore.bisection import Search, Value, search, spread, values_between
from dcsim.explore.budget import Budget, check, load_budget
from dcsim.explore.checks import Check
from dcsim.explore.chips import chip_at
from dcsim.simulation.simulate import Engine, require_fps, simulate
from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Trace

Wanted = Literal["smallest", "largest"]

USUAL_REACH = 64  # bounds that are not given: this many times the chip's value, and this part of it
FPS_REACH = 4096  # least frame rate that is tried: this part of the highest that the chip keeps up with
LITTLE_FPS, PLENTY_FPS = 1e-3, 1e6
OPERATING_POINT = "operating_point"
KEEPING_UP = "sustainable_fps"


@dataclass(frozen=True)
class Attempt:
    """A value that was tried.

    Attributes:
        possible: the chip can be so; its YAML would not be refused.
        check: the failed check that is furthest over its limit, or the one with least left when all are kept; None
            when it cannot be run.
        fault: why it cannot be run, or the chip not be so; else empty.
        average_power_watts, energy_pj_per_frame, latency_s: None when it cannot be run; latency when frames queue.
    """

    value: Value
    engine: Engine
    fits: bool
    possible: bool = True
    check: Check | None = None
    fault: str = ""
    average_power_watts: float | None = None
    latency_s: float | None = None
    energy_pj_per_frame: float | None = None

    @property
    def miss(self) -> float:
        """By how much of the limit the check misses it; 0 when it fits, infinite when there is no figure."""
        if self.fits:
            return 0.0
        return float("inf") if self.check is None or self.check.headroom is None else -self.check.headroom


@dataclass(frozen=True)
class Question:
    """What was asked.

    Attributes:
        variant: empty when it is the knob.
        fps: None when it is the knob.
        lowest, highest: bounds of the search.
    """

    network: str
    synthetic: bool
    variant: str
    soc: str
    fps: float | None
    budget: str
    knob: str
    wanted: Wanted
    lowest: Value
    highest: Value


@dataclass(frozen=True)
class Fit:
    """The answer, and how it was found.

    Attributes:
        found: at the wanted value; None when the budget cannot be met within the bounds.
        beyond: one step further, which does not fit; where the chip cannot be so, the last one tried that can; None at
            a bound.
        nearest: the attempt that misses least; None when there is an answer, or no value that the chip can have.
        windows: from where to where samples fit.
        monotone: samples change at most once between fitting and not fitting.
        exhaustive: every value within the bounds was tried.
        trail: all attempts in order.
    """

    question: Question
    found: Attempt | None
    beyond: Attempt | None
    nearest: Attempt | None
    windows: tuple[tuple[Value, Value], ...]
    monotone: bool
    exhaustive: bool
    trail: tuple[Attempt, ...]


def fit(
    trace: Trace,
    soc: SocSpec | str,
    fps: float,
    budget: Budget | str,
    knob: str,
    wanted: Wanted = "smallest",
    *,
    lowest: float | None = None,
    highest: float | None = None,
    reference_error: float | None = None,
    engine: Engine = "event",
) -> Fit:
    """The smallest or largest value of a number of the chip, or of `fps`, at which the trace meets the budget.

    Args:
        knob: dotted path of the chip's YAML, or `fps`; whole numbers stay whole. `operating_point` is a place in the
            chip's list, slowest first.
        lowest, highest: bounds, in the knob's unit; by default 1/64 and 64 times the chip's value, and of fps what the
            chip keeps up with.
        reference_error: test error of the dense variant, for budgets that limit `accuracy_loss`.
        engine: that has the last word.

    Raises:
        ConfigError: the chip has no such number, bounds that are none, or a limit for which evidence is missing.
        SimulationError: a frame rate that is not positive.
    """
    require_fps(fps)
    soc = load_soc(soc) if isinstance(soc, str) else soc
    budget = load_budget(budget) if isinstance(budget, str) else budget
    base = highest_fps(trace, soc) if knob == "fps" else _base(soc, knob)
    whole = knob == OPERATING_POINT or isinstance(soc.leaves().get(knob), int)
    if knob == OPERATING_POINT:
        lowest, highest = lowest or 0, len(soc.operating_points) - 1 if highest is None else highest
    start, stop = _bounds(knob, base, whole, lowest, highest)
    ladder = values_between(start, stop, whole)

    def attempt(value: Value, engine: Engine) -> Attempt:
        if knob == "fps":
            return judged(trace, soc, float(value), budget, reference_error, value, engine)
        try:
            chip = chip_at(soc, {knob: value})
        except DcsimError as error:
            return Attempt(value, engine, False, possible=False, fault=str(error))
        return judged(trace, chip, fps, budget, reference_error, value, engine)

    asked = None if knob == "fps" else fps
    question = Question(
        trace.network, trace.synthetic, trace.variant, soc.name, asked, budget.name, knob, wanted, ladder[0], ladder[-1]
    )
    return _answer(question, ladder, spread(ladder, base), attempt, engine)


def fit_traces(
    traces: Mapping[Any, Callable[[], Trace]],
    soc: SocSpec | str,
    fps: float,
    budget: Budget | str,
    knob: str,
    wanted: Wanted = "smallest",
    *,
    stride: int = 1,
    reference_error: float | None = None,
    engine: Engine = "event",
) -> Fit:
    """The first or last of several traces of one network that meets the budget.

    Args:
        traces: how to make each, by the knob's value, smallest first.
        knob: what the values are called, such as `variant` or `codebook_bits`.
        stride: every so many-th is a sample: more than 1 where traces take long to make.
        reference_error, engine: see `fit`.

    Raises:
        DcsimError: a trace that cannot be made, a frame rate that is not positive.
    """
    require_fps(fps)
    soc = load_soc(soc) if isinstance(soc, str) else soc
    budget = load_budget(budget) if isinstance(budget, str) else budget
    ladder = list(traces)

    @cache
    def made(value: Value) -> Trace:
        return traces[value]()

    def attempt(value: Value, engine: Engine) -> Attempt:
        return judged(made(value), soc, fps, budget, reference_error, value, engine)

    first = made(ladder[0])
    variant = "" if knob == "variant" else first.variant
    question = Question(
        first.network, first.synthetic, variant, soc.name, fps, budget.name, knob, wanted, ladder[0], ladder[-1]
    )
    return _answer(question, ladder, [*range(0, len(ladder), stride), len(ladder) - 1], attempt, engine)


def judged(
    trace: Trace, soc: SocSpec, fps: float, budget: Budget, reference_error: float | None, value: Value, engine: Engine
) -> Attempt:
    """Run it and hold it against the budget. What cannot be run does not fit.

    Raises:
        ConfigError: evidence is missing, which no other value would bring.
    """
    try:
        result = simulate(trace, soc, fps, deadline_s=budget.deadline_s, engine=engine)
    except SimulationError as error:
        return Attempt(value, engine, False, fault=str(error))
    verdict = check(result, budget, trace=trace, soc=soc, reference_error=reference_error)
    verdict.require_evidence()
    return Attempt(
        value,
        engine,
        verdict.fits,
        check=deciding(verdict.checks),
        average_power_watts=result.average_power_watts,
        latency_s=result.latency_s,
        energy_pj_per_frame=result.energy_pj_per_frame,
    )


def deciding(checks: Sequence[Check]) -> Check:
    """The check that a verdict hangs on: the failed one furthest over its limit, else the one with least left.

    A figure that there is not, as the latency of frames that queue up, is named only when nothing else fails, and
    keeping up with the frame rate only when it fails or nothing else is limited.
    """
    failed = [item for item in checks if not item.ok]
    pool = (
        [item for item in failed if item.headroom is not None]
        or failed
        or [item for item in checks if item.name != KEEPING_UP]
        or list(checks)
    )
    return min(pool, key=lambda item: float("inf") if item.headroom is None else item.headroom)


def _base(soc: SocSpec, knob: str) -> float | None:
    """What the chip's file says; None where it says nothing."""
    leaves = {path: value for path, value in soc.leaves().items() if isinstance(value, int | float | None)}
    listed = ["fps", "variant", "codebook_bits", OPERATING_POINT, *leaves]
    if isinstance(soc.dram, BankedDram) and knob == "dram.bandwidth_bytes_per_s":
        raise ConfigError(
            f"{soc.name}: the bandwidth of a DRAM with banks follows from its timing; turn dram.timing.tck_ps"
        )
    if knob == OPERATING_POINT and len(soc.operating_points) > 1:
        return None
    if knob not in leaves or isinstance(leaves[knob], bool):
        raise ConfigError(f"{soc.name} has no number {knob}{did_you_mean(knob, listed)}")
    if knob.startswith(OPERATING_POINT) or (knob in ("clock_hz", "volts") and soc.operating_point != "nominal"):
        raise ConfigError(
            f"{soc.name}: {knob} is no knob; turn operating_point, or clock_hz or volts with operating_point: nominal"
        )
    return leaves[knob]


def highest_fps(trace: Trace, soc: SocSpec, engine: Engine = "analytic") -> float:
    """What the chip keeps up with at its fastest: asked for more than that, it takes its fastest operating point."""
    return max(simulate(trace, soc, rate, engine=engine).sustainable_fps for rate in (LITTLE_FPS, PLENTY_FPS))


def _bounds(
    knob: str, base: float | None, whole: bool, lowest: float | None, highest: float | None
) -> tuple[float, float]:
    if (lowest is None or highest is None) and not base:
        raise ConfigError(f"{knob} is {'not set' if base is None else base} in the chip's file: give --from and --to")
    down, up = (FPS_REACH, 2) if knob == "fps" else (USUAL_REACH, USUAL_REACH)
    usual_start, usual_stop = (base or 0.0) / down, (base or 0.0) * up
    usual = (
        (max(1, int(usual_start)), int(usual_stop))
        if whole
        else (float(f"{usual_start:.4g}"), float(f"{usual_stop:.4g}"))
    )
    start, stop = usual[0] if lowest is None else lowest, usual[1] if highest is None else highest
    if whole and (start != int(start) or stop != int(stop)):
        raise ConfigError(f"{knob} is a whole number: bounds {start:g} and {stop:g} are not")
    if not 0 <= start < stop < float("inf") or (knob == "fps" and not start):
        raise ConfigError(f"bounds of {knob} must be positive, the second above the first; found {start:g}, {stop:g}")
    return start, stop


def _answer(
    question: Question,
    ladder: Sequence[Value],
    samples: Sequence[int],
    attempt: Callable[[Value, Engine], Attempt],
    engine: Engine,
) -> Fit:
    """Search the ladder from its wanted end."""

    def turned(place: int) -> int:
        return place if question.wanted == "smallest" else len(ladder) - 1 - place

    def judge(place: int) -> Attempt:
        return attempt(ladder[turned(place)], engine)

    def guide(place: int) -> Attempt:
        return attempt(ladder[turned(place)], "analytic")

    found: Search[Attempt] = search(
        len(ladder), [turned(place) for place in samples], judge if engine == "analytic" else guide, judge
    )
    windows = sorted(sorted(map(turned, window)) for window in found.windows)
    return Fit(
        question=question,
        found=None if found.place is None else found.outcome,
        beyond=found.before,
        nearest=found.outcome if found.place is None and found.outcome.possible else None,
        windows=tuple((ladder[first], ladder[end]) for first, end in windows),
        monotone=found.monotone,
        exhaustive=len({*samples}) == len(ladder),
        trail=tuple(outcome for _, _, outcome in found.trail),
    )
