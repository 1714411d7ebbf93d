"""Weight sharing: 1-D k-means on the surviving weights (Han et al., Deep Compression, ICLR 2016, section 3).

Sorted values make every cluster a run, so a round of Lloyd's algorithm is one search for each edge and one difference
of prefix sums. What is returned is a fixed point: each value belongs to its nearest centroid, the lower one on a tie,
and each centroid that owns values is their mean. Which fixed point depends on where the centroids begin.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Initialization = Literal["linear", "density", "forgy", "optimal"]
Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating]

MAX_CENTROIDS = 1 << 10  # codes of 10 bits, the widest a recipe can ask for
LARGEST = float(np.finfo(np.float32).max)
#: points of the exact programme: 1 ms at 32 centroids, 0.25 s at 1024
MIN_POINTS, POINTS_PER_CENTROID, MAX_POINTS = 1 << 11, 64, 1 << 14
MIN_TALLIED = 1 << 16  # below, sorting all values costs less than counting them in buckets


@dataclass(frozen=True, eq=False)
class Clusters:
    """A clustering.

    Attributes:
        centroids: ascending, (n_centroids,).
        sizes: number of values, or sum of their weights, each centroid owns, (n_centroids,); 0 where it owns none.
        squared_error: sum of weight x squared distance to the nearest centroid.
        n_iterations: rounds of Lloyd's algorithm, the last of which moved nothing.
    """

    centroids: Floats
    sizes: Floats
    squared_error: float
    n_iterations: int

    @property
    def n_empty(self) -> int:
        """Centroids without a value."""
        return int(np.count_nonzero(self.sizes == 0))


def kmeans(
    values: Values,
    n_centroids: int,
    *,
    initialization: Initialization = "linear",
    weights: npt.NDArray[np.number] | None = None,
    seed: int = 0,
) -> Clusters:
    """Lloyd's algorithm to its fixed point, from one of the starts of section 3.2 or from the optimum.

    * linear: centroids evenly spaced over the range. One that owns no value stays where it is, which does happen in
      the pruned gap around zero.
    * density: at the quantiles (i + 1/2) / n_centroids.
    * forgy: distinct values drawn by `seed`, each as likely as its weight says.
    * optimal: the least squared error there is, by the dynamic programme of Wang and Song (The R Journal 3(2), 2011).
      Exact up to MIN_POINTS distinct values. More are first joined to POINTS_PER_CENTROID x n_centroids runs (at least
      MIN_POINTS, at most MAX_POINTS), then Lloyd's algorithm moves that optimum to a fixed point of all values.

    Means carry the rounding of float64 prefix sums: 2^-53 of the sum of all |weight x value|, for each addition.

    Args:
        values: 1-D, not empty, finite, within the range of float32, in any order.
        n_centroids: 1 to MAX_CENTROIDS; may exceed the number of distinct values.
        weights: how much each value counts, not negative, so that a histogram can be clustered; None is 1 each.
            A value of weight 0 is as good as absent.

    Raises:
        ValueError: an argument is not as said above.
    """
    if not 1 <= n_centroids <= MAX_CENTROIDS:
        raise ValueError(f"{n_centroids} centroids are not between 1 and {MAX_CENTROIDS}")
    values, weights = _checked(values, weights)
    if initialization == "optimal" and weights is None and values.dtype == np.float32:
        clusters = _optimal_of_many(values, n_centroids)
        if clusters:
            return clusters
    points = _sorted(values, weights)
    if initialization == "linear":
        start = np.linspace(float(points.values[0]), float(points.values[-1]), n_centroids)
    elif initialization == "density":
        start = _quantiles(points, n_centroids)
    elif initialization == "forgy":
        start = _draw(points, n_centroids, seed)
    elif initialization == "optimal":
        start = _optimum(points, n_centroids)
    else:
        raise ValueError(f"unknown initialization {initialization!r}")
    return _lloyd(points, start)


def kmeans_linear(values: Values, n_centroids: int) -> Floats:
    """The centroids of `kmeans` from evenly spaced ones."""
    return kmeans(values, n_centroids).centroids


def nearest(values: Values, centroids: Floats) -> npt.NDArray[np.int64]:
    """Index of the nearest of ascending `centroids` for every value, the lower one on a tie.

    Args:
        values: 1-D, finite.
        centroids: at least one.
    """
    from dcsim.compression import kmeans_kernels as kernels

    n_cells = 256 * min(len(centroids), 256)  # few cells hold a midpoint, and their table stays in the cache
    span = float(centroids[-1]) - float(centroids[0])
    cells_per_unit = n_cells / span if span > 0 else 0.0
    codes = np.empty(len(values), np.int64)
    kernels.nearest_codes(
        np.ascontiguousarray(values, np.float32 if values.dtype == np.float32 else np.float64),
        (centroids[1:] + centroids[:-1]) / 2,
        float(centroids[0]),
        cells_per_unit if np.isfinite(cells_per_unit) else 0.0,
        np.zeros(n_cells + 1, np.uint16),
        codes,
    )
    return codes


@dataclass(frozen=True, eq=False)
class _Points:
    """Ascending values. Weights and their prefix sums are None where every value counts once."""

    values: Values
    weights: Floats | None
    mass: Floats | None
    sums: Floats

    def of_runs(self, edges: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Mean and weight of the run between each two edges."""
        first, last = self.values[edges[:-1]], self.values[edges[1:] - 1]
        mass = np.diff(edges if self.mass is None else self.mass[edges]).astype(np.float64)
        return np.where(first == last, first, np.diff(self.sums[edges]) / mass), mass


def _checked(values: Values, weights: npt.NDArray[np.number] | None) -> tuple[Values, Floats | None]:
    """Contiguous float32 or float64 values, and the weights; without those of weight 0."""
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values of shape {values.shape} are not a 1-D array with something in it")
    values = np.ascontiguousarray(values, np.float32 if values.dtype == np.float32 else np.float64)
    if weights is not None:
        if weights.shape != values.shape:
            raise ValueError(f"{weights.shape} weights do not fit {values.shape} values")
        weights = weights.astype(np.float64)
        if not (weights.min() >= 0 and 0 < weights.sum() <= LARGEST):
            raise ValueError("weights must be finite, not negative and not all zero")
        values, weights = values.astype(np.float64)[weights > 0], weights[weights > 0]
    if not (-LARGEST <= values.min() and values.max() <= LARGEST):
        raise ValueError("values must be finite and within the range of float32")
    return values, weights


def _sorted(values: Values, weights: Floats | None) -> _Points:
    if weights is not None:
        order = np.argsort(values, kind="stable")
        return _points(values[order], weights[order])
    return _points(_ascending(values) if values.dtype == np.float32 else np.sort(values), None)


def _ascending(values: Values) -> Values:
    """float32 values in order. numpy's sort takes several times as long where AVX-512 compression is slow."""
    from dcsim.compression import kmeans_kernels as kernels

    ordered, scratch = np.empty_like(values), np.empty_like(values)
    kernels.sort_float32(values.view(np.uint32), ordered.view(np.uint32), scratch.view(np.uint32))
    return ordered


def _points(values: Values, weights: Floats | None) -> _Points:
    from dcsim.compression import kmeans_kernels as kernels

    sums = np.empty(len(values) + 1)
    kernels.prefix_sums(values, weights, sums)
    return _Points(values, weights, None if weights is None else np.concatenate([[0.0], np.cumsum(weights)]), sums)


def _lloyd(points: _Points, start: Floats) -> Clusters:
    from dcsim.compression import kmeans_kernels as kernels

    centroids = start.copy()
    edges, n_iterations = kernels.lloyd(points.values, points.mass, points.sums, centroids)
    sizes = np.diff(edges if points.mass is None else points.mass[edges]).astype(np.float64)
    error = kernels.squared_error(points.values, points.weights, edges, centroids)
    return Clusters(centroids, sizes, error, n_iterations)


def _quantiles(points: _Points, n_centroids: int) -> Floats:
    shares = (np.arange(n_centroids) + 0.5) / n_centroids
    if points.mass is None:
        at = (shares * len(points.values)).astype(np.int64)
    else:
        at = np.searchsorted(points.mass[1:-1], shares * points.mass[-1], side="right")
    return points.values[at].astype(np.float64)


def _draw(points: _Points, n_centroids: int, seed: int) -> Floats:
    """Distinct values, by weight: the smallest exponential / weight (Efraimidis and Spirakis, IPL 97(5), 2006)."""
    firsts = np.flatnonzero(np.concatenate([[True], np.diff(points.values) > 0]))
    distinct, mass = points.of_runs(np.append(firsts, len(points.values)))
    with np.errstate(over="ignore"):
        keys = np.random.default_rng(seed).standard_exponential(len(mass)) / mass
    n_drawn = min(n_centroids, len(distinct))
    return _filled_up(np.sort(distinct[np.argpartition(keys, n_drawn - 1)[:n_drawn]]), n_centroids)


def _optimum(points: _Points, n_centroids: int) -> Floats:
    """The optimal centroids of the distinct values, or of as many runs of them as the programme takes."""
    from dcsim.compression import kmeans_kernels as kernels

    edges = kernels.split(points.values, points.mass, _n_points(n_centroids))
    means, mass = points.of_runs(edges)
    runs = kernels.optimal_edges(means, mass, min(n_centroids, len(means)))
    centroids, _ = points.of_runs(edges[runs])
    return _filled_up(centroids, n_centroids)


def _n_points(n_centroids: int) -> int:
    return min(max(MIN_POINTS, POINTS_PER_CENTROID * n_centroids), MAX_POINTS)


def _filled_up(centroids: Floats, n_centroids: int) -> Floats:
    """With the largest repeated, which leaves the repetitions without values."""
    return np.pad(centroids, (0, n_centroids - len(centroids)), mode="edge")


def _optimal_of_many(values: Values, n_centroids: int) -> Clusters | None:
    """The optimum of many float32 values without sorting them all; None where that does not pay.

    Values are counted in buckets. Those in buckets near an edge are looked at one by one; of a bucket that lies within
    one cluster, count, sum and squared error are enough. Buckets are opened until no edge divides a closed one.
    """
    from dcsim.compression import kmeans_kernels as kernels

    if not MIN_TALLIED <= len(values) <= kernels.MAX_TALLIED:
        return None
    buckets = _Buckets.of(values)
    reach = len(buckets.means) // _n_points(n_centroids)  # a run of the programme is as wide: so far may an edge be off
    if reach == 0:  # perhaps few distinct values, which deserve the exact optimum
        return None
    centroids = _optimum(_points(buckets.means, buckets.counts), n_centroids)
    is_open = np.zeros(len(buckets.means), np.bool_)
    n_iterations = 0
    while True:
        edges = (centroids[1:] + centroids[:-1]) / 2
        at = np.searchsorted(buckets.lowest, edges, side="right") - 1
        if n_iterations and (is_open[at] | (buckets.highest[at] <= edges)).all():
            break
        is_open[np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, len(is_open) - 1)] = True
        clusters = _lloyd(buckets.opened(values, is_open), centroids)
        centroids, n_iterations = clusters.centroids, n_iterations + clusters.n_iterations
    error = clusters.squared_error + float(buckets.squared_errors[~is_open].sum())
    return Clusters(centroids, clusters.sizes, error, n_iterations)


@dataclass(frozen=True, eq=False)
class _Buckets:
    """float32 values by their leading bits, in ascending order; the squared error is that about the bucket's mean."""

    keys: npt.NDArray[np.int64]
    lowest: Floats
    highest: Floats
    counts: Floats
    means: Floats
    squared_errors: Floats

    @classmethod
    def of(cls, values: Values) -> "_Buckets":
        from dcsim.compression import kmeans_kernels as kernels

        words, squares = np.zeros((2, kernels.N_BUCKETS), np.uint64)
        kernels.tally(values.view(np.uint32), words, squares)
        keys = np.flatnonzero(words != 0)
        n_positive = np.searchsorted(keys, kernels.N_BUCKETS // 2)  # the sign is the first bit
        keys = np.concatenate([keys[n_positive:][::-1], keys[:n_positive]])
        counts = (words[keys] >> kernels.COUNT_SHIFT).astype(np.float64)
        sums = (words[keys] & ((1 << kernels.COUNT_SHIFT) - 1)).astype(np.float64)
        first = (keys << kernels.LOW_BITS).astype(np.uint32)
        low_mask = (1 << kernels.LOW_BITS) - 1
        ends = np.stack([first, first | low_mask]).view(np.float32).astype(np.float64)
        step = (ends[1] - ends[0]) / low_mask  # the values a bucket can hold are evenly spaced
        errors = step**2 * np.maximum(squares[keys] - sums * sums / counts, 0)
        return cls(keys, ends.min(axis=0), ends.max(axis=0), counts, ends[0] + step * (sums / counts), errors)

    def opened(self, values: Values, is_open: npt.NDArray[np.bool_]) -> _Points:
        """The values of open buckets one by one, and closed buckets as points that weigh what they hold."""
        from dcsim.compression import kmeans_kernels as kernels

        wanted = np.zeros(kernels.N_BUCKETS, np.uint8)
        wanted[self.keys[is_open]] = 1
        picked = np.empty(int(self.counts[is_open].sum()) + 1, np.uint32)
        kernels.pick(values.view(np.uint32), wanted, picked)
        single = _ascending(picked[:-1].view(np.float32)).astype(np.float64)
        at = np.searchsorted(single, self.means[~is_open])
        weights = np.insert(np.ones(len(single)), at, self.counts[~is_open])
        return _points(np.insert(single, at, self.means[~is_open]), weights)
