"""Does weight sharing do what section 3 of Deep Compression says, and the optimum what Wang and Song say?"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.compression.share import MAX_CENTROIDS, Clusters, Initialization, kmeans, nearest

INITIALIZATIONS: list[Initialization] = ["linear", "density", "forgy", "optimal"]
LARGEST = np.finfo(np.float32).max
SMALLEST = np.finfo(np.float32).smallest_subnormal
Values = npt.NDArray[np.float32]


def plain_lloyd(values: Values, n_centroids: int) -> tuple[npt.NDArray[np.float64], int]:
    """Centroids and rounds from evenly spaced centroids, in seven lines of numpy."""
    ordered = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids, n_rounds = np.linspace(ordered[0], ordered[-1], n_centroids), 0
    while True:
        bounds = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        edges = np.concatenate([[0], bounds, [len(ordered)]])
        sizes = np.diff(edges)
        means = np.where(sizes > 0, np.diff(sums[edges]) / np.maximum(sizes, 1), centroids)
        n_rounds += 1
        if np.array_equal(means, centroids):
            return centroids, n_rounds
        centroids = means


def assert_fixed_point(values: npt.NDArray[np.floating], clusters: Clusters, rel: float = 1e-9) -> None:
    """Every value sits at its nearest centroid, every centroid with values is their mean, and the sums are right."""
    codes = nearest(values, clusters.centroids)
    counts = np.bincount(codes, minlength=len(clusters.centroids))
    assert counts.tolist() == clusters.sizes.tolist()
    assert clusters.n_empty == (counts == 0).sum()
    means = np.bincount(codes, values, len(counts))[counts > 0] / counts[counts > 0]
    assert clusters.centroids[counts > 0] == pytest.approx(means, rel=rel, abs=rel * float(np.abs(values).mean()))
    assert clusters.squared_error == pytest.approx(np.square(values - clusters.centroids[codes]).sum(), rel=1e-9)


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
    assert kmeans(np.array(given_values, np.float32), n_centroids).centroids.tolist() == expected


@pytest.mark.parametrize(
    ("initialization", "centroids", "squared_error", "n_iterations"),
    [
        ("linear", [0, 4.5, 8], 6.5, 2),  # 0, 4.5, 9 -> 0 | 3 6 | 7 9
        ("density", [1.5, 6.5, 9], 5, 2),  # the first, third and fifth value -> 0 3 | 6 7 | 9
        ("optimal", [0, 3, 22 / 3], 14 / 3, 1),  # 0 | 3 | 6 7 9
    ],
)
def test_starts_end_in_different_fixed_points(
    initialization: Initialization, centroids: list[float], squared_error: float, n_iterations: int
) -> None:
    found = kmeans(np.array([7, 0, 9, 3, 6], np.float32), 3, initialization=initialization)
    assert found.centroids == pytest.approx(centroids)
    assert (found.squared_error, found.n_iterations) == (pytest.approx(squared_error), n_iterations)


@pytest.mark.parametrize(
    ("weights", "centroids", "sizes"),
    [
        ([1, 1, 1, 1], [1, 10.5], [3, 1]),
        ([3, 1, 0, 1], [0.25, 10.5], [4, 1]),  # 0 three times, 1 once, 2 never
        ([0.5, 0, 0, 2], [0, 10.5], [0.5, 2]),
        ([0, 0, 0, 7], [10.5, 10.5], [7, 0]),
    ],
)
@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_a_weight_is_how_often_a_value_counts(
    weights: list[float], centroids: list[float], sizes: list[float], initialization: Initialization
) -> None:
    found = kmeans(np.array([0, 1, 2, 10.5]), 2, weights=np.array(weights), initialization=initialization)
    if initialization != "density":  # whose two quantiles can fall on one value
        assert (found.centroids.tolist(), found.sizes.tolist()) == (centroids, sizes)
    assert found.sizes.sum() == sum(weights)


def test_density_starts_from_quantiles_of_the_weights() -> None:
    values, weights = np.array([0, 3, 6, 7, 9.0]), np.array([1, 1, 1, 1, 5])
    assert kmeans(values, 3, initialization="density", weights=weights).centroids.tolist() == [1.5, 6.5, 9]  # 3, 9, 9


def test_forgy_draws_frequent_values_more_often() -> None:
    # from 2 and 3 a fixed point is 0 2 | 3, from 0 and another it is 0 | 2 3
    values, rarely_0 = np.array([0.0, 2.0, 3.0]), np.array([1, 1e6, 1e6])

    def lower_centroids(weights: npt.NDArray[np.float64]) -> set[float]:
        found = (kmeans(values, 2, initialization="forgy", weights=weights, seed=seed) for seed in range(50))
        return {clusters.centroids[0] for clusters in found}

    assert lower_centroids(np.ones(3)) == {0, 1}
    assert lower_centroids(rarely_0) == {2e6 / (1e6 + 1)}


def test_forgy_repeats_itself_by_seed() -> None:
    of = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    found = [kmeans(of, 8, initialization="forgy", seed=seed).squared_error for seed in (1, 1, 2, 3)]
    assert found[0] == found[1]
    assert len(set(found)) == 3


@pytest.mark.parametrize("n_centroids", [1, 2, 3, 7, 31, 64, 255])
@pytest.mark.parametrize("size", [1, 2, 50, 3000])
def test_the_linear_start_takes_every_step_of_plain_lloyd(size: int, n_centroids: int) -> None:
    for seed in range(5):
        of = np.random.default_rng(seed).normal(size=size).astype(np.float32)
        centroids, n_rounds = plain_lloyd(of, n_centroids)
        found = kmeans(of, n_centroids)
        assert (found.centroids.tolist(), found.n_iterations) == (centroids.tolist(), n_rounds)


def test_a_large_layer_takes_over_a_thousand_steps_of_plain_lloyd() -> None:
    of = np.random.default_rng(0).normal(size=400_000).astype(np.float32)
    centroids, n_rounds = plain_lloyd(of, 63)
    found = kmeans(of, 63)
    assert (found.centroids.tolist(), found.n_iterations) == (centroids.tolist(), n_rounds)
    assert n_rounds > 1000
    assert_fixed_point(of, found)


LAYERS: dict[str, Callable[[np.random.Generator], npt.NDArray[np.floating]]] = {
    "gaussian": lambda generator: generator.normal(size=200_000),
    "heavy tails": lambda generator: generator.standard_cauchy(200_000),
    "half zeros": lambda generator: generator.laplace(size=200_000) * (generator.random(200_000) < 0.5),
    "positive": lambda generator: np.exp(generator.normal(size=100_000)),
    "narrow": lambda generator: 1 + 1e-4 * generator.normal(size=100_000),
    "half precision": lambda generator: generator.normal(size=100_000).astype(np.float16),
    "five values": lambda generator: generator.integers(-2, 3, 100_000) / 3,
    "an outlier": lambda generator: np.append(generator.normal(size=100_000), 1e30),
    "subnormal": lambda generator: 1e-41 * generator.normal(size=100_000),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("n_centroids", [1, 2, 32, 64, 256])
def test_the_optimum_of_a_large_layer_is_a_fixed_point_as_good_as_of_all_values_sorted(
    layer: str, n_centroids: int
) -> None:
    of = LAYERS[layer](np.random.default_rng(1)).astype(np.float32)
    found = kmeans(of, n_centroids, initialization="optimal")
    assert_fixed_point(of, found, rel=1e-8)
    every_value = kmeans(of.astype(np.float64), n_centroids, initialization="optimal")
    # the resolution of the programme: 64 runs a centroid leave an error of the order of 1 / 64^2 of the error itself
    assert found.squared_error <= every_value.squared_error * (1 + 1 / 64**2) + 1e-80
    assert (nearest(of, found.centroids) == nearest(of.astype(np.float64), found.centroids)).all()


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
@pytest.mark.parametrize("n_centroids", [1, 2, 3, 17, MAX_CENTROIDS])
@pytest.mark.parametrize(
    "given_values",
    [
        [0.3],
        [0.1] * 7,
        [0.0, -0.0, 0.0],
        [SMALLEST, -SMALLEST, 3 * SMALLEST, 0],
        [LARGEST, -LARGEST],
        [LARGEST] * 9 + [-LARGEST] * 5,
        [LARGEST, np.nextafter(LARGEST, np.float32(0)), 1, -1, SMALLEST, 0],
        [1, np.nextafter(np.float32(1), np.float32(2))],
        [*range(1025)],
    ],
    ids=lambda values: f"{len(values)} from {values[0]}",
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_awkward_values(
    given_values: list[float], n_centroids: int, initialization: Initialization, dtype: type[np.floating]
) -> None:
    of = np.array(given_values, dtype)
    found = kmeans(of, n_centroids, initialization=initialization)
    assert len(found.centroids) == len(found.sizes) == n_centroids
    assert of.min() <= found.centroids[0] <= found.centroids[-1] <= of.max()
    assert (np.diff(found.centroids) >= 0).all()
    assert found.sizes.tolist() == np.bincount(nearest(of, found.centroids), minlength=n_centroids).tolist()
    n_distinct = len(np.unique(of))
    assert found.n_empty >= n_centroids - n_distinct
    if initialization in ("forgy", "optimal") and n_centroids >= n_distinct:
        assert (found.n_empty, found.squared_error, found.n_iterations) == (n_centroids - n_distinct, 0, 1)


def test_lloyd_ends_even_if_rounding_leads_in_a_circle() -> None:
    from dcsim.compression import kmeans_kernels as kernels

    sums = np.array([0.0, -1.0, 14.0, 7.0])  # of no values: they lead from 7 7 to 7/3 7 and back
    centroids = np.array([1.0, 7.0])
    kernels.lloyd(np.array([1.0, 1.0, 7.0]), None, sums, centroids, True)
    assert centroids.tolist() in ([7, 7], [7 / 3, 7])


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_neighbours_among_floats_have_no_midpoint(initialization: Initialization) -> None:
    of = np.array([np.nextafter(1.0, 0.0), 1.0])
    assert kmeans(of, 2, initialization=initialization).squared_error < np.finfo(np.float64).eps ** 2


def test_weights_of_very_different_size_end() -> None:
    found = kmeans(np.array([0.0, 1.0, 2.0]), 3, weights=np.array([1e38, 1e-300, 1e-320]), initialization="optimal")
    assert found.centroids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"values": np.zeros(0, np.float32)}, "at least one"),
        ({"values": np.zeros((2, 2), np.float32)}, "at least one"),
        ({"values": np.array([0, np.nan], np.float32)}, "finite"),
        ({"values": np.array([0, -np.nan, 1])}, "finite"),
        ({"values": np.array([0, np.inf], np.float32)}, "finite"),
        ({"values": np.array([-np.inf, 0])}, "finite"),
        ({"values": np.array([1e39, 0])}, "range of float32"),
        ({"values": np.append(np.arange(100_000), np.nan).astype(np.float32)}, "finite"),
        ({"values": np.append(np.arange(100_000), -np.inf).astype(np.float32)}, "finite"),
        ({"n_centroids": 0}, "between 1 and 1024"),
        ({"n_centroids": 1025}, "between 1 and 1024"),
        ({"weights": np.ones(2)}, "do not fit"),
        ({"weights": np.array([1, -1, 1])}, "not negative"),
        ({"weights": np.array([1, np.nan, 1])}, "finite"),
        ({"weights": np.array([1, np.inf, 1])}, "finite"),
        ({"weights": np.zeros(3)}, "not all zero"),
        ({"initialization": "k-means++"}, "unknown initialization"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments: dict[str, object], fault: str) -> None:
    usable: dict[str, object] = {"values": np.arange(3.0), "n_centroids": 2, "initialization": "optimal"}
    with pytest.raises(ValueError, match=fault):
        kmeans(**(usable | arguments))  # type: ignore[arg-type]  # that is the point


def test_a_value_of_weight_0_is_absent() -> None:
    found = kmeans(np.array([1, np.nan, 3]), 2, weights=np.array([1, 0, 1]))
    assert found.centroids.tolist() == [1, 3]


@pytest.mark.parametrize(("value", "index"), [(-9, 0), (0, 0), (1, 0), (1.01, 1), (2, 1), (5, 1), (6, 2), (99, 2)])
def test_a_value_goes_to_the_nearest_centroid_and_to_the_lower_on_a_tie(value: float, index: int) -> None:
    assert nearest(np.array([value]), np.array([0.0, 2.0, 8.0])).tolist() == [index]


@pytest.mark.parametrize(
    ("centroids", "expected"),
    [
        ([7], [0, 0, 0, 0, 0, 0]),
        ([0, 0, 0], [0, 0, 0, 2, 2, 2]),  # equal centroids: the first of them, unless a value lies above them all
        ([-SMALLEST, SMALLEST], [0, 0, 0, 1, 1, 1]),
        ([-1e308, 1e308], [0, 0, 0, 1, 1, 1]),
        ([0, 1e-300, 1], [0, 0, 0, 1, 2, 2]),
    ],
)
def test_nearest_of_awkward_centroids(centroids: list[float], expected: list[int]) -> None:
    of = np.array([-LARGEST, -0.0, 0.0, SMALLEST, 1, LARGEST], np.float32)
    assert nearest(of, np.array(centroids, np.float64)).tolist() == expected
    assert nearest(of[:0], np.array(centroids, np.float64)).tolist() == []
