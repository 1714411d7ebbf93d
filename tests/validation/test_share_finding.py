"""Does k-means lose centroids in the gap around zero, and what does that cost?

Deep Compression (section 3.2) starts centroids evenly spaced over the range and prefers that to the other starts. On a
pruned layer the cells of some of those centroids lie wholly in the gap that pruning left; they own no weight in any
round, so plain Lloyd works with the others alone. Measured on the layer below: 9 of 32 and 91 of 256 centroids stay
without a weight, and the squared error stops at 1.9 and 2.9 times the optimum. The optimum spends more bits on a code,
4.58 against 4.12 by entropy at 32 centroids: a trade, not a bug.

The layer is fc6 of AlexNet as Deep Compression, Table 4, prunes it: 4096 x 9216 weights, the largest 9 % kept. Here they
are standard Gaussian, seed 1. The largest of so many moves by 5 % from seed to seed (Gumbel), the spacing with it, and so
does the number of centroids in the gap: by less than one of 32 and by four of 256.
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
    linear: dict[int, Clusters]
    optimal: dict[int, Clusters]

    @property
    def threshold(self) -> float:
        return float(np.abs(self.pruned).min())

    def start(self, n_centroids: int) -> npt.NDArray[np.float64]:
        return np.linspace(float(self.pruned.min()), float(self.pruned.max()), n_centroids)


@pytest.fixture(scope="module")
def layer() -> Layer:
    dense = np.random.default_rng(SEED).standard_normal(N_WEIGHTS, np.float32)
    magnitudes = np.abs(dense)
    n_kept = round(DENSITY * N_WEIGHTS)
    pruned = dense[magnitudes >= np.partition(magnitudes, -n_kept)[-n_kept]]
    linear = {size: kmeans(pruned, size) for size in SIZES}
    optimal = {size: kmeans(pruned, size, initialization="optimal") for size in SIZES}
    return Layer(dense[: len(pruned)], pruned, linear, optimal)


def entropy_bits(clusters: Clusters) -> float:
    shares = clusters.sizes[clusters.sizes > 0] / clusters.sizes.sum()
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize(("n_centroids", "measured", "per_seed"), [(32, 9, 1), (256, 91, 4)])
def test_centroids_stay_empty_where_they_began(layer: Layer, n_centroids: int, measured: int, per_seed: int) -> None:
    clusters, start = layer.linear[n_centroids], layer.start(n_centroids)
    empty = clusters.centroids[clusters.sizes == 0]
    assert np.isin(empty, start).all()
    # the gap is 2 x threshold wide; the cells at its two ends reach out of it
    in_gap = np.abs(empty) < layer.threshold
    assert in_gap.sum() == pytest.approx(2 * layer.threshold / (start[1] - start[0]) - 1, abs=2)
    # the others sit among the last few weights: further out than where a cell expects to hold ten
    spacing = start[1] - start[0]
    expected = N_WEIGHTS * np.exp(-np.square(empty[~in_gap]) / 2) / np.sqrt(2 * np.pi) * spacing
    assert (expected < 10).all()
    # a deviation of the range moves the empties in the gap, one more the handful in the tails
    assert clusters.n_empty == pytest.approx(measured, abs=2 * per_seed)


@pytest.mark.parametrize(("n_centroids", "measured", "per_seed"), [(32, 1.9, 1), (256, 2.9, 4)])
def test_plain_lloyd_stops_far_above_the_optimum(
    layer: Layer, n_centroids: int, measured: float, per_seed: int
) -> None:
    linear, optimal = layer.linear[n_centroids], layer.optimal[n_centroids]
    ratio = linear.squared_error / optimal.squared_error
    # the error of an optimal quantizer falls with the square of its levels: two deviations, and 10 % for late rounds
    n_used = n_centroids - linear.n_empty
    assert ratio == pytest.approx(measured, rel=2 * 2 * per_seed / n_used + 0.1 * (n_centroids == 256))
    # with the centroids that are left nothing better was possible than the optimum of so many
    fewer = kmeans(layer.pruned, n_used, initialization="optimal")
    assert linear.squared_error >= fewer.squared_error * (1 - 1e-4)
    assert ratio >= 0.95 * (n_centroids / n_used) ** 2


def test_the_optimum_costs_more_bits_a_code(layer: Layer) -> None:
    linear, optimal = layer.linear[32], layer.optimal[32]
    one_centroid_bits = np.log2(1 + 1 / 23)  # what one more of the 23 in use is worth
    assert entropy_bits(linear) == pytest.approx(4.12, abs=one_centroid_bits)
    assert entropy_bits(optimal) == pytest.approx(4.58, abs=one_centroid_bits)
    assert entropy_bits(linear) < np.log2(32 - linear.n_empty) < entropy_bits(optimal)


@pytest.mark.parametrize("n_centroids", SIZES)
def test_the_optimum_is_what_quantization_theory_says(layer: Layer, n_centroids: int) -> None:
    """Panter and Dite (Proc. IRE 39, 1951): levels lie as dense as the cube root of the weights' density f.

    Then the squared error is (integral of f^(1/3))^3 / 12 n^2 a weight. It holds for many levels; the sparse tail,
    where one level spans what theory has fall off, is a few levels of the 32 or 256.
    """
    x = np.linspace(layer.threshold, 9, 100_001)
    f = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) / DENSITY
    integral = 2 * np.trapezoid(np.cbrt(f), x)
    clusters = layer.optimal[n_centroids]
    expected = integral**3 / 12 / n_centroids**2 * len(layer.pruned)
    assert clusters.squared_error == pytest.approx(expected, rel=2 / np.sqrt(n_centroids))
    expected_bits = 2 * np.trapezoid(f * np.log2(n_centroids * np.cbrt(f) / integral / f), x)
    assert entropy_bits(clusters) == pytest.approx(expected_bits, abs=np.log2(1 + 2 / n_centroids))
    assert clusters.n_empty == 0


def test_without_a_gap_nothing_is_lost(layer: Layer) -> None:
    """A log-concave density has one fixed point (Trushkin, IEEE Trans. Inf. Theory 28, 1982), so the start is moot."""
    linear = kmeans(layer.dense, 32)
    assert linear.n_empty == 0
    optimum = kmeans(layer.dense, 32, initialization="optimal")
    assert linear.squared_error == pytest.approx(optimum.squared_error, rel=1e-3)
