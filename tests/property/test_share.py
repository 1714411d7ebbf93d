"""Do centroids order, bound and never worsen what they began with, whatever the weights?"""

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dcsim.compression.share import kmeans_linear, nearest

#: multiples of 1/4: sums and midpoints are exact
quarters = st.integers(-400, 400).map(lambda value: value / 4)
values = st.integers(1, 60).flatmap(lambda size: arrays(np.float64, size, elements=quarters))
laws = settings(max_examples=100, deadline=None)


def squared_error(of: npt.NDArray[np.float64], centroids: npt.NDArray[np.float64]) -> float:
    return float(np.square(of - centroids[nearest(of, centroids)]).sum())


@laws
@given(values, st.lists(quarters, min_size=1, max_size=10))
def test_nearest_is_what_a_search_of_all_centroids_finds(of: npt.NDArray[np.float64], centroids: list[float]) -> None:
    ascending = np.array(sorted(centroids))
    distances = np.abs(of[:, None] - ascending)
    assert (distances[np.arange(len(of)), nearest(of, ascending)] == distances.min(axis=1)).all()


@laws
@given(values, st.integers(1, 12))
def test_centroids_ascend_within_the_range_and_never_err_more_than_evenly_spaced_ones(
    of: npt.NDArray[np.float64], n_centroids: int
) -> None:
    centroids = kmeans_linear(of, n_centroids)
    assert len(centroids) == n_centroids
    assert (np.diff(centroids) >= -1e-9).all()
    assert of.min() - 1e-9 <= centroids.min() <= centroids.max() <= of.max() + 1e-9
    assert squared_error(of, centroids) <= squared_error(of, np.linspace(of.min(), of.max(), n_centroids)) + 1e-9
