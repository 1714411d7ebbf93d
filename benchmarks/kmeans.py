"""How fast are the k-means of weight sharing, and how good the optimum, beside peers? `python -m benchmarks.kmeans`.

Two layers of 3.4 million float32 weights and 32 centroids. Peers that are not installed (`pip install scikit-learn
ckmeans`) are named and left out. It takes two minutes, most of them ckmeans.
"""

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.race import race, version
from dcsim.compression.share import kmeans, nearest

N_VALUES = 3_400_000
N_CENTROIDS = 32
DENSITY = 0.09
N_CALLS = 10  # in a turn, where the peer takes tens or hundreds of times as long and leaves the caches cold
Values = npt.NDArray[np.float32]


def pruned(generator: np.random.Generator) -> Values:
    """The largest 9 % of a Gaussian layer: two tails and a gap around zero."""
    layer = generator.standard_normal(round(N_VALUES / DENSITY), np.float32)
    magnitudes = np.abs(layer)
    return layer[magnitudes >= np.partition(magnitudes, -N_VALUES)[-N_VALUES]][:N_VALUES]


def report(layer: str, work: str, own_s: float, peer: str, peer_s: float, said: str) -> None:
    print(f"{layer:9} {work:18} {1e3 * own_s:6.1f} ms   {peer:24} {1e3 * peer_s:7.1f} ms   {said}", flush=True)


def against_numpy(layer: str, values: Values) -> None:
    peer = f"numpy {np.__version__}"
    seconds = race({"dcsim": lambda: kmeans(values, N_CENTROIDS), peer: lambda: np.sort(values)}, 9)
    said = f"{seconds['dcsim'] / seconds[peer]:.2f} of its time (asked: at most 2.5)"
    report(layer, "Lloyd from linear", seconds["dcsim"], f"{peer} sort", seconds[peer], said)

    centroids = kmeans(values, N_CENTROIDS).centroids
    edges = (centroids[1:] + centroids[:-1]) / 2
    seconds = race({"dcsim": lambda: nearest(values, centroids), peer: lambda: np.searchsorted(edges, values)}, 5)
    said = f"{1e9 * seconds['dcsim'] / len(values):.1f} ns a value (asked: at most 3)"
    report(layer, "nearest", seconds["dcsim"], f"{peer} searchsorted", seconds[peer], said)


def against_scikit_learn(layer: str, values: Values) -> None:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # scikit-learn needs it too; all others have one thread anyway

    start = np.linspace(values.min(), values.max(), N_CENTROIDS)[:, None]
    ten_rounds = KMeans(N_CENTROIDS, init=start, n_init=1, max_iter=10, algorithm="lloyd")
    column = values[:, None]
    peer = f"scikit-learn {version('scikit-learn')}"
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ten rounds are too few
        contenders: dict[str, Callable[[], object]] = {
            "dcsim": lambda: [kmeans(values, N_CENTROIDS) for _ in range(N_CALLS)],
            peer: lambda: ten_rounds.fit(column),
        }
        seconds = race(contenders, 5)
    own_s = seconds["dcsim"] / N_CALLS
    said = f"all rounds {seconds[peer] / own_s:.0f} x as fast as its first ten (asked: 40)"
    report(layer, "Lloyd from linear", own_s, peer, seconds[peer], said)


def against_ckmeans(layer: str, values: Values) -> None:
    import ckmeans

    peer = f"ckmeans {version('ckmeans')}"

    def optimum() -> float:
        return kmeans(values, N_CENTROIDS, initialization="optimal").squared_error

    contenders: dict[str, Callable[[], object]] = {
        "dcsim": lambda: [optimum() for _ in range(N_CALLS)],
        peer: lambda: ckmeans.ckmeans(values, N_CENTROIDS),
    }
    seconds = race(contenders, 3)
    own_s = seconds["dcsim"] / N_CALLS
    exact = sum(float(np.square(run - run.mean()).sum()) for run in ckmeans.ckmeans(values, N_CENTROIDS))
    said = f"{seconds[peer] / own_s:.0f} x as fast (asked: 500), {optimum() / exact:.7f} of its squared error"
    report(layer, "optimal", own_s, peer, seconds[peer], f"{said} (asked: at most 1.0001)")


def main() -> None:
    generator = np.random.default_rng(0)
    layers = {"pruned": pruned(generator), "Gaussian": generator.standard_normal(N_VALUES, np.float32)}
    peers = {"numpy": against_numpy, "scikit-learn": against_scikit_learn, "ckmeans": against_ckmeans}
    for peer, compare in peers.items():
        if version(peer) is None:
            print(f"{peer} is not installed: left out")
            continue
        for layer, values in layers.items():
            compare(layer, values)


if __name__ == "__main__":
    main()
