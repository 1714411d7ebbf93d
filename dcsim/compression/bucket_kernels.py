"""The inner loops of counting float32 bit patterns in buckets, compiled by numba. Imported only where that is done."""

import numpy as np
from numba import njit

#: float32 values whose first 19 bits agree (sign, exponent, 10 bits of fraction) share a bucket; 13 bits are left
LOW_BITS = 13
LOW_MASK, ALL_BITS = (1 << LOW_BITS) - 1, (1 << 32) - 1
N_BUCKETS = 1 << (32 - LOW_BITS)
#: the count sits above the sum of low bits in one 64-bit word, so that one addition keeps both: of 2^25 values at most
COUNT_SHIFT = 64 - 25


@njit(cache=True)
def count_in_buckets(bits, words):
    """Add float32 bit patterns to their buckets: 1 to the count and the low bits to their sum."""
    for i in range(len(bits)):
        word = np.uint64(1 << COUNT_SHIFT) | np.uint64(bits[i] & np.uint32(LOW_MASK))
        words[bits[i] >> np.uint32(LOW_BITS)] += word


@njit(cache=True, fastmath={"reassoc", "contract"})
def squared_offsets(bits):
    """Sum of the squared distances to the first value of the bucket, whose low bits are 0."""
    total = 0.0
    for i in range(len(bits)):
        first = bits[i] & np.uint32(ALL_BITS - LOW_MASK)
        offset = np.float64(np.uint32(bits[i]).view(np.float32) - np.uint32(first).view(np.float32))
        total += offset * offset
    return total


@njit(cache=True)
def pick(bits, wanted, picked):
    """Copy the bit patterns in wanted buckets, in their order. `picked` has room for one more: no branch is taken."""
    n = 0
    for i in range(len(bits)):
        picked[n] = bits[i]
        n += wanted[bits[i] >> np.uint32(LOW_BITS)]
