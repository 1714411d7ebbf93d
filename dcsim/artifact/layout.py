"""In which order the elements of a tensor are scanned, where gaps start anew, and which units are left out.

A tensor is seen as a matrix: its first dimension as rows (output units), the others together as columns (inputs); a
tensor of one dimension as one row. Units that are zero altogether can be left out on both sides. What is live is
scanned

* `rows`: row by row; `columns`: column by column; in one run of gaps;
* `per-row`: row by row, gaps starting anew in each;
* `per-pe`: as EIE lays a matrix out (Han et al., ISCA 2016, section III): rows interleaved over processing elements,
  row i on element i mod n, and for each element column by column, gaps starting anew in each column.
"""

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Scan = Literal["rows", "columns", "per-row", "per-pe"]
SCANS: tuple[Scan, ...] = get_args(Scan)

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Places = slice | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Live:
    """The live units of one side of a matrix: the first ones, or those of a bitmap.

    A few bytes of a file may declare 2**32 units, so flags are made when asked for.

    Attributes:
        unit: rows or columns that live and die together, such as the taps of a filter for one input channel.
        n_units: all of them, dead ones included.
        n_first: how many live, where those are the first ones.
        bitmap: a flag per unit, lowest bit first, where a count would not do.
    """

    unit: int
    n_units: int
    n_first: int = 0
    bitmap: npt.NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, mask: Mask, unit: int = 1) -> "Live":
        """From one flag per unit."""
        if (mask[1:] > mask[:-1]).any():
            return cls(unit, len(mask), bitmap=np.packbits(mask, bitorder="little"))
        return cls(unit, len(mask), int(np.count_nonzero(mask)))

    @property
    def is_count(self) -> bool:
        """Whether the live units are the first ones, so that their number says it all."""
        return self.bitmap is None

    def is_canonical(self) -> bool:
        """Whether `of` gives the same: no bitmap where a count would do, and no padding that is not zero."""
        again = Live.of(self.mask, self.unit).bitmap if self.bitmap is not None else None
        return self.bitmap is None or (again is not None and np.array_equal(again, self.bitmap))

    @cached_property
    def mask(self) -> Mask:
        """One flag per unit."""
        if self.bitmap is None:
            return np.arange(self.n_units) < self.n_first
        return np.unpackbits(self.bitmap, count=self.n_units, bitorder="little").view(np.bool_)

    @cached_property
    def n_live(self) -> int:
        """Live rows or columns."""
        return self.unit * (self.n_first if self.bitmap is None else int(np.count_nonzero(self.mask)))

    def elements(self) -> Mask:
        """One flag per row or column."""
        return np.repeat(self.mask, self.unit)

    def places(self) -> Places:
        """Where the live rows or columns are."""
        return slice(self.n_live) if self.bitmap is None else np.flatnonzero(self.elements())


@dataclass(frozen=True, eq=False)
class Layout:
    """How the elements of one tensor lie in the file. No `live_rows` or `live_columns` means all of them."""

    scan: Scan = "rows"
    n_pes: int = 1
    live_rows: Live | None = None
    live_columns: Live | None = None

    def live_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of the live part."""
        n_rows, n_columns = matrix_shape(shape)
        return (
            self.live_rows.n_live if self.live_rows else n_rows,
            self.live_columns.n_live if self.live_columns else n_columns,
        )

    @property
    def is_sliced(self) -> bool:
        """Whether gaps start anew in every slice."""
        return self.scan in ("per-row", "per-pe")

    def n_slices(self, shape: tuple[int, ...]) -> int:
        """Runs of gaps."""
        n_rows, n_columns = self.live_shape(shape)
        return {"per-row": n_rows, "per-pe": self.n_pes * n_columns}.get(self.scan, 1)

    def slice_elements(
        self, shape: tuple[int, ...], first: int = 0, n_most: int = sys.maxsize
    ) -> npt.NDArray[np.int64]:
        """Elements of every run of gaps, or of at most `n_most` from number `first` on."""
        n_rows, n_columns = self.live_shape(shape)
        end = min(self.n_slices(shape), first + n_most)
        if self.scan == "per-row":
            return np.full(end - first, n_columns, np.int64)
        if self.scan == "per-pe":
            n_each, n_more = divmod(n_rows, self.n_pes)
            return n_each + (np.arange(first, end) // max(n_columns, 1) < n_more)
        return np.array([n_rows * n_columns], np.int64)

    def flatten(self, values: Floats) -> Floats:
        """The live elements in the order of the scan, 1-D and contiguous."""
        matrix = values.reshape(matrix_shape(values.shape))
        if self.live_rows:
            matrix = matrix[self.live_rows.elements()]
        if self.live_columns:
            matrix = matrix[:, self.live_columns.elements()]
        if self.scan == "columns":
            matrix = matrix.T
        if self.scan == "per-pe":
            return np.concatenate([matrix[pe :: self.n_pes].T.ravel() for pe in range(self.n_pes)])
        return np.ascontiguousarray(matrix).ravel()

    def restore(self, flat: Floats, shape: tuple[int, ...]) -> Floats:
        """The tensor whose live elements `flatten` gave."""
        live_shape = self.live_shape(shape)
        if self.scan == "columns":
            live = flat.reshape(live_shape[::-1]).T
        elif self.scan == "per-pe":
            live = _rows_of_pes(flat, live_shape, self.n_pes)
        else:
            live = flat.reshape(live_shape)
        del flat  # or three copies are held at once
        if not (self.live_rows or self.live_columns):
            return np.ascontiguousarray(live).reshape(shape)
        matrix = np.zeros(matrix_shape(shape), np.float32)
        rows_at = self.live_rows.places() if self.live_rows else slice(None)
        columns_at = self.live_columns.places() if self.live_columns else slice(None)
        if not isinstance(rows_at, slice) and not isinstance(columns_at, slice):
            rows_at = rows_at[:, np.newaxis]
        matrix[rows_at, columns_at] = live
        return matrix.reshape(shape)


def _rows_of_pes(flat: Floats, shape: tuple[int, int], n_pes: int) -> Floats:
    """The matrix of which each processing element holds every `n_pes`-th row, column by column.

    All that hold one row more than the others are placed at once, and then those others: there may be very many.
    """
    n_rows, n_columns = shape
    n_each, n_more = divmod(n_rows, n_pes)
    live = np.empty(shape, np.float32)
    split = n_more * n_columns * (n_each + 1)
    longer = flat[:split].reshape(n_more, n_columns, n_each + 1)
    rounds = live[: n_each * n_pes].reshape(n_each, n_pes, n_columns)
    rounds[:, :n_more] = longer[:, :, :n_each].transpose(2, 0, 1)
    rounds[:, n_more:] = flat[split:].reshape(n_pes - n_more, n_columns, n_each).transpose(2, 0, 1)
    live[n_each * n_pes :] = longer[:, :, n_each]
    return live


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns as which a tensor is stored."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def find_dead(values: Floats) -> tuple[Live | None, Live | None]:
    """The live rows and columns of a tensor, None on a side where all are. Taps of one input channel die together."""
    matrix = values.reshape(matrix_shape(values.shape)) != 0
    n_taps = math.prod(values.shape[2:])
    channels = matrix.any(axis=0).reshape(-1, n_taps).any(axis=1) if matrix.size else np.zeros(0, np.bool_)
    return _side(matrix.any(axis=1), 1), _side(channels, n_taps)


def _side(mask: Mask, unit: int) -> Live | None:
    """The live units of one side, neighbours that live and die together as one; None where all live."""
    if mask.all():
        return None
    n_together = math.gcd(len(mask), *(np.flatnonzero(mask[1:] != mask[:-1]) + 1).tolist())
    return Live.of(mask[::n_together], unit * n_together)
