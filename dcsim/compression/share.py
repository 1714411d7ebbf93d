"""Weight sharing: 1-D k-means on the surviving weights (Han et al., Deep Compression, ICLR 2016, section 3).

In sorted values a cluster is a run, so a round of Lloyd's algorithm is one search for each edge between two runs and
one difference of prefix sums. What comes out is a fixed point: a value belongs to its nearest centroid, the lower one
on a tie, and a centroid that owns values is their mean. Which fixed point depends on where the centroids begin.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dcsim.compression.kmeans_buckets import MAX_VALUES, Buckets

Initialization = Literal["linear", "density", "forgy", "optimal"]
Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating]
Edges = npt.NDArray[np.int64]

MAX_CENTROIDS = 1 << 10  # codes of 10 bits, the widest a recipe can ask for
LARGEST = float(np.finfo(np.float32).max)
#: points of the exact programme, which takes 1 ms on the fewest and 0.25 s on the most
MIN_POINTS, POINTS_PER_CENTROID, MAX_POINTS = 1 << 11, 64, 1 << 14
#: with fewer values, sorting costs no more than counting in buckets; with more centroids, no more than the programme
MIN_COUNTED_VALUES, MAX_COUNTED_CENTROIDS = 1 << 16, 1 << 6
MAX_SETTLING_LOSS = 1e-4  # of squared error among buckets, which are as coarse


@dataclass(frozen=True, eq=False)
class Clusters:
    """What `kmeans` found.

    Attributes:
        centroids: ascending, (n_centroids,).
        sizes: number of values each centroid owns, or the sum of their weights, (n_centroids,); 0 where it owns none.
        squared_error: sum of weight x squared distance to the nearest centroid.
        n_iterations: rounds of Lloyd's algorithm, the last of which moved nothing.
    """

    centroids: Floats
    sizes: Floats
    squared_error: float
    n_iterations: int

    @property
    def n_empty(self) -> int:
        """Centroids that own no value."""
        return int(np.count_nonzero(self.sizes == 0))


def kmeans(
    values: Values,
    n_centroids: int,
    *,
    initialization: Initialization = "linear",
    weights: npt.NDArray[np.number] | None = None,
    seed: int = 0,
) -> Clusters:
    """Lloyd's algorithm to its fixed point, from one of the three starts of section 3.2 or from the optimum.

    * linear: evenly spaced over the range. A centroid that owns no value stays where it is, and in the gap that
      pruning leaves around zero this does happen.
    * density: at the quantiles (i + 1/2) / n_centroids.
    * forgy: distinct values drawn by `seed`, each as likely as it is frequent.
    * optimal: the least squared error possible, by the dynamic programme of Wang and Song (The R Journal 3(2), 2011).
      Exact up to MIN_POINTS distinct values. More are first joined to POINTS_PER_CENTROID x n_centroids runs, but at
      least MIN_POINTS and at most MAX_POINTS, and Lloyd's algorithm ends at a fixed point of the values themselves.
      Its error was within 1e-4 of that of a programme of 65000 points up to 256 centroids, and within 2e-4 at 1024.

    Means are differences of float64 prefix sums and carry their rounding: n x 2^-53 of the sum of |weight x value|.

    Args:
        values: 1-D, not empty, finite, within the range of float32, in any order.
        n_centroids: 1 to MAX_CENTROIDS; may exceed the number of distinct values.
        weights: how often each value counts, not negative, so that a histogram can be clustered; None is once each.
            A value of weight 0 is as good as absent.

    Raises:
        ValueError: an argument is not as said above.
    """
    if not 1 <= n_centroids <= MAX_CENTROIDS:
        raise ValueError(f"{n_centroids} centroids are not between 1 and {MAX_CENTROIDS}")
    values, weights = _usable(values, weights)
    if initialization == "optimal" and weights is None and values.dtype == np.float32:
        clusters = _optimal_of_many(values, n_centroids)
        if clusters is not None:
            return clusters
    points = _sorted(values, weights)
    # networks were trained from bare means of float32 values, and shall come out the same to the bit
    is_bare = initialization == "linear" and weights is None and values.dtype == np.float32
    return _lloyd(points, _start(points, n_centroids, initialization, seed), is_bare)


def nearest(values: Values, centroids: Floats) -> npt.NDArray[np.int64]:
    """Index of the nearest of ascending `centroids` for every value, the lower one on a tie: as in `kmeans`.

    Args:
        values: (n,), finite.
        centroids: (n_centroids,), at least one and at most 2^16, finite.

    Returns:
        (n,)
    """
    codes = np.empty(len(values), np.int64)
    _nearest_codes(values, centroids, False, codes)
    return codes


def codes_of(values: Values, codebook: Values) -> npt.NDArray[np.unsignedinteger]:
    """The code of every value: 0 for zeros, for others the nearest value in the rest of the codebook.

    Args:
        values: (n,), finite.
        codebook: zero, then ascending values; at most 2^16 in all, and more than one unless all values are zero.

    Returns:
        (n,), uint8 where that holds the codes, else uint16.
    """
    codes: npt.NDArray[np.unsignedinteger] = np.zeros(len(values), np.uint8 if len(codebook) <= 1 << 8 else np.uint16)
    if len(codebook) > 1:
        _nearest_codes(values, codebook[1:].astype(np.float64), True, codes)
    return codes


def _nearest_codes(values: Values, centroids: Floats, zero_apart: bool, codes: npt.NDArray[np.integer]) -> None:
    from dcsim.compression import kmeans_kernels as kernels

    n_cells = 256 * min(len(centroids), 256)  # few cells hold a midpoint, and their table stays in the cache
    span = float(centroids[-1]) - float(centroids[0])
    kernels.nearest_codes(
        _plain(values),
        (centroids[1:] + centroids[:-1]) / 2,
        float(centroids[0]),
        n_cells / span if span > 0 else 0.0,
        np.zeros(n_cells + 1, np.uint16),
        zero_apart,
        codes,
    )


@dataclass(frozen=True, eq=False)
class _Points:
    """Ascending values. Weights, and their prefix sums, are None where every value counts once."""

    values: Values
    weights: Floats | None
    mass: Floats | None
    sums: Floats

    def masses(self, edges: Edges) -> Floats:
        """Weight of the run between each two edges."""
        return np.diff(edges if self.mass is None else self.mass[edges]).astype(np.float64)

    def means(self, edges: Edges) -> Floats:
        """Mean of each run, within the run; its first value where its weights are too small for prefix sums to show."""
        first, last = self.values[edges[:-1]].astype(np.float64), self.values[edges[1:] - 1]
        masses, means = self.masses(edges), first.copy()
        np.divide(np.diff(self.sums[edges]), masses, out=means, where=masses > 0)
        return np.clip(means, first, last)


def _usable(values: Values, weights: npt.NDArray[np.number] | None) -> tuple[Values, Floats | None]:
    """Values and weights as the kernels take them, without those of weight 0."""
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values of shape {values.shape} are not a list of at least one")
    if weights is None:
        return _plain(values), None
    if weights.shape != values.shape:
        raise ValueError(f"weights of shape {weights.shape} do not fit values of shape {values.shape}")
    counts = weights.astype(np.float64)
    if not (counts.min() >= 0 and 0 < counts.sum() <= LARGEST):
        raise ValueError("weights must be finite, not negative and not all zero")
    return values[counts > 0].astype(np.float64), counts[counts > 0]


def _plain(values: Values) -> Values:
    return np.ascontiguousarray(values, np.float32 if values.dtype == np.float32 else np.float64)


def _check_range(lowest: float, highest: float) -> None:
    if not -LARGEST <= lowest <= highest <= LARGEST:  # a NaN sorts to one of the ends
        raise ValueError("values must be finite and within the range of float32")


def _sorted(values: Values, weights: Floats | None) -> _Points:
    if weights is not None:
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
    else:
        values = _sorted_float32(values) if values.dtype == np.float32 else np.sort(values)
    _check_range(values[0], values[-1])
    return _points(values, weights)


def _sorted_float32(values: Values) -> Values:
    """As np.sort, which took 6 times as long for 3.4 million values (AMD EPYC with AVX-512, numpy 2.4)."""
    from dcsim.compression import kmeans_kernels as kernels

    ordered, scratch = np.empty_like(values), np.empty_like(values)
    kernels.sort_float32(values.view(np.uint32), ordered.view(np.uint32), scratch.view(np.uint32))
    return ordered


def _points(ascending: Values, weights: Floats | None) -> _Points:
    from dcsim.compression import kmeans_kernels as kernels

    sums = np.empty(len(ascending) + 1)
    kernels.prefix_sums(ascending, weights, sums)
    return _Points(ascending, weights, None if weights is None else np.append(0.0, np.cumsum(weights)), sums)


def _lloyd(points: _Points, start: Floats, is_bare: bool = False) -> Clusters:
    from dcsim.compression import kmeans_kernels as kernels

    centroids = start.copy()
    edges, n_iterations = kernels.lloyd(points.values, points.mass, points.sums, centroids, is_bare)
    error = kernels.squared_error(points.values, points.weights, edges, centroids)
    return Clusters(centroids, points.masses(edges), error, n_iterations)


def _start(points: _Points, n_centroids: int, initialization: Initialization, seed: int) -> Floats:
    if initialization == "linear":
        return np.linspace(float(points.values[0]), float(points.values[-1]), n_centroids)
    if initialization == "density":
        return _quantiles(points, n_centroids)
    if initialization == "forgy":
        return _drawn(points, n_centroids, seed)
    if initialization == "optimal":
        return _optimum(points, _runs(points, n_centroids), n_centroids)
    raise ValueError(f"unknown initialization {initialization!r}")


def _quantiles(points: _Points, n_centroids: int) -> Floats:
    shares = (np.arange(n_centroids) + 0.5) / n_centroids
    if points.mass is None:
        at = (shares * len(points.values)).astype(np.int64)
    else:
        at = np.searchsorted(points.mass[1:-1], shares * points.mass[-1], side="right")
    return points.values[at].astype(np.float64)


def _drawn(points: _Points, n_centroids: int, seed: int) -> Floats:
    """Distinct values, by weight: the smallest exponential / weight (Efraimidis and Spirakis, IPL 97(5), 2006)."""
    is_first = np.append(True, points.values[1:] != points.values[:-1])
    edges = np.append(np.flatnonzero(is_first), len(points.values))
    noise = np.random.default_rng(seed).standard_exponential(len(edges) - 1)
    with np.errstate(divide="ignore", over="ignore"):  # weights so small that they are never drawn
        keys = noise / points.masses(edges)
    n_drawn = min(n_centroids, len(keys))
    drawn = np.sort(np.argpartition(keys, n_drawn - 1)[:n_drawn])
    return _filled_up(points.values[edges[drawn]], n_centroids)


def _runs(points: _Points, n_centroids: int) -> Edges:
    """Edges of the distinct values, or of as many runs of them as the programme takes."""
    from dcsim.compression import kmeans_kernels as kernels

    n_runs = min(max(MIN_POINTS, POINTS_PER_CENTROID * n_centroids), MAX_POINTS)
    edges: Edges = kernels.split(points.values, points.mass, n_runs)
    return edges


def _optimum(points: _Points, runs: Edges, n_centroids: int) -> Floats:
    """Optimal centroids for the means of `runs`."""
    from dcsim.compression import kmeans_kernels as kernels

    of_runs = kernels.optimal_edges(points.means(runs), points.masses(runs), min(n_centroids, len(runs) - 1))
    return _filled_up(points.means(runs[of_runs]), n_centroids)


def _filled_up(centroids: Values, n_centroids: int) -> Floats:
    """With the largest repeated: on a tie values go to the first of them."""
    return np.pad(centroids.astype(np.float64), (0, n_centroids - len(centroids)), mode="edge")


def _optimal_of_many(values: Values, n_centroids: int) -> Clusters | None:
    """The optimum of many float32 values without sorting them all; None where that does not pay.

    Values are counted in buckets. Those in buckets near an edge are looked at one by one; buckets that lie within one
    cluster are points that weigh what they hold. Buckets are opened until no edge divides a closed one, which the first
    opening most often achieves: edges that settled within buckets move little among values.
    """
    if not MIN_COUNTED_VALUES <= len(values) <= MAX_VALUES or n_centroids > MAX_COUNTED_CENTROIDS:
        return None
    buckets = Buckets.of(values)
    if buckets is None:
        return None
    points = _points(buckets.means, buckets.counts)
    runs = _runs(points, n_centroids)
    if len(runs) > len(buckets.means):  # perhaps few distinct values, which deserve the exact optimum
        return None
    centroids, n_iterations = _settled(_optimum(points, runs, n_centroids), points, buckets), 0
    is_open = np.zeros(len(buckets.means), np.bool_)
    while True:
        edges, near = (centroids[1:] + centroids[:-1]) / 2, np.diff(centroids) / 128
        if n_iterations and is_open[buckets.divided(edges)].all():
            break
        for first, last in zip(buckets.at(edges - near), buckets.at(edges + near), strict=True):
            is_open[first : last + 1] = True
        single = _sorted_float32(buckets.values_in(is_open, values))
        clusters = _lloyd(_merged(single, buckets.means[~is_open], buckets.counts[~is_open]), centroids)
        centroids, n_iterations = clusters.centroids, n_iterations + clusters.n_iterations
    inner = buckets.squared_error(is_open, values, single)
    if inner is None:
        return _lloyd(_sorted(values, None), centroids)
    return Clusters(centroids, clusters.sizes, clusters.squared_error + inner, n_iterations)


def _settled(optimum: Floats, points: _Points, buckets: Buckets) -> Floats:
    """Centroids with edges that may lie within buckets; the optimum itself where values do not spread over buckets.

    Halves, say, do not: a bucket holds one, and what would be the optimum of evenly spread values is none of theirs.
    """
    from dcsim.compression import kmeans_kernels as kernels

    settled = optimum.copy()
    kernels.settle(buckets.lowest, buckets.highest, points.mass, points.sums, settled)
    before, after = (_lloyd(points, centroids).squared_error for centroids in (optimum, settled))
    return settled if after <= before * (1 + MAX_SETTLING_LOSS) else optimum


def _merged(single: Values, means: Floats, counts: Floats) -> _Points:
    """Ascending values, which weigh 1, among ascending means, which weigh their counts."""
    from dcsim.compression import kmeans_kernels as kernels

    values, weights, mass, sums = np.empty((4, len(single) + len(means) + 1))
    points = _Points(values[:-1], weights[:-1], mass, sums)
    kernels.merge(single, means, counts, points.values, points.weights, mass, sums)
    return points
