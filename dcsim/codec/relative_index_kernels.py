"""The inner loops of the relative index, compiled by numba. Imported only where weights are coded."""

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from dcsim.codec.bit_kernels import U, load64

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
TILE = 4096  # flags of a tile stay in the first-level cache
MAGNITUDE = np.uint32(0x7FFFFFFF)


@intrinsic
def trailing_zeros(typing_context, value):
    """Number of zero bits below the lowest set bit; `value` is not 0."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), generate


@njit(cache=True)
def find(flat, slice_elements, least, values, skips, n_per_slice):
    """Fill in the kept elements, the distances between them and how many each slice has.

    Floats come as their bits, whose order without the sign is that of the magnitudes: `least` is the smallest kept one.
    First a flag for each element of a tile, which compiles to vector instructions; then 64 flags at once become a word,
    whose bits lead from each kept element straight to the next.

    Returns:
        The number of kept elements, and the bits of the largest magnitude.
    """
    flags = np.zeros(TILE, np.uint8)
    largest = np.uint32(0)
    n = first = 0
    for part in range(len(slice_elements)):
        end = first + slice_elements[part]
        n_before, next_free = n, first
        for tile in range(first, end, TILE):
            size = min(TILE, end - tile)
            piece = flat[tile : tile + size]
            for i in range(size):
                magnitude = piece[i] & MAGNITUDE
                flags[i] = np.uint8(magnitude >= least)
                largest = magnitude if magnitude > largest else largest  # max() would not become vector instructions
            padded = min(TILE, (size + 63) // 64 * 64)
            flags[size:padded] = 0
            for word in range(0, padded, 64):
                kept = U(0)
                for byte in range(8):
                    gathered = load64(flags, U(word + 8 * byte)) * U(0x0102040810204080)  # eight flags into eight bits
                    kept |= (gathered >> U(56)) << U(8 * byte)
                if kept == ALL:  # no pruning here: plain copies
                    for i in range(64):
                        values[n + i] = piece[word + i]
                        skips[n + i] = 0
                    skips[n] = tile + word - next_free
                    next_free = tile + word + 64
                    n += 64
                    continue
                while kept:
                    at = tile + word + np.int64(trailing_zeros(kept))
                    kept &= kept - U(1)
                    values[n] = flat[at]
                    skips[n] = at - next_free
                    next_free = at + 1
                    n += 1
        n_per_slice[part] = n - n_before
        first = end
    return n, largest


@njit(cache=True)
def count_fillers(skips, gap_bits):
    """A filler takes the place of 2**gap_bits zeros."""
    n = 0
    for skip in skips:
        n += skip >> np.uint32(gap_bits)
    return n


@njit(cache=True)
def insert_fillers(skips, symbols, gap_bits, gaps, stored):
    """Fill `gaps` and `stored`, with the largest gap and the symbol 0 for every filler. Most tiles need none."""
    largest = np.uint32((1 << gap_bits) - 1)
    at = 0
    for first in range(0, len(skips), TILE):
        piece, coded = skips[first : first + TILE], symbols[first : first + TILE]
        widest = np.uint32(0)
        for skip in piece:
            widest = skip if skip > widest else widest
        if widest <= largest:
            for i in range(len(piece)):
                gaps[at + i] = piece[i]
                stored[at + i] = coded[i]
            at += len(piece)
            continue
        for i in range(len(piece)):
            for _ in range(piece[i] >> np.uint32(gap_bits)):
                gaps[at] = largest
                stored[at] = 0
                at += 1
            gaps[at] = piece[i] & largest
            stored[at] = coded[i]
            at += 1


@njit(cache=True)
def count_skips(skips, n_counted):
    """Occurrences of each skip below `n_counted`, and the longer ones, int64."""
    counts = np.zeros(n_counted, np.int64)
    n_longer = 0
    for skip in skips:
        if skip < n_counted:
            counts[skip] += 1
        else:
            n_longer += 1
    longer = np.empty(n_longer, np.int64)
    if n_longer:
        at = 0
        for skip in skips:
            if skip >= n_counted:
                longer[at] = skip
                at += 1
    return counts, longer


@njit(cache=True)
def place(gaps, symbols, codebook, largest_gap, n_per_slice, slice_elements, flat):
    """Put every entry's value where its gap says; `codebook` None: the symbols are the values.

    Returns:
        0, or what is wrong: 1 a gap past the end of its slice, 2 an entry of value zero that is no filler, 3 zeros
        stored after the last nonzero of a slice.
    """
    entry = first = 0
    for part in range(len(n_per_slice)):
        at, end = first - 1, first + slice_elements[part]
        ends_in_zero = False
        for _ in range(n_per_slice[part]):
            gap = np.int64(gaps[entry])
            at += gap + 1
            if at >= end:
                return 1
            value = symbols[entry] if codebook is None else codebook[symbols[entry]]
            ends_in_zero = value == 0
            if ends_in_zero and gap != largest_gap:
                return 2
            flat[at] = value
            entry += 1
        if ends_in_zero:
            return 3
        first = end
    return 0
