"""Answers from a table of design points: the Pareto front, and which number of the chip moves a figure most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError, SimulationError
from dcsim.explore.front import figures_of, pareto, sound_rows
from dcsim.explore.grid import Grid, Ints
from dcsim.simulation.simulate import require_fps
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KNOB_FIGURES", "Sensitivity", "Turned", "knobs", "neighbours", "pareto", "sensitivity"]

Floats = npt.NDArray[np.float64]

STEP = 0.1  # by which a knob is turned up and down
KNOB_FIGURES = ("energy_pj_per_frame", "average_power_watts", "latency_s")

# --- around points of a grid -----------------------------------------------------------------------------------------


def neighbours(grid: Grid, points: Ints) -> Ints:
    """The points one step away from any of `points` on one axis, without these themselves; sorted, each once."""
    points = np.asarray(points, np.int64)
    found: list[Ints] = [np.zeros(0, np.int64)]
    stride = grid.n_points
    for place, length in zip(grid.places(points), grid.lengths, strict=True):
        stride //= length
        found += [points[place > 0] - stride, points[place < length - 1] + stride]
    return np.setdiff1d(np.concatenate(found), points)


# --- what moves a figure ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sensitivity:
    """How much a figure moves along one axis of a sweep alone, all other axes fixed.

    Attributes:
        axis: of axes that move together the names, joined by `+`.
        least, greatest: values of the axis; of words the first and the last.
        n_settings: combinations of the other axes with two values or more of this one.
        median_swing, largest_swing: greatest over least figure along the axis, over all settings; 1 where it moves
            nothing.
        median_ratio, largest_ratio: figure at the greatest over that at the least value of the axis that a setting has;
            the largest is the one furthest from 1. None for words.
        elasticity: median of d ln(figure) / d ln(axis) between those two; None for words and values that are not
            positive.
    """

    axis: str
    least: Any
    greatest: Any
    n_settings: int
    median_swing: float
    largest_swing: float
    median_ratio: float | None
    largest_ratio: float | None
    elasticity: float | None


def sensitivity(frame: "pd.DataFrame", axes: Sequence[str], figure: str) -> list[Sensitivity]:
    """Which axis of a sweep moves a figure most, in the order of the median swing.

    Points that constraints left out, and those with an error or without the figure, are left out of each comparison:
    a setting goes as far along the axis as it has points. Axes that are zipped count as one, and rows of several
    engines are compared within each engine.

    Args:
        axes: the columns in which the points differ; all of them, or settings could not be told apart.

    Raises:
        ConfigError: no such column, a figure that is no column of numbers, or rows that differ in nothing.
    """
    for axis in axes:
        if axis not in frame.columns:
            raise ConfigError(f"no column {axis}{did_you_mean(axis, [str(column) for column in frame.columns])}")
    values = figures_of(frame, figure)
    kept = np.flatnonzero(~np.isnan(values) & sound_rows(frame))
    columns = {axis: frame[axis].to_numpy()[kept] for axis in axes}
    codes = {axis: np.unique(_plain(column), return_inverse=True)[1] for axis, column in columns.items()}
    others = (
        {"engine": np.unique(frame["engine"].to_numpy(str)[kept], return_inverse=True)[1]} if "engine" in frame else {}
    )
    if len(kept) and _combined([*codes.values(), *others.values()]).max() + 1 < len(kept):
        raise ConfigError(f"points differ in more than {', '.join(axes)}: name all axes of the sweep")
    found = []
    for group in _moving_together(codes):
        rest = [code for axis, code in codes.items() if axis not in group] + [*others.values()]
        setting = _combined(rest) if rest else np.zeros(len(kept), np.int64)
        found.append(_along(group, columns[group[0]], codes[group[0]], setting, values[kept]))
    return sorted(found, key=lambda each: -each.median_swing)


def _plain(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return column.astype(str) if column.dtype == object else column


def _combined(codes: Sequence[Ints]) -> Ints:
    """One code for each combination that occurs, from 0 on."""
    whole = np.zeros(len(codes[0]), np.int64)
    for code in codes:
        whole = np.unique(whole * (code.max(initial=0) + 1) + code, return_inverse=True)[1]
    return whole


def _moving_together(codes: dict[str, Ints]) -> list[tuple[str, ...]]:
    """Axes, those that are zipped in one group: each value of one comes with one value of the other."""
    groups: list[tuple[str, ...]] = []
    for axis, code in codes.items():
        n_values = len(np.unique(code))
        for place, group in enumerate(groups):
            other = codes[group[0]]
            if n_values > 1 and len(np.unique(other)) == n_values == _combined([other, code]).max() + 1:
                groups[place] = (*group, axis)
                break
        else:
            groups.append((axis,))
    return groups


def _along(group: tuple[str, ...], column: npt.NDArray[Any], code: Ints, setting: Ints, values: Floats) -> Sensitivity:
    """One axis: rows are put in order of setting and value, and each setting is a run of them."""
    order = np.lexsort([code, setting])
    starts = np.flatnonzero(np.diff(setting[order], prepend=-1))
    ends = np.append(starts[1:], len(order)) - 1
    wide = ends > starts
    values, column = values[order], column[order]
    with np.errstate(divide="ignore", invalid="ignore"):
        swing = _ratio(np.maximum.reduceat(values, starts)[wide], np.minimum.reduceat(values, starts)[wide])
        ratio = _ratio(values[ends[wide]], values[starts[wide]])
    is_number = column.dtype != object and column.dtype.kind in "iuf"
    elasticity = None
    if is_number and len(column) and column.min() > 0 and (values > 0).all() and len(ratio):
        slope = np.log(ratio) / np.log(column[ends[wide]] / column[starts[wide]])
        elasticity = float(np.median(slope))
    least, greatest = (_python(column[find(code[order])]) if len(column) else None for find in (np.argmin, np.argmax))
    return Sensitivity(
        "+".join(group),
        least,
        greatest,
        int(wide.sum()),
        float(np.median(swing)) if len(swing) else 1.0,
        float(swing.max(initial=1.0)),
        float(np.median(ratio)) if is_number and len(ratio) else None,
        _furthest(ratio) if is_number and len(ratio) else None,
        elasticity,
    )


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _ratio(over: Floats, under: Floats) -> Floats:
    """Where both are the same, even zero, nothing moved."""
    return np.where(over == under, 1.0, over / under)


def _furthest(ratios: Floats) -> float:
    """The one furthest from 1, up or down."""
    with np.errstate(divide="ignore"):
        return float(ratios[np.argmax(np.abs(np.log(ratios)))])


@dataclass(frozen=True)
class Turned:
    """A knob of a chip, turned down and up, and how the figure answers.

    Attributes:
        knob: dotted path of the chip's YAML, or `fps`.
        value, lower, higher: of the knob; None where the chip cannot be so.
        lower_ratio, higher_ratio: the figure there over the figure of the chip as it is.
        elasticity: d ln(figure) / d ln(knob) over the whole way, or the side that can be.
    """

    knob: str
    value: float
    lower: float | None
    higher: float | None
    lower_ratio: float | None
    higher_ratio: float | None
    elasticity: float


def knobs(trace: Trace, soc: SocSpec | str, fps: float, figure: str = "energy_pj_per_frame") -> list[Turned]:
    """Which number of a chip moves a figure most when it is turned by 10 %, the most elastic first.

    Whole numbers are turned by 1 at least; what can only be a power of two is doubled and halved. `latency_s` is the
    service time. Numbers that are zero, and operating points, are left out; so are clock and voltage of a chip that
    runs at such a point. All points are worked out at once.

    Args:
        figure: one of KNOB_FIGURES.

    Raises:
        ConfigError: no such figure.
        SimulationError: a frame rate that is not positive, or a network that the chip cannot run.
    """
    require_fps(fps)
    if figure not in KNOB_FIGURES:
        raise ConfigError(f"no figure {figure}{did_you_mean(figure, list(KNOB_FIGURES))}")
    soc = load_soc(soc) if isinstance(soc, str) else soc
    numbers = _numbers(soc)
    tries = [(path, value, aside) for path, value in {"fps": fps, **numbers}.items() for aside in _turns(path, value)]
    axes = {path: np.array([value] * (1 + len(tries))) for path, value in numbers.items()}
    rates_hz = np.full(1 + len(tries), float(fps))
    for place, (path, _, aside) in enumerate(tries, 1):
        (rates_hz if path == "fps" else axes[path])[place] = aside
    from dcsim.simulation.analytic import estimate  # compiled

    found = estimate(trace, soc, axes, rates_hz)
    if found.fault_index[0] >= 0:
        raise SimulationError(found.faults[found.fault_index[0]])
    figures: Floats = getattr(found, figure)
    answers: dict[str, dict[float, float]] = {}
    for place, (path, _, aside) in enumerate(tries, 1):
        if found.fault_index[place] < 0:
            answers.setdefault(path, {})[aside] = float(figures[place] / figures[0])
    turned = [_turned(path, {"fps": fps, **numbers}[path], ratios) for path, ratios in answers.items()]
    return sorted(turned, key=lambda each: -abs(each.elasticity))


def _numbers(soc: SocSpec) -> dict[str, float]:
    """What can be turned by a part of itself. Clock and voltage of a chip at another operating point are only those at
    which its prices hold."""
    left_out = ("operating_point",) if soc.operating_point == "nominal" else ("operating_point", "clock_hz", "volts")
    leaves = {path: value for path, value in soc.leaves().items() if isinstance(value, int | float) and value}
    return {path: value for path, value in leaves.items() if not path.startswith(left_out)}


def _turns(path: str, value: float) -> tuple[float, ...]:
    """Values to either side, and further out in case that these cannot be."""
    if not isinstance(value, int) or path == "fps":
        return value * (1 - STEP), value * (1 + STEP)
    step = max(1, round(value * STEP))
    return tuple(dict.fromkeys(aside for aside in (value - step, value + step, value // 2, 2 * value) if aside > 0))


def _turned(path: str, value: float, ratios: dict[float, float]) -> Turned:
    lower, higher = (
        max(near, default=None) if sign < 0 else min(near, default=None)
        for sign in (-1, 1)
        for near in [[aside for aside in ratios if sign * (aside - value) > 0]]
    )
    ends = [(aside, ratios[aside]) if aside is not None else (value, 1.0) for aside in (lower, higher)]
    (start, at_start), (stop, at_stop) = ends
    with np.errstate(divide="ignore"):
        elasticity = float(np.log(at_stop / at_start) / np.log(stop / start))
    return Turned(
        path,
        value,
        lower,
        higher,
        None if lower is None else ratios[lower],
        None if higher is None else ratios[higher],
        elasticity,
    )
