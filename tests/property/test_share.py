"""Do centroids obey the laws of k-means whatever the weights, and is the optimum the least error there is?"""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dcsim.compression import share
from dcsim.compression.share import Clusters, Initialization, kmeans, nearest

Floats = npt.NDArray[np.float64]

#: multiples of 1/4: sums and midpoints are exact
quarters = st.integers(-400, 400).map(lambda value: value / 4)
values = st.integers(1, 60).flatmap(lambda size: arrays(np.float64, size, elements=quarters))
#: few distinct values, so that ties, repetitions and too many centroids are common
coarse = st.integers(1, 40).flatmap(lambda size: arrays(np.float64, size, elements=st.integers(-8, 8)))
floats = arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
initializations = st.sampled_from(["linear", "density", "forgy", "optimal"])
laws = settings(max_examples=100, deadline=None)


def squared_error(of: Floats, centroids: Floats) -> float:
    return float(np.square(of - centroids[nearest(of, centroids)]).sum())


def least_squared_error(of: Floats, n_runs: int) -> Fraction:
    """Every partition into runs, in exact arithmetic."""
    ordered = [Fraction(value) for value in sorted(of.tolist())]

    def about_mean(run: list[Fraction]) -> Fraction:
        mean = sum(run) / len(run)
        return sum(((value - mean) ** 2 for value in run), Fraction(0))

    least = [about_mean(ordered[:end]) if end else Fraction(0) for end in range(len(ordered) + 1)]
    for _ in range(n_runs - 1):
        least = [
            min((least[cut] + about_mean(ordered[cut:end]) for cut in range(end)), default=Fraction(0))
            for end in range(len(ordered) + 1)
        ]
    return least[-1]


def assert_same(one: Clusters, other: Clusters) -> None:
    assert one.centroids.tolist() == other.centroids.tolist()
    assert one.sizes.tolist() == other.sizes.tolist()
    assert one.squared_error == pytest.approx(other.squared_error, abs=1e-9)


@laws
@given(values, st.lists(quarters, min_size=1, max_size=10))
def test_nearest_is_what_a_search_of_all_centroids_finds(of: Floats, centroids: list[float]) -> None:
    ascending = np.array(sorted(centroids))
    distances = np.abs(of[:, None] - ascending)
    assert (distances[np.arange(len(of)), nearest(of, ascending)] == distances.min(axis=1)).all()


@laws
@given(floats, st.lists(st.floats(-3e38, 3e38), min_size=1, max_size=40))
def test_nearest_of_any_floats_is_a_search_among_midpoints(of: npt.NDArray[np.float32], centroids: list[float]) -> None:
    ascending = np.array(sorted(centroids))
    midpoints = (ascending[1:] + ascending[:-1]) / 2
    assert nearest(of, ascending).tolist() == np.searchsorted(midpoints, of.astype(np.float64)).tolist()


@laws
@given(values, st.integers(1, 12), initializations)
def test_a_fixed_point_each_value_nearest_each_centroid_the_mean(
    of: Floats, n_centroids: int, initialization: Initialization
) -> None:
    found = kmeans(of, n_centroids, initialization=initialization)
    codes = nearest(of, found.centroids)
    assert np.bincount(codes, minlength=n_centroids).tolist() == found.sizes.tolist()
    for code in np.unique(codes):
        assert found.centroids[code] == pytest.approx(of[codes == code].mean(), abs=1e-12)
    assert found.squared_error == pytest.approx(squared_error(of, found.centroids), abs=1e-9)


@laws
@given(values, st.integers(1, 12))
def test_centroids_never_err_more_than_the_evenly_spaced_ones_they_come_from(of: Floats, n_centroids: int) -> None:
    found = kmeans(of, n_centroids)
    assert found.squared_error <= squared_error(of, np.linspace(of.min(), of.max(), n_centroids)) + 1e-9


@laws
@given(floats, st.integers(1, 40), initializations)
def test_any_floats_give_as_many_ascending_centroids_within_their_range(
    of: npt.NDArray[np.float32], n_centroids: int, initialization: Initialization
) -> None:
    found = kmeans(of, n_centroids, initialization=initialization)
    assert len(found.centroids) == n_centroids
    assert (np.diff(found.centroids) >= 0).all()
    rounding = len(of) * 2.0**-52 * float(np.abs(of.astype(np.float64)).sum())  # of prefix sums
    lowest, highest = float(of.min()), float(of.max())
    assert lowest - rounding <= found.centroids[0] <= found.centroids[-1] <= highest + rounding
    assert np.bincount(nearest(of, found.centroids), minlength=n_centroids).tolist() == found.sizes.tolist()
    assert np.isfinite(found.squared_error)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 14).flatmap(lambda size: arrays(np.float64, size, elements=quarters)),
    st.integers(1, 6),
    st.booleans(),
)
def test_the_optimum_is_the_least_error_of_all_partitions(of: Floats, n_centroids: int, as_float32: bool) -> None:
    least = float(least_squared_error(of, n_centroids))
    found = kmeans(of.astype(np.float32) if as_float32 else of, n_centroids, initialization="optimal")
    assert found.squared_error == pytest.approx(least, rel=1e-9, abs=1e-9)


@laws
@given(values, st.integers(1, 12), initializations)
def test_the_optimum_errs_least_and_less_with_every_centroid(
    of: Floats, n_centroids: int, initialization: Initialization
) -> None:
    optimum = kmeans(of, n_centroids, initialization="optimal").squared_error
    assert optimum <= kmeans(of, n_centroids, initialization=initialization).squared_error + 1e-9
    assert kmeans(of, n_centroids + 1, initialization="optimal").squared_error <= optimum + 1e-9


@laws
@given(coarse, st.integers(1, 20), initializations, st.data())
def test_a_whole_weight_is_a_repetition(
    of: Floats, n_centroids: int, initialization: Initialization, data: st.DataObject
) -> None:
    weights = data.draw(arrays(np.int64, len(of), elements=st.integers(0, 3)).filter(lambda drawn: drawn.any()))
    weighted = kmeans(of, n_centroids, initialization=initialization, weights=weights)
    assert_same(weighted, kmeans(np.repeat(of, weights), n_centroids, initialization=initialization))


@laws
@given(coarse, st.integers(1, 20), initializations, st.randoms(use_true_random=False), st.booleans())
def test_order_does_not_matter(
    of: Floats, n_centroids: int, initialization: Initialization, random: st.DataObject, has_weights: bool
) -> None:
    order = np.arange(len(of))
    random.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    weights = np.arange(1, len(of) + 1) if has_weights else None
    shuffled = weights[order] if weights is not None else None
    assert_same(
        kmeans(of, n_centroids, initialization=initialization, weights=weights),
        kmeans(of[order], n_centroids, initialization=initialization, weights=shuffled),
    )


@laws
@given(values, st.integers(1, 12), initializations, st.sampled_from([2.0**-30, 0.5, 4.0, 2.0**40]))
def test_centroids_scale_with_the_values(
    of: Floats, n_centroids: int, initialization: Initialization, factor: float
) -> None:
    found = kmeans(of, n_centroids, initialization=initialization, seed=3)
    scaled = kmeans(factor * of, n_centroids, initialization=initialization, seed=3)
    assert scaled.centroids.tolist() == (factor * found.centroids).tolist()


@laws
@given(
    arrays(np.float32, st.integers(50, 400), elements=st.floats(-9, 9, width=32)),
    st.integers(1, 20),
    st.integers(2, 40),
)
def test_the_optimum_of_values_counted_in_buckets_is_a_fixed_point_of_the_values(
    of: npt.NDArray[np.float32], n_centroids: int, n_points: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:  # as if so many values were many, and resolved so coarsely
        patch.setattr(share, "MIN_COUNTED_VALUES", 1)
        patch.setattr(share, "MIN_POINTS", n_points)
        patch.setattr(share, "MAX_POINTS", n_points)
        found = kmeans(of, n_centroids, initialization="optimal")
    codes = nearest(of, found.centroids)
    assert np.bincount(codes, minlength=n_centroids).tolist() == found.sizes.tolist()
    for code in np.unique(codes):
        assert found.centroids[code] == pytest.approx(of[codes == code].mean(dtype=np.float64), abs=1e-9)
    assert found.squared_error == pytest.approx(squared_error(of.astype(np.float64), found.centroids), abs=1e-9)
