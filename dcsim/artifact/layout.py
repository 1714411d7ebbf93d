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
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dcsim.units import ceil_div

Scan = Literal["rows", "columns", "per-row", "per-pe"]
SCANS: tuple[Scan, ...] = get_args(Scan)

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Live:
    """The live units of one side of a matrix.

    Attributes:
        unit: rows or columns that live and die together, such as the taps of a filter for one input channel.
        mask: one flag per unit.
    """

    unit: int
    mask: Mask

    @property
    def is_count(self) -> bool:
        """Whether the live units are the first ones, so that their number says it all."""
        return not (np.diff(self.mask.astype(np.int8)) > 0).any()

    @property
    def n_live(self) -> int:
        """Live rows or columns."""
        return int(np.count_nonzero(self.mask)) * self.unit

    def elements(self) -> Mask:
        """One flag per row or column."""
        return np.repeat(self.mask, self.unit)


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

    def slice_elements(self, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """Elements of every run of gaps."""
        n_rows, n_columns = self.live_shape(shape)
        if self.scan == "per-row":
            return np.full(n_rows, n_columns, np.int64)
        if self.scan == "per-pe":
            held = [ceil_div(max(n_rows - pe, 0), self.n_pes) for pe in range(self.n_pes)]
            return np.repeat(np.array(held, np.int64), n_columns)
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
            live, at = np.empty(live_shape, np.float32), 0
            for pe in range(self.n_pes):
                rows = live[pe :: self.n_pes]
                rows[:] = flat[at : at + rows.size].reshape(rows.shape[::-1]).T
                at += rows.size
        else:
            live = flat.reshape(live_shape)
        if not (self.live_rows or self.live_columns):
            return np.ascontiguousarray(live).reshape(shape)
        n_rows, n_columns = matrix_shape(shape)
        rows_at = self.live_rows.elements() if self.live_rows else np.ones(n_rows, np.bool_)
        columns_at = self.live_columns.elements() if self.live_columns else np.ones(n_columns, np.bool_)
        matrix = np.zeros((n_rows, n_columns), np.float32)
        matrix[np.ix_(rows_at, columns_at)] = live
        return matrix.reshape(shape)


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns as which a tensor is stored."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def find_dead(values: Floats) -> tuple[Live | None, Live | None]:
    """The live rows and columns of a tensor, None on a side where all are. Taps of one input channel die together."""
    matrix = values.reshape(matrix_shape(values.shape)) != 0
    unit = math.prod(values.shape[2:])
    rows = Live(1, matrix.any(axis=1))
    columns = Live(unit, matrix.any(axis=0).reshape(-1, unit).any(axis=1) if matrix.size else np.zeros(0, np.bool_))
    return (None if rows.mask.all() else rows), (None if columns.mask.all() else columns)
