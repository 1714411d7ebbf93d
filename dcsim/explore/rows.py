"""From points of a plan to rows of its table, by either engine. A point that fails is a row with its error."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dcsim.errors import DcsimError
from dcsim.explore.chips import chip_at
from dcsim.explore.grid import Column, Ints
from dcsim.explore.plan import Plan
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import COMPONENTS
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace
from dcsim.units import PS_PER_S

#: figures of every row, beside the values of its axes; the clock and the voltage are those it ran at
NUMBERS = (
    "energy_pj_per_frame",
    "average_power_watts",
    "latency_s",
    "sustainable_fps",
    *(f"energy_{component}_pj" for component in COMPONENTS),
    "operating_clock_hz",
    "operating_volts",
    "compression_ratio",
    "test_error",
)
WHOLE_NUMBERS = ("dram_bytes_per_frame", "sram_bytes", "file_bytes")
#: numbers and words that a chip's parts have to agree on; the analytic engine takes those of one chip at a time
AS_A_WHOLE = ("operating_point", "operating_points", "idle.sram", "sram.retention_leakage_ratio")
#: those that both engines call the same
OF_A_RESULT = ("energy_pj_per_frame", "average_power_watts", "sustainable_fps", "dram_bytes_per_frame")
Rows = dict[str, Any]
Floats = npt.NDArray[np.float64]
Found = Iterator[tuple[Ints, Rows]]  # places among the points asked for, and their figures


def failed_rows(plan: Plan, points: Ints, engine: str, why: str) -> Rows:
    """Rows with an error and no figures: their axes, NUMBERS, WHOLE_NUMBERS, engine and error."""
    n_points = len(points)
    rows: Rows = {path: _plain(values) for path, values in plan.grid.columns(points).items()}
    rows |= {name: np.full(n_points, np.nan) for name in NUMBERS}
    rows |= {name: np.zeros(n_points, np.int64) for name in WHOLE_NUMBERS}
    return rows | {"engine": [engine] * n_points, "error": [why] * n_points}


def rows_of(plan: Plan, points: Ints, engine: Literal["analytic", "event"]) -> Rows:
    """Columns of the table for these points: their axes, NUMBERS, WHOLE_NUMBERS, engine and error."""
    columns, n_points = plan.grid.columns(points), len(points)
    rows = failed_rows(plan, points, engine, "")
    errors = np.full(n_points, "", object)
    for soc, of_soc in plan.by_soc(points):
        known = soc.leaves()
        for saved, members in plan.by_trace(points[of_soc]):
            where = of_soc[members]
            trace = _load(saved.path)
            own = {path: values[where] for path, values in columns.items()}
            fps = own.get("fps", np.full(len(where), plan.spec.fps)).astype(np.float64)
            axes = {path: values for path, values in own.items() if path in known}
            work_out = _estimated if engine == "analytic" else _replayed
            for place, found in work_out(trace, soc, axes, fps):
                for name, values in found.items():
                    (errors if name == "error" else rows[name])[where[place]] = values
            rows["file_bytes"][where] = trace.file_bytes
            rows["compression_ratio"][where] = trace.compression_ratio
            rows["test_error"][where] = np.nan if trace.test_error is None else trace.test_error
    return rows | {"error": errors.tolist()}


@lru_cache(maxsize=8)
def _load(path: Path) -> Trace:
    return Trace.load(path)


def _plain(values: Column) -> Any:
    """Values as a table has them: where some are words, all are."""
    return [str(value) for value in values] if values.dtype == object else values


def _replayed(trace: Trace, soc: SocSpec, axes: Mapping[str, Column], fps: Floats) -> Found:
    """Figures of each point by replay."""
    for point in range(len(fps)):
        try:
            chip = chip_at(soc, {path: _python(values[point]) for path, values in axes.items()})
            result = simulate(trace, chip, float(fps[point]))
        except Exception as error:  # a point that fails is a row, not a lost sweep
            yield np.array([point]), {"error": _why(error)}
            continue
        rows: Rows = {name: getattr(result, name) for name in OF_A_RESULT}
        rows |= {f"energy_{component}_pj": pj for component, pj in result.energy_pj_by_component.items()}
        rows["latency_s"] = np.nan if result.latency_s is None else result.latency_s
        rows |= {"operating_clock_hz": result.clock_hz, "operating_volts": result.volts}
        yield np.array([point]), rows | {"sram_bytes": result.peak_sram_bytes}


def _estimated(trace: Trace, soc: SocSpec, axes: Mapping[str, Column], fps: Floats) -> Found:
    """Figures of points by the analytic engine, those of one chip at a time."""
    wide = tuple(path for path in axes if path.startswith(AS_A_WHOLE))
    for values, members in _together([axes[path] for path in wide], len(fps)):
        try:
            chip = chip_at(soc, dict(zip(wide, values, strict=True))) if wide else soc
        except DcsimError as error:
            yield members, {"error": str(error)}
            continue
        own = {path: column[members] for path, column in axes.items() if path not in wide}
        for place, found in _at_once(trace, chip, own, fps[members]):
            yield members[place], found


def _together(columns: list[Column], n_points: int) -> Iterator[tuple[tuple[Any, ...], Ints]]:
    """Values of columns that occur together, and places of the points with them."""
    if not columns:
        yield (), np.arange(n_points)
        return
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        places.setdefault(row, []).append(place)
    yield from ((row, np.array(members)) for row, members in places.items())


def _at_once(trace: Trace, soc: SocSpec, axes: Mapping[str, Column], fps: Floats) -> Found:
    """All points together; where one of them fails, the halves of them, until it is alone."""
    from dcsim.simulation.analytic import estimate  # compiled

    places = np.arange(len(fps))
    try:
        found = estimate(trace, soc, axes, fps)
    except Exception as error:  # a point that fails is a row, not a lost sweep
        if len(fps) == 1:
            yield places, {"error": _why(error)}
            return
        for half in np.array_split(places, 2):
            for place, rows in _at_once(trace, soc, {path: v[half] for path, v in axes.items()}, fps[half]):
                yield half[place], rows
        return
    sound = found.fault_index < 0
    in_time = sound & (found.service_ps <= np.round(trace.batch * PS_PER_S / fps))
    rows = {f"energy_{name}_pj": found.energy_pj_by_component[:, i] for i, name in enumerate(COMPONENTS)}
    rows |= {name: getattr(found, name) for name in OF_A_RESULT}
    rows["latency_s"] = np.where(in_time, found.latency_s, np.nan)
    rows |= {"operating_clock_hz": found.clock_hz, "operating_volts": found.volts, "sram_bytes": found.peak_sram_bytes}
    yield places[sound], {name: values[sound] for name, values in rows.items()}
    yield places[~sound], {"error": np.array([*found.faults, ""], object)[found.fault_index[~sound]]}


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, DcsimError) else f"{type(error).__name__}: {error}"


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
