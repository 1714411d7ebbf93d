"""Magnitude pruning of a tensor too large to sort: where to cut so that an exact number of weights stays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.codec.relative_index import SMALLEST_MAGNITUDE, Floats, Nonzeros, find

SAMPLE_ELEMENTS = 1 << 16
SAMPLE_RUN = 64  # elements in a row, so that a sample touches few pages
FIRST_MARGIN = 4.0  # standard deviations of a sample's quantile; whatever it misses is looked for with a wider one


@dataclass(frozen=True)
class Cut:
    """Keep magnitudes above `threshold`, and the first `n_ties` of those that equal it."""

    threshold: float
    n_ties: int | None = None  # None: all of them

    @property
    def keeps_all(self) -> bool:
        """Whether nothing but zeros is left out."""
        return self.threshold == SMALLEST_MAGNITUDE and self.n_ties is None

    def apply(self, flat: Floats, n_ties_before: int = 0) -> tuple[Nonzeros, int]:
        """What stays of a part of the tensor, and how many ties there were up to its end.

        Raises:
            ValueError: an element is not finite.
        """
        found = find(flat, threshold=self.threshold)
        if self.n_ties is None:
            return found, 0
        is_tie = np.abs(found.values) == np.float32(self.threshold)
        n_ties = n_ties_before + int(np.count_nonzero(is_tie))
        if n_ties <= self.n_ties:
            return found, n_ties
        ranks = np.cumsum(is_tie) + n_ties_before
        kept = ~is_tie | (ranks <= self.n_ties)
        positions = np.cumsum(found.skips.astype(np.int64) + 1)[kept] - 1
        skips = (np.diff(positions, prepend=-1) - 1).astype(np.uint32)
        return Nonzeros(found.values[kept], skips, np.array([len(skips)])), n_ties


def count_nonzero(flat: Floats) -> int:
    """Elements that are not zero. Raises ValueError when one is not finite."""
    from dcsim.compression import cut_kernels as kernels

    n_nonzero, largest = kernels.survey(flat.view(np.uint32))
    if largest >= _INFINITY:
        raise ValueError("an element is not finite")
    return int(n_nonzero)


def cut_at_density(flat: Floats, density: float) -> Cut:
    """The cut that keeps the `round(density * n)` largest magnitudes, at least one; ties keep the earlier position.

    A sample tells between which magnitudes the cut lies; one pass counts what is above and collects what is between.

    Args:
        flat: 1-D; zeros stay zeros, so that a tensor that is sparser already keeps all it has.
        density: share to keep, above 0, at most 1.
    """
    n_kept = max(1, round(density * len(flat)))
    if n_kept >= len(flat) or not len(flat):
        return Cut(SMALLEST_MAGNITUDE)
    from dcsim.compression import cut_kernels as kernels

    bits = flat.view(np.uint32)
    sample = _sample(bits)
    margin = FIRST_MARGIN
    while True:
        low, high = _bracket(sample, n_kept / len(flat), margin)
        collected = np.empty(len(flat), np.uint32)  # the system provides only what is written to
        n_between, n_above = kernels.collect_between(bits, low, high, collected)
        if n_above < n_kept <= n_above + n_between:
            return _cut_among(collected[:n_between], n_kept - n_above)
        if low == 0 and high > _INFINITY:
            raise AssertionError("a bracket of everything holds every rank")
        margin *= 8


_INFINITY = 0x7F800000


def _sample(bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Magnitudes of evenly spread runs of the tensor, ascending."""
    n_runs = len(bits) // SAMPLE_RUN
    step = max(1, n_runs * SAMPLE_RUN // SAMPLE_ELEMENTS)
    runs = bits[: n_runs * SAMPLE_RUN].reshape(n_runs, SAMPLE_RUN)[::step]
    return np.sort((runs if n_runs else bits).ravel() & np.uint32(0x7FFFFFFF))


def _bracket(sample: npt.NDArray[np.uint32], density: float, margin: float) -> tuple[np.uint32, np.uint32]:
    """Magnitudes, as bits, between which the one lies that `density` of all exceed; everything where it is in doubt."""
    middle = (1 - density) * len(sample)
    reach = margin * (np.sqrt(density * (1 - density) * len(sample)) + 1)
    below, above = int(middle - reach), int(np.ceil(middle + reach))
    low = sample[below] if below >= 0 else np.uint32(0)
    high = sample[above] if above < len(sample) else np.uint32(0xFFFFFFFF)
    return low, high


def _cut_among(magnitudes: npt.NDArray[np.uint32], n_kept: int) -> Cut:
    """The cut that keeps the `n_kept` largest of these."""
    at = len(magnitudes) - n_kept
    threshold = np.partition(magnitudes, at)[at]
    if threshold == 0:
        return Cut(SMALLEST_MAGNITUDE)
    n_above, n_equal = np.count_nonzero(magnitudes > threshold), np.count_nonzero(magnitudes == threshold)
    n_ties = n_kept - int(n_above)
    return Cut(float(threshold.view(np.float32)), None if n_ties == n_equal else n_ties)
