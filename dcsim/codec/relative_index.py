"""Sparse positions as gaps: the number of zeros skipped before each stored entry (Deep Compression, section 2).

A gap holds at most 2**gap_bits - 1. A longer run of zeros is cut by filler zeros: entries with the largest gap and the
value zero, each of which stands for 2**gap_bits positions. Zeros after the last nonzero are not stored. With 0 bits
there are no gaps: every element up to the last nonzero is an entry.

Gaps run over a tensor as a whole, or start anew in each of its slices (a row, or what a processing element holds of a
column), so that a slice can be read alone.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dcsim.codec import huffman
from dcsim.errors import MalformedError

MAX_GAP_BITS = 16
SMALLEST_MAGNITUDE = 2.0**-149  # the smallest denormal of fp32: whatever is not zero is kept

Floats = npt.NDArray[np.float32]
Gaps = npt.NDArray[np.unsignedinteger]
Symbol = TypeVar("Symbol", bound=np.generic)  # a code or a value


@dataclass(frozen=True, eq=False)
class Nonzeros:
    """What is not zero in a 1-D array.

    Attributes:
        values: float32, in order.
        skips: zeros between each and the one before it in its slice, uint32.
        n_per_slice: how many each slice has.
    """

    values: Floats
    skips: npt.NDArray[np.uint32]
    n_per_slice: npt.NDArray[np.int64]


def find(
    flat: Floats, slice_elements: npt.NDArray[np.int64] | None = None, threshold: float = SMALLEST_MAGNITUDE
) -> Nonzeros:
    """The elements of `flat` whose magnitude is at least `threshold`, in one pass.

    Args:
        flat: 1-D float32, fewer than 2**32 elements.
        slice_elements: elements of each slice, in order; by default one slice.

    Raises:
        ValueError: an element is not finite.
    """
    from dcsim.codec import relative_index_kernels as kernels

    sizes = np.array([len(flat)]) if slice_elements is None else slice_elements
    # room for all, of which the system provides only what is written to
    values, skips = np.empty(len(flat), np.uint32), np.empty(len(flat), np.uint32)
    n_per_slice = np.empty(len(sizes), np.int64)
    least = np.float32(threshold).view(np.uint32)
    n_kept, largest = kernels.find(flat.view(np.uint32), sizes, least, values, skips, n_per_slice)
    if largest >= np.float32(np.inf).view(np.uint32):
        raise ValueError("an element is not finite")
    return Nonzeros(values[:n_kept].view(np.float32), skips[:n_kept], n_per_slice)


def encode(
    skips: npt.NDArray[np.uint32], symbols: npt.NDArray[Symbol], gap_bits: int
) -> tuple[Gaps, npt.NDArray[Symbol]]:
    """Gaps of `skips`, and `symbols` (one per nonzero, any type) with a zero wherever a filler stands.

    Returns:
        gaps: one per stored entry, uint8 up to 8 bits, else uint16.
        symbols: one per stored entry.
    """
    from dcsim.codec import relative_index_kernels as kernels

    n_stored = n_entries(skips, gap_bits)
    kind = np.uint8 if gap_bits <= 8 else np.uint16
    if n_stored == len(skips):
        return skips.astype(kind), symbols
    gaps: Gaps = np.empty(n_stored, kind)
    stored = np.empty(n_stored, symbols.dtype)
    kernels.insert_fillers(skips, symbols, gap_bits, gaps, stored)
    return gaps, stored


def n_entries(skips: npt.NDArray[np.uint32], gap_bits: int) -> int:
    """Stored entries: nonzeros and fillers."""
    from dcsim.codec import relative_index_kernels as kernels

    return len(skips) + int(kernels.count_fillers(skips, gap_bits))


def entries_per_slice(nonzeros: Nonzeros, gap_bits: int) -> npt.NDArray[np.int64]:
    """Stored entries of each slice."""
    fillers = np.concatenate([[0], np.cumsum(nonzeros.skips >> gap_bits, dtype=np.int64)])
    ends = np.cumsum(nonzeros.n_per_slice)
    return nonzeros.n_per_slice + np.diff(fillers[ends], prepend=0)


def place(
    flat: Floats,
    gaps: npt.NDArray[np.integer],
    symbols: npt.NDArray[np.generic],
    codebook: Floats | None,
    gap_bits: int,
    n_per_slice: npt.NDArray[np.int64],
    slice_elements: npt.NDArray[np.int64],
) -> None:
    """Put the values of which `encode` gave gaps and symbols into `flat`, 1-D and all zeros.

    Args:
        symbols: one per entry: an index into `codebook`, or without one the value itself.
        n_per_slice: entries of each slice; they sum to the number of gaps.
        slice_elements: elements of each slice; they sum to those of `flat`.

    Raises:
        MalformedError: a gap runs past the end of its slice, or there are zeros that no gap needs.
    """
    from dcsim.codec import relative_index_kernels as kernels

    fault = kernels.place(gaps, symbols, codebook, (1 << gap_bits) - 1, n_per_slice, slice_elements, flat)
    if fault:
        raise MalformedError(_FAULTS[fault])


_FAULTS = {
    1: "a gap runs past the end of the tensor or its slice",
    2: "an entry of value zero is no filler",
    3: "zeros after the last nonzero are stored",
}


def smallest_gap_bits(skips: npt.NDArray[np.uint32], code_counts: npt.NDArray[np.int64]) -> int:
    """The width that makes both Huffman streams and their tables together smallest, the narrower one on a tie.

    Gaps and fillers of every width follow from how often each skip occurs, so that nothing is encoded to find out.

    Args:
        code_counts: occurrences of the codes of the nonzeros; code 0, which fillers take, has none.
    """
    from dcsim.codec import relative_index_kernels as kernels

    widest = min(MAX_GAP_BITS, int(skips.max(initial=0)).bit_length())
    skip_counts, longer = kernels.count_skips(skips, 1 << widest)

    def size_bits(gap_bits: int) -> int:
        mask = (1 << gap_bits) - 1
        gap_counts = skip_counts.reshape(-1, 1 << gap_bits).sum(axis=0)
        gap_counts += np.bincount(longer & mask, minlength=1 << gap_bits)
        n_fillers = int(skip_counts @ (np.arange(len(skip_counts)) >> gap_bits)) + int((longer >> gap_bits).sum())
        gap_counts[mask] += n_fillers
        counts = code_counts.copy()
        counts[0] += n_fillers
        return huffman.size_bits(gap_counts) + huffman.size_bits(counts)

    return min(range(widest + 1), key=lambda gap_bits: (size_bits(gap_bits), gap_bits))
