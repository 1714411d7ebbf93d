"""Sparse positions as gaps: the number of zeros skipped before each stored entry (Deep Compression, section 2).

A gap holds at most 2**gap_bits - 1. A longer run of zeros is cut by filler zeros: entries with the largest gap and the
value zero, each of which stands for 2**gap_bits positions. Zeros after the last nonzero are not stored.
"""

import numpy as np
import numpy.typing as npt

from dcsim.errors import MalformedError

MAX_GAP_BITS = 12


def encode(positions: npt.NDArray[np.int64], gap_bits: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Gaps of a strictly increasing list of positions.

    Returns:
        gaps: one per stored entry, fillers included.
        entry_of: for each position, the index of its entry; the entries in between are fillers.
    """
    skipped = np.diff(positions, prepend=-1) - 1
    n_fillers = skipped >> gap_bits  # a filler takes the place of 2**gap_bits zeros
    entry_of = np.cumsum(n_fillers + 1) - 1
    n_entries = int(entry_of[-1]) + 1 if len(entry_of) else 0
    gaps = np.full(n_entries, (1 << gap_bits) - 1, dtype=np.uint16)
    gaps[entry_of] = skipped & ((1 << gap_bits) - 1)
    return gaps, entry_of


def decode(gaps: npt.NDArray[np.integer], n_elements: int) -> npt.NDArray[np.int64]:
    """Position of every stored entry, fillers included.

    Raises:
        MalformedError: a gap runs past the end of the tensor.
    """
    positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if len(positions) and positions[-1] >= n_elements:
        raise MalformedError(f"gaps reach position {positions[-1]} in a tensor of {n_elements} elements")
    return positions
