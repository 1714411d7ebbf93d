"""The Pareto front of a table of design points, exact and for millions of rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError
from dcsim.explore.sweep_spec import MORE_IS_BETTER

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PAIRS_AT_ONCE = 1 << 15  # comparisons that are made in one go instead of being split further
MANY_ROWS, SAMPLE_ROWS = 1 << 13, 1 << 11  # so many rows are thinned out first, by a sample of so many


def pareto(frame: "pd.DataFrame", objectives: Sequence[str]) -> Mask:
    """Which rows no other row beats: none is at least as good in all objectives and better in one. Shape (n_rows,).

    Exact, in O(n log n) for two objectives. Equal rows are on the front together. A row with an error, or without one
    of the figures, is never on it: to leave out points that do not keep up with the frame rate, name `latency_s`, which
    they do not have.

    Args:
        objectives: numeric columns to make small; those in MORE_IS_BETTER are made large.

    Raises:
        ConfigError: no objective, or one that is no numeric column.
    """
    if not objectives:
        raise ConfigError("a front needs an objective")
    figures = np.column_stack(
        [figures_of(frame, name) * (-1.0 if name in MORE_IS_BETTER else 1.0) for name in objectives]
    )
    usable = ~np.isnan(figures).any(axis=1) & sound_rows(frame)
    rows, places = _distinct_rows(figures[usable])
    on_front = np.zeros(len(frame), np.bool_)
    on_front[np.flatnonzero(usable)] = _front(rows)[places]
    return on_front


def figures_of(frame: "pd.DataFrame", name: str) -> Floats:
    """A column as numbers, NaN where there is none. Raises ConfigError."""
    if name not in frame.columns:
        raise ConfigError(f"no column {name}{did_you_mean(name, [str(column) for column in frame.columns])}")
    try:
        found: Floats = frame[name].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is no column of numbers") from error
    return found


def sound_rows(frame: "pd.DataFrame") -> Mask:
    """Rows without an error; where there is no such column, all."""
    errors = frame["error"].to_numpy(object) if "error" in frame.columns else np.full(len(frame), "", object)
    return np.array([not isinstance(error, str) or not error for error in errors], np.bool_)


def _distinct_rows(figures: Floats) -> tuple[Floats, Ints]:
    """Distinct rows in lexicographic order, and the place of each row among them."""
    order = np.lexsort(figures.T[::-1])
    ordered = figures[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    places = np.empty(len(order), np.int64)
    places[order] = np.cumsum(is_new) - 1
    return ordered[is_new], places


def _front(rows: Floats) -> Mask:
    """`_undominated` of distinct rows, most of which a sample of them rules out as long as it does."""
    n_rows = len(rows)
    if n_rows < MANY_ROWS:
        return _undominated(rows)
    sample = np.arange(0, n_rows, n_rows // SAMPLE_ROWS)
    strong = sample[_undominated(rows[sample])]
    left = ~_covered(rows[strong], rows)
    left[strong] = True
    goes_on = 2 * left.sum() < n_rows
    left[left] = _front(rows[left]) if goes_on else _undominated(rows[left])
    return left


def _undominated(rows: Floats) -> Mask:
    """Which of distinct rows in lexicographic order no other one dominates.

    Only an earlier row can dominate a later one. So the front of the first half is final, and the front of the second
    half loses what the first dominates in the columns after the first one: Kung, Luccio and Preparata, J. ACM 22, 1975.
    """
    n_rows, n_columns = rows.shape
    if n_columns == 1:
        return np.asarray(np.arange(n_rows) == 0)
    if n_columns == 2:
        least_before = np.minimum.accumulate(rows[:-1, 1])
        return np.concatenate([[True], rows[1:, 1] < least_before])[:n_rows]
    if n_rows**2 <= PAIRS_AT_ONCE:
        beats = (rows[:, None, :] <= rows[None, :, :]).all(axis=2)
        return np.asarray(beats.sum(axis=0) == 1)  # each is no worse than itself
    middle = n_rows // 2
    first, second = _undominated(rows[:middle]), _undominated(rows[middle:])
    left = np.flatnonzero(second)
    second[left] = ~_covered(rows[:middle][first, 1:], rows[middle:][left, 1:])
    return np.concatenate([first, second])


def _covered(by: Floats, rows: Floats) -> Mask:
    """Which `rows` have a row of `by` that is nowhere above them."""
    if not len(by) or not len(rows):
        return np.zeros(len(rows), np.bool_)
    if by.shape[1] == 2:
        order = np.argsort(by[:, 0], kind="stable")
        least = np.concatenate([[np.nan], np.minimum.accumulate(by[order, 1])])
        return np.asarray(rows[:, 1] >= least[np.searchsorted(by[order, 0], rows[:, 0], side="right")])
    if by.shape[1] == 1:
        return np.asarray(rows[:, 0] >= by[:, 0].min())
    if len(by) * len(rows) <= PAIRS_AT_ONCE:
        return np.asarray((by[:, None, :] <= rows[None, :, :]).all(axis=2).any(axis=0))
    values = np.sort(np.concatenate([by[:, 0], rows[:, 0]]))
    middle = values[max(len(values) // 2, np.searchsorted(values, values[0], side="right") % len(values))]
    low, rows_low = by[:, 0] < middle, rows[:, 0] < middle
    if middle == values[0]:  # all are equal in this column
        return _covered(by[:, 1:], rows[:, 1:])
    found = np.zeros(len(rows), np.bool_)
    found[rows_low] = _covered(by[low], rows[rows_low])
    found[~rows_low] = _covered(by[low, 1:], rows[~rows_low, 1:])
    left = np.flatnonzero(~rows_low & ~found)
    found[left] = _covered(by[~low], rows[left])
    return found
