"""The first place on a ladder of values at which something fits: samples first, then halves, then a surer engine.

Places are numbered from the most wanted one, so the first that fits is the answer. The guide is quick and settles where
to look; the judge has the last word on the answer and on the place before it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isinf
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

Value = int | float | str

N_SAMPLES = 33
MOST_TRIED = 64  # a ladder of no more values is tried value by value
N_DOUBLINGS = 7
MOST_ZOOMS, ZOOM = 6, 12  # rounds of finer samples around a nearest miss, and parts in each
EVERY_WHOLE_NUMBER = 1 << 20  # a longer ladder of whole numbers goes in steps of four digits
FOUR_DIGITS = range(1000, 10_000)
LONGEST_RATIO = 1 << 24  # where a ladder of numbers begins at 0: from the next value to the last


class Outcome(Protocol):
    """What is known of a place: whether it fits and, if it does not, by how much it misses; infinite without a figure.

    A place that is not `possible` never fits, and says nothing about those that are.
    """

    @property
    def fits(self) -> bool:
        """Whether it keeps what is asked."""

    @property
    def possible(self) -> bool:
        """Whether it could be tried at all."""

    @property
    def miss(self) -> float:
        """How far it is beyond what is asked; what fits is at most 0."""


T = TypeVar("T", bound=Outcome)
Asking = Callable[[int], T]


@dataclass(frozen=True)
class Search(Generic[T]):
    """What a search came to.

    Attributes:
        place: the first one that fits; None when none was found.
        outcome: there; with no such place, of the possible one that misses least, by the judge.
        before: of the place before it, which does not fit, or where that is not possible of the last one tried that is;
            None at the start of the ladder.
        windows: first and last sample of every run of samples that fit, by the guide; impossible ones are no samples.
        monotone: the samples change at most once between fitting and not fitting.
        trail: (place, asked of the judge, outcome) in the order of asking.
    """

    place: int | None
    outcome: T
    before: T | None
    windows: tuple[tuple[int, int], ...]
    monotone: bool
    trail: tuple[tuple[int, bool, T], ...]


@dataclass
class _Asked(Generic[T]):
    """Outcomes that are known, so that nobody is asked twice."""

    guide: Asking[T]
    judge: Asking[T]
    trail: dict[tuple[int, bool], T] = field(default_factory=dict)

    def __call__(self, place: int, of_judge: bool) -> T:
        of_judge = of_judge or self.guide is self.judge
        if (place, of_judge) not in self.trail:
            self.trail[place, of_judge] = (self.judge if of_judge else self.guide)(place)
        return self.trail[place, of_judge]

    def before(self, place: int) -> T:
        """The outcome one place before, or of the last possible place before that one that was tried."""
        if not self(place - 1, True).possible:
            for earlier in sorted({at for at, _ in self.trail if at < place}, reverse=True):
                if self(earlier, False).possible:
                    return self(earlier, True)
        return self(place - 1, True)

    def first(self, failing: int, fitting: int, of_judge: bool) -> int:
        """The first place that fits after `failing`, up to `fitting`, taken for the only change between them."""
        while fitting - failing > 1:
            middle = (failing + fitting) // 2
            if self(middle, of_judge).fits:
                fitting = middle
            else:
                failing = middle
        return fitting


def search(n_places: int, samples: Iterable[int], guide: Asking[T], judge: Asking[T]) -> Search[T]:
    """Find the first of `n_places` that fits.

    Where the samples change more than once between fitting and not, the answer is the first fitting sample, refined
    towards the sample before it. Where no sample fits, more are taken around the one that misses least. Narrower
    windows between samples are not seen.

    Args:
        samples: places to ask the guide about before anything else; the first and the last are added.
        guide, judge: outcome of a place; the same function for both when there is one engine.
    """
    asked = _Asked(guide, judge)
    order = sorted({0, n_places - 1, *samples})
    if not any(asked(place, False).fits for place in order):
        order = _zoomed(asked, order)
    possible = [place for place in order if asked(place, False).possible]
    fit = [asked(place, False).fits for place in possible]
    windows = _windows(possible, fit)
    if windows:
        start = windows[0][0]
        before = max((place for place in order if place < start), default=-1)
        start = asked.first(before, start, False)
    else:
        start = min(possible or order, key=lambda place: (asked(place, False).miss, -place))
    place = _settle(asked, start, n_places) if windows or asked(start, True).fits else None
    found = start if place is None else place
    return Search(
        place,
        asked(found, True),
        asked.before(place) if place else None,
        windows,
        sum(earlier != later for earlier, later in pairwise(fit)) <= 1,
        tuple((at, of_judge, outcome) for (at, of_judge), outcome in asked.trail.items()),
    )


def _zoomed(asked: _Asked[T], order: list[int]) -> list[int]:
    """The samples, and finer ones around the nearest miss until one fits or its neighbours are known."""
    for _ in range(MOST_ZOOMS):
        best = min(range(len(order)), key=lambda at: (asked(order[at], False).miss, -order[at]))
        low, high = order[max(best - 1, 0)], order[min(best + 1, len(order) - 1)]
        finer = sorted({low + (high - low) * part // ZOOM for part in range(ZOOM + 1)} - {*order})
        if not finer or isinf(asked(order[best], False).miss):
            break
        order = sorted({*order, *finer})
        if any(asked(place, False).fits for place in finer):
            break
    return order


def _windows(order: list[int], fit: list[bool]) -> tuple[tuple[int, int], ...]:
    windows: list[tuple[int, int]] = []
    open_window = False
    for place, fits in zip(order, fit, strict=True):
        if fits:
            windows = [*windows[:-1], (windows[-1][0], place)] if open_window else [*windows, (place, place)]
        open_window = fits
    return tuple(windows)


def _settle(asked: _Asked[T], start: int, n_places: int) -> int | None:
    """The judge's first place near `start`: strides that double until its verdict changes, then halves."""
    stride = 1
    if asked(start, True).fits:
        fitting = start
        while fitting and asked(max(fitting - stride, 0), True).fits:
            fitting, stride = max(fitting - stride, 0), 2 * stride
        return asked.first(max(fitting - stride, 0), fitting, True) if fitting else 0
    failing = start
    while failing < n_places - 1 and not asked(min(failing + stride, n_places - 1), True).fits:
        failing, stride = min(failing + stride, n_places - 1), 2 * stride
    return None if failing == n_places - 1 else asked.first(failing, min(failing + stride, n_places - 1), True)


def values_between(lowest: float, highest: float, whole: bool) -> Sequence[Value]:
    """All values that are tried, ascending: whole numbers, or numbers of four digits and the bounds themselves."""
    if whole and highest - lowest < EVERY_WHOLE_NUMBER:
        return range(int(lowest), int(highest) + 1)
    floor = lowest or highest / LONGEST_RATIO
    least_exponent, most_exponent = (int(f"{bound:e}".partition("e")[2]) for bound in (floor, highest))
    numbers = (
        float(f"{digits}e{exponent - 3}")
        for exponent in range(least_exponent, most_exponent + 1)
        for digits in FOUR_DIGITS
    )
    inside = [number for number in numbers if floor < number < highest]
    return list(dict.fromkeys(round(v) if whole else float(v) for v in (lowest, *inside, highest)))


def spread(ladder: Sequence[Any], base: float | None) -> list[int]:
    """Places to ask first: evenly spread over the logarithm, and `base` doubled and halved; all of a short ladder."""
    if len(ladder) <= MOST_TRIED:
        return list(range(len(ladder)))
    least = ladder[0] or ladder[1]
    wanted = np.geomspace(least, ladder[-1], N_SAMPLES).tolist()
    wanted += [base * ratio for n in range(N_DOUBLINGS) for ratio in (2.0**n, 2.0**-n)] if base else []
    return [_place(ladder, value) for value in wanted if least <= value <= ladder[-1]]


def _place(ladder: Sequence[Any], value: float) -> int:
    """Of the value that is nearest."""
    after = min(bisect_left(ladder, value), len(ladder) - 1)
    return after - 1 if after and value - ladder[after - 1] < ladder[after] - value else after
