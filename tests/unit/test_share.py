"""Does weight sharing do what section 3 of Deep Compression says?"""

import numpy as np
import pytest

from dcsim.compression.share import kmeans_linear, nearest


@pytest.mark.parametrize(
    ("given_values", "n_centroids", "expected"),
    [
        ([1, 2, 9, 10, 11], 2, [1.5, 10]),
        ([11, 1, 10, 2, 9], 2, [1.5, 10]),  # in any order
        ([1, 1, 1, 4], 1, [1.75]),
        ([-1, 0, 1], 3, [-1, 0, 1]),
        ([-1, 1], 3, [-1, 0, 1]),  # a centroid without values stays where it began
        ([5, 5, 5], 2, [5, 5]),
        ([0, 1, 2, 10], 3, [1, 5, 10]),
    ],
)
def test_centroids(given_values: list[float], n_centroids: int, expected: list[float]) -> None:
    assert kmeans_linear(np.array(given_values, np.float32), n_centroids).tolist() == expected


@pytest.mark.parametrize(("value", "index"), [(-9, 0), (0, 0), (1, 0), (1.01, 1), (2, 1), (5, 1), (6, 2), (99, 2)])
def test_a_value_goes_to_the_nearest_centroid_and_to_the_lower_on_a_tie(value: float, index: int) -> None:
    assert nearest(np.array([value]), np.array([0.0, 2.0, 8.0])).tolist() == [index]


@pytest.mark.parametrize(
    ("given_values", "n_centroids"), [([-6, 0, 1, 2, 5, 8, 8], 4), ([-8, -8, -4, -4, 1, 2, 3, 4], 4)]
)
def test_a_centroid_is_the_mean_of_the_values_nearest_to_it(given_values: list[float], n_centroids: int) -> None:
    of = np.array(given_values)
    centroids = kmeans_linear(of, n_centroids)
    codes = nearest(of, centroids)
    for code in np.unique(codes):
        assert centroids[code] == pytest.approx(of[codes == code].mean())


def test_large_layers_converge() -> None:
    of = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    centroids = kmeans_linear(of, 31)
    codes = nearest(of, centroids)
    means = np.array([of[codes == code].mean(dtype=np.float64) for code in range(31)])
    assert centroids == pytest.approx(means, abs=1e-9)
