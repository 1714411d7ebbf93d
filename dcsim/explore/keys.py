"""A point's key: a fingerprint of everything that its result depends on.

Every leaf of the chip's YAML, the trace, the frame rate, the engine and the version each have a 128-bit hash of their
name and value; the key is their sum. So it does not matter which of them were axes of a sweep, and the keys of a
million points are a few additions of arrays.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

KEY_BYTES = 16
Halves = npt.NDArray[np.uint64]


def leaf_hash(path: str, value: Any) -> tuple[int, int]:
    """128 bits of SHA-256 of a name and a value, as two integers. 20 and 20.0 are the same value."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    digest = hashlib.sha256(json.dumps([path, value]).encode()).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:KEY_BYTES], "little")


def total(leaves: Iterable[tuple[str, Any]]) -> Halves:
    """Sum of the hashes of leaves, shape (2,), modulo 2^64 each."""
    halves = np.zeros(2, np.uint64)
    for path, value in leaves:
        halves += np.array(leaf_hash(path, value), np.uint64)
    return halves


def point_keys(base: Mapping[str, Any], columns: Mapping[str, npt.NDArray[Any]], n_points: int) -> npt.NDArray[Any]:
    """Keys of points that differ from `base` in `columns`. Shape (n_points,), 16 bytes each.

    Args:
        base: every leaf by name; those in columns may be absent.
    """
    halves = np.broadcast_to(total((p, v) for p, v in base.items() if p not in columns), (n_points, 2)).copy()
    for path, values in columns.items():
        distinct, index = np.unique(values, return_inverse=True) if values.dtype != object else _distinct(values)
        table = np.array([leaf_hash(path, value) for value in distinct.tolist()], np.uint64).reshape(-1, 2)
        halves += table[index]
    return halves.view(f"V{KEY_BYTES}").reshape(n_points)


def _distinct(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Distinct objects, of one type each, and the place of each point's."""
    found: dict[Any, int] = {}
    index = np.array([found.setdefault((type(value), value), len(found)) for value in values.tolist()], np.int64)
    distinct = np.empty(len(found), object)
    distinct[:] = [value for _, value in found]
    return distinct, index
