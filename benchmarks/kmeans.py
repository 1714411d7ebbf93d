"""How fast are the k-means of weight sharing, and how good the optimum, beside peers? One thread, no arguments.

`python benchmarks/kmeans.py` takes about two minutes. Peers that are not installed (`pip install scikit-learn ckmeans`)
are named and left out. Every line comes from one run; subject and peer take turns, and medians are compared.
"""

import time
import warnings
from collections.abc import Callable
from importlib import metadata

import numpy as np
import numpy.typing as npt

from dcsim.compression.share import kmeans, nearest

N_VALUES = 3_400_000
N_CENTROIDS = 32
DENSITY = 0.09
Values = npt.NDArray[np.float32]


def pruned(generator: np.random.Generator) -> Values:
    """The largest 9 % of a Gaussian layer: two tails and a gap around zero."""
    layer = generator.standard_normal(round(N_VALUES / DENSITY), np.float32)
    magnitudes = np.abs(layer)
    return layer[magnitudes >= np.partition(magnitudes, -N_VALUES)[-N_VALUES]][:N_VALUES]


def version(peer: str) -> str | None:
    try:
        return metadata.version(peer)
    except metadata.PackageNotFoundError:
        return None


def race(subject: Callable[[], object], peer: Callable[[], object], n_rounds: int) -> tuple[float, float]:
    """Median time [s] of each, taking turns after one warm-up of the subject (numba compiles then)."""
    times: tuple[list[float], list[float]] = ([], [])
    subject()
    for _ in range(n_rounds):
        for taken, call in zip(times, (subject, peer), strict=True):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
    return float(np.median(times[0])), float(np.median(times[1]))


def line(layer: str, job: str, peer: str, own_s: float, peer_s: float, said: str) -> None:
    print(f"{layer:9} {job:22} {1e3 * own_s:8.1f} ms   {peer:26} {1e3 * peer_s:8.1f} ms   {said}", flush=True)


def against_numpy(layer: str, values: Values) -> None:
    own_s, peer_s = race(lambda: kmeans(values, N_CENTROIDS), lambda: np.sort(values), 9)
    said = f"{own_s / peer_s:.2f} x its time (asked: at most 2.5 x)"
    line(layer, "Lloyd from linear", f"numpy {np.__version__} sort", own_s, peer_s, said)
    centroids = kmeans(values, N_CENTROIDS).centroids
    midpoints = (centroids[1:] + centroids[:-1]) / 2
    own_s, peer_s = race(lambda: nearest(values, centroids), lambda: np.searchsorted(midpoints, values), 5)
    said = f"{1e9 * own_s / len(values):.1f} ns a value (asked: at most 3 ns)"
    line(layer, "nearest", f"numpy {np.__version__} searchsorted", own_s, peer_s, said)


def against_scikit_learn(layer: str, values: Values) -> None:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # scikit-learn needs it too; the others have one thread anyway

    start = np.linspace(values.min(), values.max(), N_CENTROIDS)[:, None]
    column = values[:, None]
    peer = KMeans(N_CENTROIDS, init=start, n_init=1, max_iter=10, algorithm="lloyd")
    with threadpool_limits(1):
        own_s, peer_s = race(lambda: kmeans(values, N_CENTROIDS), lambda: peer.fit(column), 5)
    said = f"{peer_s / own_s:.0f} x faster to the fixed point than its first 10 rounds (asked: 40 x)"
    line(layer, "Lloyd from linear", f"scikit-learn {version('scikit-learn')} KMeans", own_s, peer_s, said)


def against_ckmeans(layer: str, values: Values) -> None:
    import ckmeans

    own_s, peer_s = race(
        lambda: kmeans(values, N_CENTROIDS, initialization="optimal"), lambda: ckmeans.ckmeans(values, N_CENTROIDS), 3
    )
    error = kmeans(values, N_CENTROIDS, initialization="optimal").squared_error
    exact = sum(float(np.square(run - run.mean()).sum()) for run in ckmeans.ckmeans(values, N_CENTROIDS))
    said = f"{peer_s / own_s:.0f} x faster (asked: 500 x), squared error x {error / exact:.7f} (asked: at most 1.0001)"
    line(layer, "optimal", f"ckmeans {version('ckmeans')}", own_s, peer_s, said)


def main() -> None:
    warnings.simplefilter("ignore")  # scikit-learn's, on not having converged
    generator = np.random.default_rng(0)
    layers = {"pruned": pruned(generator), "Gaussian": generator.standard_normal(N_VALUES, np.float32)}
    print(f"{N_VALUES} float32 values, {N_CENTROIDS} centroids, one thread")
    for peer, compare in (
        ("numpy", against_numpy),
        ("scikit-learn", against_scikit_learn),
        ("ckmeans", against_ckmeans),
    ):
        if version(peer) is None:
            print(f"{peer} is not installed: no comparison with it")
            continue
        for layer, values in layers.items():
            compare(layer, values)


if __name__ == "__main__":
    main()
