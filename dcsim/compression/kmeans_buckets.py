"""Many float32 values counted by their leading bits, so that k-means need look closely at few of them.

Values that share sign, exponent and ten bits of fraction share a bucket. A bucket that lies within one cluster says all
that k-means asks of it by its count, its mean and its squared error.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

MAX_VALUES = (1 << 25) - 1  # what a bucket can count


@dataclass(frozen=True, eq=False)
class Buckets:
    """The buckets that hold a value, in ascending order; every array is (n_buckets,).

    Attributes:
        keys: leading bits.
        lowest, highest: the range a bucket covers, both ends included.
        counts: number of values.
        offsets: sum of value - first over the bucket, whose first value is the one nearest to zero that it covers.
        means: of the values.
    """

    keys: npt.NDArray[np.int64]
    lowest: Floats
    highest: Floats
    counts: Floats
    offsets: Floats
    means: Floats

    @classmethod
    def of(cls, values: Float32s) -> "Buckets | None":
        """Count contiguous `values`, MAX_VALUES at most. None if not all are finite."""
        from dcsim.compression import bucket_kernels as kernels

        words = np.zeros(kernels.N_BUCKETS, np.uint64)
        kernels.count_in_buckets(values.view(np.uint32), words)
        keys = np.flatnonzero(words != 0)
        n_positive = np.searchsorted(keys, kernels.N_BUCKETS // 2)  # the sign is the first bit
        keys = np.concatenate([keys[n_positive:][::-1], keys[:n_positive]])
        first = (keys << kernels.LOW_BITS).astype(np.uint32)
        if not np.isfinite(first[[0, -1]].view(np.float32)).all():
            return None
        ends = np.stack([first, first | kernels.LOW_MASK]).view(np.float32).astype(np.float64)
        counts = (words[keys] >> kernels.COUNT_SHIFT).astype(np.float64)
        low_bits = (words[keys] & ((1 << kernels.COUNT_SHIFT) - 1)).astype(np.float64)
        offsets = low_bits * ((ends[1] - ends[0]) / kernels.LOW_MASK)  # the floats in a bucket are evenly spaced
        return cls(keys, ends.min(axis=0), ends.max(axis=0), counts, offsets, ends[0] + offsets / counts)

    def at(self, places: Floats) -> npt.NDArray[np.int64]:
        """The last bucket that begins at or below each place, or the first."""
        return np.maximum(np.searchsorted(self.lowest, places, side="right") - 1, 0)

    def divided(self, edges: Floats) -> npt.NDArray[np.int64]:
        """The buckets that could hold values on both sides of an edge."""
        at = self.at(edges)
        return at[(self.lowest[at] <= edges) & (edges < self.highest[at])]

    def values_in(self, is_open: Flags, values: Float32s) -> Float32s:
        """Those of `values` that are in open buckets, in their order."""
        from dcsim.compression import bucket_kernels as kernels

        wanted = np.zeros(kernels.N_BUCKETS, np.uint8)
        wanted[self.keys[is_open]] = 1
        picked = np.empty(int(self.counts[is_open].sum()) + 1, np.uint32)
        kernels.pick(values.view(np.uint32), wanted, picked)
        return picked[:-1].view(np.float32)

    def squared_error(self, is_open: Flags, values: Float32s, single: Float32s) -> float | None:
        """Of closed buckets, each about its mean; `single` are the values in open ones.

        None if rounding hides it, as with one value that is larger than all others by many orders.
        """
        from dcsim.compression import bucket_kernels as kernels

        of_all, of_open = (kernels.squared_offsets(floats.view(np.uint32)) for floats in (values, single))
        of_means = float((np.square(self.offsets[~is_open]) / self.counts[~is_open]).sum())
        error: float = of_all - of_open - of_means
        return error if error >= of_all / (1 << 20) else None  # a fourth of it, where values spread evenly
