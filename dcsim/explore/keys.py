"""A point's key: a fingerprint of everything that its row depends on.

Every leaf of the chip's YAML, the trace, the frame rate, the engine, the version and the words by which axes choose a
chip or a trace have a 128-bit hash each, of their name and value; the key is their sum. So it does not matter which of
the leaves were axes of a sweep, and the keys of a million points are a few additions of arrays.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

KEY = np.dtype("V16")
Halves = npt.NDArray[np.uint64]


def leaf_hash(path: str, value: Any) -> tuple[int, int]:
    """128 bits of SHA-256 of a name and a value, as two integers. 20 and 20.0 are the same value."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    digest = hashlib.sha256(json.dumps([path, value]).encode()).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def leaf_hashes(path: str, values: npt.NDArray[Any]) -> Halves:
    """The hash of each of several values of one leaf. Shape (n_values, 2)."""
    return np.array([leaf_hash(path, value) for value in values.tolist()], np.uint64).reshape(-1, 2)


def total(leaves: Mapping[str, Any]) -> Halves:
    """Sum of the hashes of leaves, modulo 2^64 each. Shape (2,)."""
    hashes = np.array([leaf_hash(path, value) for path, value in leaves.items()], np.uint64).reshape(-1, 2)
    return np.asarray(hashes.sum(axis=0, dtype=np.uint64))
