"""Times of work beside its peers: contenders take turns in one process and one thread, and medians are compared.

CPU time is measured, because machines are shared; work of a single thread that waits for nothing takes as much of it as
of any other time.
"""

import time
from collections.abc import Callable
from importlib import metadata

import numpy as np


def race(contenders: dict[str, Callable[[], object]], n_rounds: int) -> dict[str, float]:
    """Median CPU time [s] of each, taking turns, after one round that does not count (numba compiles then)."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(n_rounds + 1):
        for name, call in contenders.items():
            began = time.process_time()
            call()
            if turn:
                times[name].append(time.process_time() - began)
    return {name: float(np.median(taken)) for name, taken in times.items()}


def version(peer: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return metadata.version(peer)
    except metadata.PackageNotFoundError:
        return None
