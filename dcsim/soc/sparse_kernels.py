"""The inner loops of the sparse array, compiled by numba. Imported only where a sparse array is at work."""

import numpy as np
from numba import njit

from dcsim.codec.bit_kernels import U, window
from dcsim.codec.relative_index_kernels import trailing_zeros

AT_ONCE = 56  # bits that `window` gives at any place


@njit(cache=True)
def count_entries(bitmap, first_bit, n, k, n_pes, gap_bits, entries, nonzeros):
    """Add up what each PE stores of each column of an N x K matrix whose row r is with PE r % n_pes.

    A PE's part of a column is a slice of its own: gaps are counted in it alone and start anew in each, so a nonzero
    that `skipped` rows of the same PE separate from the one before takes skipped >> gap_bits fillers with it; none
    follow the last. PE after PE, so that what is counted stays in the cache.

    Args:
        bitmap: uint8, lowest bit first, with eight bytes to spare.
        first_bit: where the matrix begins in it.
        entries: int32 (n_pes, K), zeros; to be filled.
        nonzeros: int64 (K,), zeros; to be filled.
    """
    last_byte = U(len(bitmap) - 8)
    next_free = np.empty(k, np.int32)
    for pe in range(min(n_pes, n)):
        next_free[:] = 0
        stored = entries[pe]
        for local, row in enumerate(range(pe, n, n_pes)):
            start = first_bit + row * k
            for column in range(0, k, AT_ONCE):
                size = min(AT_ONCE, k - column)
                bits = window(bitmap, U(start + column), last_byte) & ((U(1) << U(size)) - U(1))
                while bits:
                    at = column + np.int64(trailing_zeros(bits))
                    bits &= bits - U(1)
                    stored[at] += 1 + ((local - next_free[at]) >> gap_bits)
                    next_free[at] = local + 1
                    nonzeros[at] += 1


@njit(cache=True)
def spread_entries(n_entries, n, k, n_pes, entries):
    """Deal `n_entries` out as evenly as whole numbers permit to a matrix of N x K, as many for a row as for any other.

    Column after column and in it PE after PE, each gets what brings the sum nearest from below to its rows' share.
    Numbers stay below n_entries * max(N, K).
    """
    for column in range(k):
        whole, rest = divmod(column * n_entries, k)
        before, rows = whole, 0
        for pe in range(min(n_pes, n)):
            rows += (n - pe + n_pes - 1) // n_pes
            after = whole + (rest * n + rows * n_entries) // (n * k)
            entries[pe, column] = after - before
            before = after


@njit(cache=True)
def queue_cycles(entries, columns, fifo_depth):
    """Cycles from the first broadcast of these columns until the last PE is done with the last of them.

    Column c finds room in all queues in the cycle in which every PE is done with column c - fifo_depth, and

        done(c, pe) = max(done(c - 1, pe), room(c)) + max(1, entries of the column in the PE)

    That a cycle sends one column at most needs no term of its own: each keeps a PE for a cycle at least, so a column
    sent a cycle after the one before is there in time.

    Args:
        entries: int32 (K, n_pes).
        columns: those with a nonzero activation, in order.
    """
    n_columns, n_pes = len(columns), entries.shape[1]
    depth = min(fifo_depth, n_columns + 1)
    done = np.zeros(n_pes, np.int64)
    all_done = np.zeros(depth, np.int64)  # of the last `depth` columns
    finished = np.int64(0)
    for c in range(n_columns):
        room = all_done[c % depth]
        row = entries[columns[c]]
        finished = np.int64(0)
        for pe in range(n_pes):
            done[pe] = max(done[pe], room) + max(row[pe], 1)
            finished = max(finished, done[pe])
        all_done[c % depth] = finished
    return finished


@njit(cache=True)
def pixel_cycles(entries, n_stored, column_nonzeros, m, pixels, fifo_depth):
    """Cycles and entries of some of M output pixels, one after the other.

    Column j, nonzero in c of the pixels, is nonzero in pixel p when floor(((p + 1) c + o) / M) > floor((p c + o) / M):
    in c pixels exactly, as evenly spaced as can be, from an offset o that the golden ratio spreads over the columns.

    Args:
        entries: int32 (K, n_pes).
        n_stored: int64 (K,), entries of all PEs.
        column_nonzeros: int64 (K,).
        pixels: int64, which of them.
    """
    k = len(column_nonzeros)
    columns = np.empty(k, np.int64)
    n_cycles = n_entries = np.int64(0)
    for pixel in pixels:
        n_columns = 0
        for j in range(k):
            count = column_nonzeros[j]
            offset = (((j * 0x9E3779B9) & 0xFFFFFFFF) * m) >> 32
            if ((pixel + 1) * count + offset) // m > (pixel * count + offset) // m:
                columns[n_columns] = j
                n_columns += 1
                n_entries += n_stored[j]
        n_cycles += queue_cycles(entries, columns[:n_columns], fifo_depth)
    return n_cycles, n_entries
