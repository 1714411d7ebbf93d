"""From points of a plan to rows of its table, by either engine. A point that fails is a row with its error."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dcsim.errors import DcsimError
from dcsim.explore.grid import Column, Ints
from dcsim.explore.plan import Plan
from dcsim.simulation.design_points import DesignPoints, Fault
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import COMPONENTS
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace

#: figures of every row, beside the values of its axes
NUMBERS = (
    "energy_pj_per_frame",
    "average_power_watts",
    "latency_s",
    "sustainable_fps",
    *(f"energy_{component}_pj" for component in COMPONENTS),
    "clock_hz",
    "volts",
    "compression_ratio",
    "test_error",
)
WHOLE_NUMBERS = ("dram_bytes_per_frame", "sram_bytes", "file_bytes")
Rows = dict[str, Any]


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
    for soc, of_soc in plan.by_soc(columns, n_points):
        for saved, members in plan.trace_of({path: v[of_soc] for path, v in columns.items()}, len(of_soc)):
            where = of_soc[members]
            trace = _load(saved.path)
            own = {path: values[where] for path, values in columns.items()}
            fps = own.get("fps", np.full(len(where), plan.spec.fps)).astype(np.float64)
            axes = {path: values for path, values in own.items() if path in chip_paths(plan, soc)}
            found = (_estimated if engine == "analytic" else _replayed)(trace, soc, axes, fps)
            for name, values in found.items():
                (errors if name == "error" else rows[name])[where] = values
            rows["file_bytes"][where] = trace.file_bytes
            rows["compression_ratio"][where] = trace.compression_ratio
            rows["test_error"][where] = np.nan if trace.test_error is None else trace.test_error
    return rows | {"error": errors.tolist()}


def chip_paths(plan: Plan, soc: SocSpec) -> frozenset[str]:
    """Axes that are numbers of the chip."""
    return frozenset(soc.leaves()) & frozenset(path for axis in plan.grid.axes for path in axis)


@lru_cache(maxsize=8)
def _load(path: Path) -> Trace:
    return Trace.load(path)


def _plain(values: Column) -> Any:
    return values.tolist() if values.dtype == object else values


def _estimated(trace: Trace, soc: SocSpec, axes: Mapping[str, Column], fps: npt.NDArray[np.float64]) -> Rows:
    from dcsim.simulation.analytic import estimate  # compiled

    try:
        found = estimate(trace, soc, axes, fps)
    except DcsimError as error:
        return {"error": str(error)}
    sound = found.fault_index < 0
    sustainable = sound & (fps <= found.sustainable_fps)
    rows: Rows = {f"energy_{name}_pj": found.energy_pj_by_component[:, i] for i, name in enumerate(COMPONENTS)}
    return rows | {
        "energy_pj_per_frame": found.energy_pj_per_frame,
        "average_power_watts": found.average_power_watts,
        "latency_s": np.where(sustainable, found.latency_s, np.nan),
        "sustainable_fps": np.where(sound, found.sustainable_fps, np.nan),
        "clock_hz": found.clock_hz,
        "volts": found.volts,
        "dram_bytes_per_frame": found.dram_bytes_per_frame,
        "sram_bytes": found.peak_sram_bytes,
        "error": np.array([*found.faults, ""], object)[found.fault_index],
    }


def _replayed(trace: Trace, soc: SocSpec, axes: Mapping[str, Column], fps: npt.NDArray[np.float64]) -> Rows:
    rows: Rows = {name: np.full(len(fps), np.nan) for name in NUMBERS[:-2]}
    rows |= {name: np.zeros(len(fps), np.int64) for name in ("dram_bytes_per_frame", "sram_bytes")}
    rows["error"] = np.full(len(fps), "", object)
    for point in range(len(fps)):
        try:
            chip = chip_at(soc, {path: values[point] for path, values in axes.items()})
            result = simulate(trace, chip, float(fps[point]))
        except DcsimError as error:
            rows["error"][point] = str(error)
            continue
        for name in ("energy_pj_per_frame", "average_power_watts", "latency_s", "sustainable_fps", "clock_hz", "volts"):
            value = getattr(result, name)
            rows[name][point] = np.nan if value is None else value
        for component, pj in result.energy_pj_by_component.items():
            rows[f"energy_{component}_pj"][point] = pj
        rows["dram_bytes_per_frame"][point] = result.dram_bytes_per_frame
        rows["sram_bytes"][point] = result.peak_sram_bytes
    return rows


def chip_at(soc: SocSpec, values: Mapping[str, Any]) -> SocSpec:
    """The chip with other values by dotted path. Raises DcsimError when it cannot be."""
    points = DesignPoints.of(soc, {path: [_python(value)] for path, value in values.items()})
    parts = {key: part.values[0] for key, part in points.parts.items()}
    for part in parts.values():
        if isinstance(part, Fault):
            raise DcsimError(part.message)
    return soc.model_copy(update=parts)


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
