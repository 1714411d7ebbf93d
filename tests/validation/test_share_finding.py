"""Does k-means lose centroids in the gap around zero, and what does that cost?

Deep Compression (section 3.2) starts from centroids evenly spaced over the range and prefers that to its other starts. On
a pruned layer the cells of some centroids lie wholly in the gap that pruning left. They own no weight in any round, so
plain Lloyd works with the others alone. Measured on the layer below: 9 of 32 and 91 of 256 centroids stay without a
weight, and the squared error stops at 1.9 and 2.9 times the optimum. The optimum spends more bits on a code, by entropy
4.58 against 4.12 at 32 centroids: a trade, not a bug.

The layer is fc6 of AlexNet as Deep Compression, Table 4, prunes it: 4096 x 9216 weights, the largest 9 % kept. Here they
are standard Gaussian, seed 1. Of 91 empty cells 79 lie in the gap and 12 among the isolated largest weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.compression.share import Clusters, kmeans

N_WEIGHTS, DENSITY, SEED = 4096 * 9216, 0.09, 1
SIZES = (32, 256)


@dataclass(frozen=True)
class Layer:
    dense: npt.NDArray[np.float32]
    pruned: npt.NDArray[np.float32]
    threshold: float
    largest: float
    linear: dict[int, Clusters]
    optimal: dict[int, Clusters]

    def start(self, n_centroids: int) -> npt.NDArray[np.float64]:
        return np.linspace(float(self.pruned.min()), float(self.pruned.max()), n_centroids)

    def n_empty_deviation(self, n_centroids: int) -> float:
        """By how many cells two standard deviations of the range are, which both ends decide (Gumbel, of Gaussians)."""
        start = self.start(n_centroids)
        return float(2 * np.sqrt(2) * np.pi / np.sqrt(6) / self.largest / (start[1] - start[0]))


@pytest.fixture(scope="module")
def layer() -> Layer:
    dense = np.random.default_rng(SEED).standard_normal(N_WEIGHTS, np.float32)
    magnitudes = np.abs(dense)
    n_kept = round(DENSITY * N_WEIGHTS)
    threshold = np.partition(magnitudes, -n_kept)[-n_kept]
    pruned = dense[magnitudes >= threshold]
    linear = {size: kmeans(pruned, size) for size in SIZES}
    optimal = {size: kmeans(pruned, size, initialization="optimal") for size in SIZES}
    return Layer(dense[:n_kept].copy(), pruned, float(threshold), float(magnitudes.max()), linear, optimal)


def entropy_bits(clusters: Clusters) -> float:
    shares = clusters.sizes[clusters.sizes > 0] / clusters.sizes.sum()
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize(("n_centroids", "measured"), [(32, 9), (256, 91)])
def test_centroids_stay_empty_where_they_began(layer: Layer, n_centroids: int, measured: int) -> None:
    clusters, start = layer.linear[n_centroids], layer.start(n_centroids)
    spacing = start[1] - start[0]
    empty = clusters.centroids[clusters.sizes == 0]
    assert len(empty) == pytest.approx(measured, abs=layer.n_empty_deviation(n_centroids))
    assert np.isin(empty, start).all()
    # the gap is 2 x threshold wide, and the cell at each of its ends reaches out of it
    in_gap = np.abs(empty) < layer.threshold
    assert in_gap.sum() == pytest.approx(2 * layer.threshold / spacing - 1, abs=2)
    # the others lie where a cell expects less than a handful of weights
    expected = N_WEIGHTS * np.exp(-np.square(empty[~in_gap]) / 2) / np.sqrt(2 * np.pi) * spacing
    assert (expected < 5).all()


@pytest.mark.parametrize(("n_centroids", "measured"), [(32, 1.9), (256, 2.9)])
def test_plain_lloyd_stops_far_above_the_optimum(layer: Layer, n_centroids: int, measured: float) -> None:
    linear, optimal = layer.linear[n_centroids], layer.optimal[n_centroids]
    n_used = n_centroids - linear.n_empty
    ratio = linear.squared_error / optimal.squared_error
    # the error of a good quantizer falls with the square of its levels
    assert ratio == pytest.approx(measured, rel=2 * layer.n_empty_deviation(n_centroids) / n_used)
    assert ratio >= 0.95 * (n_centroids / n_used) ** 2  # 5 % for tails, which take as many levels of few as of many
    # with the centroids that own weights nothing better was possible than the optimum of so many
    fewer = kmeans(layer.pruned, n_used, initialization="optimal")
    assert linear.squared_error >= fewer.squared_error * (1 - 1e-4)


def test_the_optimum_costs_more_bits_a_code(layer: Layer) -> None:
    linear, optimal = layer.linear[32], layer.optimal[32]
    one_centroid_bits = np.log2(1 + 1 / 23)  # what one more of the 23 in use is worth
    assert entropy_bits(linear) == pytest.approx(4.12, abs=one_centroid_bits)
    assert entropy_bits(optimal) == pytest.approx(4.58, abs=one_centroid_bits)
    assert entropy_bits(linear) < np.log2(32 - linear.n_empty) < entropy_bits(optimal)


@pytest.mark.parametrize("n_centroids", SIZES)
def test_the_optimum_is_what_quantization_theory_says(layer: Layer, n_centroids: int) -> None:
    """Panter and Dite (Proc. IRE 39, 1951): optimal levels lie as dense as the cube root of the weights' density f.

    The squared error is then (integral of f^(1/3))^3 / 12 n^2 a weight. The theory holds for many levels and does not
    see where they come to lie at the four ends of the two tails: a level each is its uncertainty.
    """
    x, step = np.linspace(layer.threshold, layer.largest, 1_000_001, retstep=True)
    f = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) / DENSITY
    integral = 2 * step * np.cbrt(f).sum()
    squared_error = integral**3 / 12 / n_centroids**2 * len(layer.pruned)
    bits = 2 * step * (f * np.log2(n_centroids * np.cbrt(f) / integral / f)).sum()
    optimal = layer.optimal[n_centroids]
    assert optimal.squared_error == pytest.approx(squared_error, rel=2 * 4 / n_centroids)
    assert entropy_bits(optimal) == pytest.approx(bits, abs=np.log2(1 + 4 / n_centroids))
    assert optimal.n_empty == 0


def test_without_a_gap_nothing_is_lost(layer: Layer) -> None:
    """A log-concave density has one fixed point (Trushkin, IEEE Trans. Inf. Theory 28, 1982), so the start is moot.

    Of finitely many weights Lloyd's algorithm stops a little earlier, once a round moves no weight over an edge.
    """
    linear = kmeans(layer.dense, 32)
    assert linear.n_empty == 0
    optimum = kmeans(layer.dense, 32, initialization="optimal")
    assert linear.squared_error == pytest.approx(optimum.squared_error, rel=1e-3)
