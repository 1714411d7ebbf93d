"""Work of a GEMM on the sparse array of EIE (Han et al., ISCA 2016, arXiv 1602.01528), from real positions of zeros.

Row r of the N x K weight matrix is with PE r % n_pes. A PE keeps its part of each column as entries, a code and a gap,
with gaps counted within that part (section III), and takes one entry a cycle, filler zeros too (sections III, IV).
What the queues do:

* Nonzero activations are sent to all PEs in the order of columns, at most one a cycle: that is what the tree of leading
  nonzero detection finds.
* "The broadcast is disabled if any PE has a full queue", and "each PE processes the activation at the head of its
  queue" (section IV): so an activation leaves the queue when the PE is done with its column, not when it begins, and
  `fifo_depth` counts the one in work. Depth 1 then means that all PEs wait for the slowest at every column: about half
  of the cycles are idle on the paper's layers, as its Figure 8 has it for a queue of one.
* A column of which the PE has no entry still takes one cycle: its pointers are looked up with the index "at the head of
  the activation queue", and that is one activation a cycle. Without this, NT-We, of whose columns PEs have one entry on
  average, would take 21 % less than EIE prints; with it, 7 %.
* What comes a fixed number of cycles later is left out: the pipeline of 4 stages, an activation's way to the queue.

An M x N x K GEMM is M matrix-vector products, one after the other: a product's last column is done before the next
product's first, since accumulators belong to one.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from dcsim.soc.array_spec import SparseArray
from dcsim.soc.pe_array import ArrayWork
from dcsim.units import bits_to_bytes, ceil_div, shares

MAX_PIXELS = 32  # output pixels simulated of a convolution; where there are more, the rest are taken to be like these
SPARE_BYTES = 8  # the kernels read eight bytes at a time

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SparseWork:
    """What one GEMM costs the sparse array.

    Attributes:
        n_cycles: with the queues as they fill and empty ("actual time" in EIE, Table IV).
        n_cycles_theoretical: entries over PEs, as if they were shared evenly ("theoretical time").
        n_entries: entries processed, fillers included; each takes a PE one cycle.
        n_filler_zeros: those of them that are fillers.
        n_macs: products of a nonzero weight and a nonzero activation.
        n_broadcasts: nonzero activations sent to all PEs.
        n_pointer_reads: pairs of pointers, one for each activation in each PE.
        n_activation_accesses: an accumulator is read and written for each entry, fillers too, which pass through the
            same pipeline; an activation is read once to be sent.
        n_queue_accesses: an activation is written to and read from the queue of each PE.
        n_entries_stored: entries in the memories of all PEs, fillers included.
    """

    n_cycles: int = 0
    n_cycles_theoretical: int = 0
    n_entries: int = 0
    n_filler_zeros: int = 0
    n_macs: int = 0
    n_broadcasts: int = 0
    n_pointer_reads: int = 0
    n_activation_accesses: int = 0
    n_queue_accesses: int = 0
    n_entries_stored: int = 0

    @property
    def load_balance(self) -> float:
        """Share of the cycles in which PEs are at work, 0 to 1 (EIE, Figure 8); 1 where there is nothing to do."""
        return self.n_cycles_theoretical / self.n_cycles if self.n_cycles else 1.0

    def followed_by(self, other: "SparseWork") -> "SparseWork":
        """Both, one after the other."""
        return SparseWork(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def array_work(self) -> ArrayWork:
        """The same as every array says it; operands come from the PEs' own memories, not from the chip's SRAM."""
        return ArrayWork(
            n_cycles=self.n_cycles,
            n_macs=self.n_macs,
            n_entries=self.n_entries,
            n_pointer_reads=self.n_pointer_reads,
            n_activation_accesses=self.n_activation_accesses,
            n_queue_accesses=self.n_queue_accesses,
        )


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """The weights of one group as the PEs hold them.

    Attributes:
        entries: int32 (K, n_pes), entries of each column in each PE.
        n_entries, n_nonzero: int64 (K,), entries and nonzero weights of each column.
    """

    entries: npt.NDArray[np.int32]
    n_entries: Counts
    n_nonzero: Counts

    @classmethod
    def of(cls, pe_entries: npt.NDArray[np.int32], n_nonzero: Counts) -> "StoredMatrix":
        """From the entries of each PE in each column, int32 (n_pes, K)."""
        return cls(np.ascontiguousarray(pe_entries.T), pe_entries.sum(0, dtype=np.int64), n_nonzero)


def work(
    array: SparseArray,
    n_groups: int,
    m: int,
    n: int,
    k: int,
    bitmap: bytes | None = None,
    column_nonzeros: Sequence[int] | None = None,
    n_nonzero: int | None = None,
) -> SparseWork:
    """`n_groups` products of M pixels x N outputs x K columns, one group after the other.

    With one pixel the result is exact. With more, entries, MACs and accesses are exact too; of the pixels it is only
    known how many have a nonzero in a column, so which ones is taken to be as evenly spaced as can be, and cycles are
    those of at most `MAX_PIXELS` of them, times the entries of all over theirs. Groups follow one another.

    Args:
        bitmap: N x K nonzero flags of each group, eight to a byte, lowest bit first. None where positions are not
            known: entries are then spread evenly over columns and PEs, so that load is as balanced as it can be, with
            as many fillers as a uniformly random mask has on average.
        column_nonzeros: how many of the M pixels have a nonzero activation in each of the K columns, group after group;
            None takes all activations to be nonzero.
        n_nonzero: nonzero weights of all groups where there is no bitmap; None takes all to be nonzero.

    Raises:
        ValueError: a bitmap or counts that are not of this size, or out of range.
    """
    if 0 in (n_groups, m, n, k):
        return SparseWork()
    counts = np.full(n_groups * k, m, np.int64) if column_nonzeros is None else np.asarray(column_nonzeros, np.int64)
    if counts.shape != (n_groups * k,) or counts.min() < 0 or counts.max() > m:
        raise ValueError(f"expected {n_groups * k} counts of nonzero activations from 0 to {m}")
    if bitmap is not None and len(bitmap) != bits_to_bytes(n_groups * n * k):
        raise ValueError(f"expected a bitmap of {bits_to_bytes(n_groups * n * k)} bytes, found {len(bitmap)}")
    if n_nonzero is not None and not 0 <= n_nonzero <= n_groups * n * k:
        raise ValueError(f"expected at most {n_groups * n * k} nonzero weights, found {n_nonzero}")
    per_group = shares(n_groups * n * k if n_nonzero is None else n_nonzero, n_groups)
    readable = None if bitmap is None else np.frombuffer(bitmap + bytes(SPARE_BYTES), np.uint8)
    total = SparseWork()
    for group in range(n_groups):
        if readable is not None:
            stored = _counted(array, readable, group * n * k, n, k)
        elif group == 0 or per_group[group] != per_group[group - 1]:
            stored = _spread(array, per_group[group], n, k)
        total = total.followed_by(_group_work(array, stored, counts[group * k : (group + 1) * k], m))
    return total


def expected_filler_zeros(n: int, k: int, n_pes: int, gap_bits: int, density: float) -> float:
    """Filler zeros that a uniformly random N x K mask of this density has on average in the layout of the array.

    A nonzero has a t-th filler before it when t * 2^gap_bits rows of its slice before it are zero. In a slice of R rows
    that many rows come before R - t * 2^gap_bits of its places, so there are sum over t of density *
    (1 - density)^(t * 2^gap_bits) * (R - t * 2^gap_bits) of them.
    """
    cut = 1 << gap_bits
    total = 0.0
    for n_rows, n_slices in ((ceil_div(n, n_pes), n % n_pes or n_pes), (n // n_pes, -n % n_pes)):
        for skipped in range(cut, n_rows, cut):
            total += n_slices * k * density * (1 - density) ** skipped * (n_rows - skipped)
    return total


def _counted(array: SparseArray, bitmap: npt.NDArray[np.uint8], first_bit: int, n: int, k: int) -> StoredMatrix:
    from dcsim.soc.sparse_kernels import count_entries

    pe_entries, n_nonzero = np.zeros((array.n_pes, k), np.int32), np.zeros(k, np.int64)
    count_entries(bitmap, first_bit, n, k, array.n_pes, array.gap_bits, pe_entries, n_nonzero)
    return StoredMatrix.of(pe_entries, n_nonzero)


def _spread(array: SparseArray, n_nonzero: int, n: int, k: int) -> StoredMatrix:
    """As evenly as can be; of the entries of each column, the same part are nonzeros."""
    from dcsim.soc.sparse_kernels import spread_entries

    n_entries = n_nonzero + round(expected_filler_zeros(n, k, array.n_pes, array.gap_bits, n_nonzero / (n * k)))
    pe_entries = np.zeros((array.n_pes, k), np.int32)
    spread_entries(n_entries, n, k, array.n_pes, pe_entries)
    ends = pe_entries.sum(0, dtype=np.int64).cumsum() * n_nonzero // max(n_entries, 1)
    return StoredMatrix.of(pe_entries, np.diff(ends, prepend=0))


def _group_work(array: SparseArray, stored: StoredMatrix, counts: Counts, m: int) -> SparseWork:
    n_broadcasts = int(counts.sum())
    n_entries, n_macs = int(counts @ stored.n_entries), int(counts @ stored.n_nonzero)
    return SparseWork(
        n_cycles=_n_cycles(array, stored, counts, m, n_entries),
        n_cycles_theoretical=ceil_div(n_entries, array.n_pes),
        n_entries=n_entries,
        n_filler_zeros=n_entries - n_macs,
        n_macs=n_macs,
        n_broadcasts=n_broadcasts,
        n_pointer_reads=array.n_pes * n_broadcasts,
        n_activation_accesses=2 * n_entries + n_broadcasts,
        n_queue_accesses=2 * array.n_pes * n_broadcasts,
        n_entries_stored=int(stored.n_entries.sum()),
    )


def _n_cycles(array: SparseArray, stored: StoredMatrix, counts: Counts, m: int, n_entries: int) -> int:
    """Cycles of all pixels. No fewer than columns sent, or entries of the busiest PE; no more than with a queue of 1.

    Where no pixel that is simulated has an entry, but others do, it is the latter.
    """
    from dcsim.soc.sparse_kernels import pixel_cycles

    alike = bool(((counts == 0) | (counts == m)).all())
    n_simulated = 1 if alike else min(m, MAX_PIXELS)
    pixels = (2 * np.arange(n_simulated) + 1) * m // (2 * n_simulated)
    cycles, entries = map(int, pixel_cycles(stored.entries, stored.n_entries, counts, m, pixels, array.fifo_depth))
    if n_simulated == m:
        return cycles
    if alike:
        return cycles * m
    slowest = int(counts @ np.maximum(stored.entries.max(1), 1).astype(np.int64))
    if entries == 0:
        return slowest
    busiest = int((counts @ stored.entries).max())
    return min(max(ceil_div(cycles * n_entries, entries), busiest, int(counts.sum())), slowest)
