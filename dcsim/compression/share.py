"""Weight sharing: 1-D k-means on the surviving weights (Deep Compression, section 3)."""

import numpy as np
import numpy.typing as npt

MAX_ITERATIONS = 1000


def kmeans_linear(values: npt.NDArray[np.floating], n_centroids: int) -> npt.NDArray[np.float64]:
    """Lloyd's algorithm from centroids spaced evenly over the range of `values` (section 3.2), to its fixed point.

    On sorted values a cluster is a run, so an iteration is one search and one difference of prefix sums. Centroids that
    own no value stay where they are: in the pruned gap around zero this does happen, and they are dropped when packed.

    Args:
        values: 1-D, not empty.

    Returns:
        Ascending centroids, (n_centroids,).
    """
    ordered = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.linspace(ordered[0], ordered[-1], n_centroids)
    for _ in range(MAX_ITERATIONS):
        bounds = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        edges = np.concatenate([[0], bounds, [len(ordered)]])
        sizes = np.diff(edges)
        means = np.where(sizes > 0, np.diff(sums[edges]) / np.maximum(sizes, 1), centroids)
        if np.array_equal(means, centroids):
            break
        centroids = means
    return centroids


def nearest(values: npt.NDArray[np.floating], centroids: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Index of the nearest of ascending `centroids` for every value, the lower one on a tie."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values.astype(np.float64)).astype(np.int64)
