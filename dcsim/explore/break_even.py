"""Break-even points: the frame rate from which one design uses less power than another, and the SRAM that is enough.

A design is a trace on a chip. As long as both keep up, the power of each is a straight line over the frame rate:

    P(f) = P_idle + f (E_dynamic + (P_busy - P_idle) t_service)

so that two designs with different idle power meet once at most, at f = dP_idle / dE, and two with the same idle power,
such as two storage variants on one chip, nowhere: the one with less energy is ahead at any rate. With operating points
that the chip chooses itself the lines have steps, which is why rates are searched and not solved for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from dcsim.errors import ConfigError, DcsimError, SimulationError
from dcsim.explore.bisection import search, values_between
from dcsim.explore.chips import chip_at
from dcsim.explore.fit import highest_fps
from dcsim.simulation.placement import INPUT_NAME, place
from dcsim.simulation.simulate import Engine, simulate
from dcsim.soc.spec import CactiSram, FixedPlacement, SocSpec, load_soc
from dcsim.traces.trace import INPUT, Trace, consumers
from dcsim.units import ceil_div, kib_to_bytes

FPS_RANGE = 10_000  # rates from the highest that both keep up with down to this part of it
SAME = 2.0**-40  # powers that differ by less are equal: they are sums of some hundred terms
PLENTY_KIB = 1 << 40  # more than any network has

Floats = npt.NDArray[np.float64]
Ahead = Literal["always", "from", "up to", "never", "in parts"]


@dataclass(frozen=True)
class Design:
    """A trace on a chip, and what it is called."""

    name: str
    trace: Trace
    soc: SocSpec


@dataclass(frozen=True)
class BreakEven:
    """At which frame rates one design uses less power, and so less energy a frame, than another.

    Attributes:
        design, reference: names of the two.
        ahead: at every rate of the range, from `fps` on, up to `fps`, at none, or in parts of the range, the first of
            which begins at `fps`.
        fps: a rate of four digits at which the design uses less; one step of the last digit on towards the other side,
            it does not. None where there is no such rate.
        lowest_fps, highest_fps: the range: up to what both keep up with.
        watts, reference_watts: at `fps`, or at the highest rate.
        design_fps, reference_fps: the highest rate that each keeps up with.
    """

    design: str
    reference: str
    ahead: Ahead
    fps: float | None
    lowest_fps: float
    highest_fps: float
    watts: float
    reference_watts: float
    design_fps: float
    reference_fps: float


@dataclass(frozen=True)
class _Comparison:
    """Powers of two designs at one frame rate."""

    watts: float
    reference_watts: float

    @property
    def possible(self) -> bool:
        return True

    @property
    def fits(self) -> bool:
        return self.watts < self.reference_watts * (1 - SAME)

    @property
    def miss(self) -> float:
        return max(0.0, self.watts / self.reference_watts - 1) if self.reference_watts else float("inf")


def break_even(design: Design, reference: Design, engine: Engine = "event") -> BreakEven:
    """Find the frame rate from which (or up to which) `design` uses less power than `reference`.

    Args:
        engine: that has the last word on the rate and on the one a step before it.

    Raises:
        DcsimError: one of them cannot be run.
    """

    limits_fps = [highest_fps(which.trace, which.soc) for which in (design, reference)]
    top_fps = min(limits_fps)
    ladder = np.array(values_between(top_fps / FPS_RANGE, top_fps, whole=False), np.float64)
    watts, reference_watts = (_watts(which, ladder) for which in (design, reference))
    less = watts < reference_watts * (1 - SAME)
    changes = np.flatnonzero(less[1:] != less[:-1])
    downward = bool(less[0])

    def guide(place: int) -> _Comparison:
        return _Comparison(float(watts[turned(place)]), float(reference_watts[turned(place)]))

    @cache
    def judge(fps: float) -> _Comparison:
        results = [simulate(which.trace, which.soc, fps, engine=engine) for which in (design, reference)]
        return _Comparison(*(result.average_power_watts for result in results))

    def turned(place: int) -> int:
        return len(ladder) - 1 - place if downward else place

    found = search(
        len(ladder),
        [turned(int(place)) for place in (*changes, *(changes + 1))],
        guide,
        lambda place: judge(float(ladder[turned(place)])),
    )
    ahead: Ahead = "never"
    fps = None
    if found.place is not None and not found.monotone:
        ahead, fps = "in parts", float(ladder[turned(found.place)])
    elif found.place == 0:
        ahead = "always"
    elif found.place is not None:
        ahead, fps = ("up to" if downward else "from"), float(ladder[turned(found.place)])
    at = judge(fps or top_fps)
    return BreakEven(
        design.name,
        reference.name,
        ahead,
        fps,
        float(ladder[0]),
        top_fps,
        at.watts,
        at.reference_watts,
        *limits_fps,
    )


def _watts(design: Design, rates_hz: Floats) -> Floats:
    """Power demanded at each frame rate, by the analytic engine [W]."""
    from dcsim.simulation.analytic import estimate  # compiled

    return estimate(design.trace, design.soc, fps=rates_hz).average_power_watts


@dataclass(frozen=True)
class OnChip:
    """The least SRAM with which a frame moves no byte from or to the DRAM.

    Attributes:
        capacity_kib: one KiB less, and something moves; None where something always moves.
        dram_bytes_before: that a frame moves with one KiB less; None where the network then does not run at all.
        why: why something always moves; or why the chip's file could not say so: the table of its SRAM ends before.
        soc: the chip with that SRAM; None without one.
    """

    variant: str
    capacity_kib: int | None
    dram_bytes_before: int | None
    why: str
    soc: SocSpec | None


def on_chip(trace: Trace, soc: SocSpec) -> OnChip:
    """Find the least SRAM of a chip that holds all of a network: buffers, weights, and activations while needed."""
    if any(layer.n_state_inputs or layer.n_state_outputs for layer in trace.layers):
        return OnChip(trace.variant, None, None, "what it keeps from frame to frame lies in DRAM", None)
    if soc.idle.sram == "off":
        return OnChip(trace.variant, None, None, "the SRAM is off between frames and loses the weights", None)
    soc = soc.model_copy(update={"placement": None})
    everything = FixedPlacement(
        weights=tuple(layer.name for layer in trace.layers if layer.stored_bytes),
        activations=tuple(INPUT_NAME if at == INPUT else trace.layers[at].name for at, _ in consumers(trace)),
    )
    try:
        held = place(trace, _sized(soc, PLENTY_KIB).model_copy(update={"placement": everything}))
    except SimulationError as error:  # the DRAM, which holds the file, is too small
        return OnChip(trace.variant, None, None, str(error), None)
    capacity_kib = ceil_div(held.peak_bytes, kib_to_bytes(1))
    while _dram_bytes(trace, _sized(soc, capacity_kib)) != 0:
        capacity_kib += 1  # the choice of what stays rounds sizes up
    before = _dram_bytes(trace, _sized(soc, capacity_kib - 1)) if capacity_kib > 1 else None
    try:
        return OnChip(trace.variant, capacity_kib, before, "", chip_at(soc, {"sram.capacity_kib": capacity_kib}))
    except DcsimError as error:
        return OnChip(trace.variant, capacity_kib, before, str(error), None)


def _sized(soc: SocSpec, capacity_kib: int) -> SocSpec:
    """The chip with another SRAM, whether or not it is known what that costs."""
    return soc.model_copy(update={"sram": soc.sram.model_copy(update={"capacity_kib": capacity_kib})})


def _dram_bytes(trace: Trace, soc: SocSpec) -> int | None:
    """Bytes that a frame moves; None where the network does not run."""
    try:
        return place(trace, soc).dram_bytes_per_frame
    except SimulationError:
        return None


@dataclass(frozen=True)
class BreakEvens:
    """All break-even points of a network on a chip.

    Attributes:
        sram_kib: what the chip has.
        sized: whether a larger SRAM of its kind costs more energy; the literature's constant one does not.
        storage: each variant against the first that runs, both on the chip as it is.
        on_chip: how much SRAM each variant takes to run without the DRAM.
        moving: each variant with just that SRAM against itself on the chip as it is, where both are possible and it
            costs something.
        faults: of variants that do not run on the chip as it is, why.
    """

    network: str
    synthetic: bool
    soc: str
    sram_kib: int
    sized: bool
    storage: tuple[BreakEven, ...]
    on_chip: tuple[OnChip, ...]
    moving: tuple[BreakEven, ...]
    faults: dict[str, str]


def break_evens(traces: Sequence[Trace], soc: SocSpec | str, engine: Engine = "event") -> BreakEvens:
    """When compression pays, and when more SRAM does.

    Args:
        traces: variants of one network, the reference first.

    Raises:
        ConfigError: they are not variants of one network.
    """
    soc = load_soc(soc) if isinstance(soc, str) else soc
    if len({trace.network for trace in traces}) != 1 or len({trace.variant for trace in traces}) != len(traces):
        listed = ", ".join(f"{trace.network} {trace.variant}" for trace in traces)
        raise ConfigError(f"expected traces of one network, one for each variant; found {listed}")
    designs: list[Design] = []
    faults: dict[str, str] = {}
    for trace in traces:
        try:
            place(trace, soc)
            designs.append(Design(trace.variant, trace, soc))
        except SimulationError as error:
            faults[trace.variant] = str(error)
    storage = [break_even(design, designs[0], engine) for design in designs[1:]]
    enough = [on_chip(trace, soc) for trace in traces]
    sized = isinstance(soc.sram, CactiSram)
    moving = []
    for trace, found in zip(traces, enough, strict=True):
        as_it_is = next((design for design in designs if design.trace is trace), None)
        if sized and as_it_is and found.soc and found.capacity_kib != soc.sram.capacity_kib:
            moved = Design(f"{trace.variant}, {found.capacity_kib} KiB", trace, found.soc)
            moving.append(break_even(moved, as_it_is, engine))
    return BreakEvens(
        network=traces[0].network,
        synthetic=any(trace.synthetic for trace in traces),
        soc=soc.name,
        sram_kib=soc.sram.capacity_kib,
        sized=sized,
        storage=tuple(storage),
        on_chip=tuple(enough),
        moving=tuple(moving),
        faults=faults,
    )
