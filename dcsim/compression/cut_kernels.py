"""Counting weights by magnitude, compiled by numba. Imported only where a network is pruned without torch."""

import numpy as np
from numba import njit

from dcsim.codec.bit_kernels import U, load64
from dcsim.codec.relative_index_kernels import MAGNITUDE, TILE


@njit(cache=True)
def survey(bits):
    """How many elements are not zero, and the bits of the largest magnitude."""
    n_nonzero, largest = 0, np.uint32(0)
    for tile in range(0, len(bits), TILE):
        n_here = np.uint32(0)
        for value in bits[tile : tile + TILE]:
            magnitude = value & MAGNITUDE
            n_here += np.uint32(magnitude != 0)
            largest = magnitude if magnitude > largest else largest  # max() would not become vector instructions
        n_nonzero += n_here
    return n_nonzero, largest


@njit(cache=True)
def collect_between(bits, low, high, collected):
    """Copy magnitudes in [low, high) to `collected`; their number, and how many are at least `high`.

    Magnitudes are the bits of floats without the sign, which have their order.
    """
    flags = np.zeros(TILE, np.uint8)
    n_above = n = 0
    for tile in range(0, len(bits), TILE):
        piece = bits[tile : tile + TILE]
        n_above_here = np.uint32(0)
        for i in range(len(piece)):
            magnitude = piece[i] & MAGNITUDE
            flags[i] = np.uint8(magnitude >= low) & np.uint8(magnitude < high)
            n_above_here += np.uint32(magnitude >= high)
        n_above += n_above_here
        padded = (len(piece) + 7) // 8 * 8
        flags[len(piece) : padded] = 0
        for word in range(0, padded, 8):
            if load64(flags, U(word)):
                for i in range(word, word + 8):
                    if flags[i]:
                        collected[n] = piece[i] & MAGNITUDE
                        n += 1
    return n, n_above
