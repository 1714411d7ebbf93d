"""A sweep made ready: its traces saved, its paths and constraints checked, before any point is worked out."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim import __version__
from dcsim.config import did_you_mean
from dcsim.errors import ConfigError
from dcsim.explore.grid import Column, Constraint, Grid, Ints
from dcsim.explore.keys import point_keys
from dcsim.explore.sweep_spec import Axis, SweepSpec
from dcsim.prepare import SILENT, Listener
from dcsim.prepare import trace as trace_network
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Trace

#: axes that choose or make a trace, in the order of a trace's name
TRACE_AXES = ("trace", "network", "recipe", "variant", "batch", "context", "tokens")
NOT_A_NUMBER_OF_THE_CHIP = ("name", "description")
KEY_VERSION = 1

TraceName = tuple[Any, ...]


@dataclass(frozen=True)
class SavedTrace:
    """A trace in the store, and the fingerprint of what is in it."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Plan:
    """A sweep whose points can be worked out by anybody who can read its folder.

    Attributes:
        grid: with the implied axis of variants or traces in front.
        traces: by their values on TRACE_AXES.
        socs: chips by name, the one of the sweep unless `soc` is an axis.
    """

    spec: SweepSpec
    grid: Grid
    constraints: tuple[Constraint, ...]
    traces: Mapping[TraceName, SavedTrace]
    socs: Mapping[str, SocSpec]

    def keeps(self, points: Ints) -> npt.NDArray[np.bool_]:
        """Which points keep all constraints."""
        columns = self.grid.columns(points)
        held = np.ones(len(points), np.bool_)
        for constraint in self.constraints:
            for soc, members in self.by_soc(columns, len(points)):
                part = {path: values[members] for path, values in columns.items()}
                held[members] &= constraint.holds(part, {"fps": self.spec.fps, **chip_leaves(soc)})
        return held

    def by_soc(self, columns: Mapping[str, Column], n_points: int) -> list[tuple[SocSpec, Ints]]:
        """The points of each chip."""
        return [(self.socs[name or self.spec.soc], members) for (name,), members in groups(columns, ("soc",), n_points)]

    def trace_of(self, columns: Mapping[str, Column], n_points: int) -> list[tuple[SavedTrace, Ints]]:
        """The points of each trace."""
        return [(self.traces[name], members) for name, members in groups(columns, TRACE_AXES, n_points)]

    def keys(self, points: Ints, engine: str) -> npt.NDArray[Any]:
        """The key of each point. Shape (n_points,)."""
        columns = self.grid.columns(points)
        digests = np.empty(len(points), object)
        for trace, members in self.trace_of(columns, len(points)):
            digests[members] = trace.digest
        keys = np.zeros(len(points), "V16")
        for soc, members in self.by_soc(columns, len(points)):
            base = chip_leaves(soc) | {
                "(fps)": self.spec.fps,
                "(engine)": engine,
                "(dcsim)": [__version__, KEY_VERSION],
            }
            own = {path: v[members] for path, v in columns.items() if path not in (*TRACE_AXES, "soc", "fps")}
            own |= {"(trace)": digests[members]}
            if "fps" in columns:
                own["(fps)"] = columns["fps"][members]
            keys[members] = point_keys(base, own, len(members))
        return keys


def make_plan(spec: SweepSpec, folder: Path, listener: Listener = SILENT) -> Plan:
    """Check a sweep and make its traces.

    Args:
        folder: where the traces are saved.

    Raises:
        DcsimError: an unknown path or name, a constraint that cannot be read, a network that cannot be traced.
    """
    implied = "trace" if spec.traces else "variant"
    paths = {axis.path for axis in spec.single_axes}
    if implied not in paths:
        first = Axis(path=implied, values=spec.traces or spec.variants)
        spec = spec.model_copy(update={"axes": (first, *spec.axes)})
    socs = {name: load_soc(name) for name in _soc_names(spec)}
    known = _known_paths(socs)
    for path in sorted(paths):
        if path not in known and path not in (*TRACE_AXES, "soc", "fps"):
            listed = [*TRACE_AXES[1:], "soc", "fps", *known]
            raise ConfigError(f"sweep {spec.name}: no {path}{did_you_mean(path, listed)}")
    whole = frozenset(path for path, value in known.items() if isinstance(value, int)) | {"batch", "context", "tokens"}
    grid = Grid.of(spec, whole)
    constraints = tuple(Constraint.of(text, {**known, "fps": spec.fps}) for text in spec.constraints)
    return Plan(spec, grid, constraints, _save_traces(spec, grid, folder, listener), socs)


def groups(columns: Mapping[str, Column], paths: tuple[str, ...], n_points: int) -> list[tuple[tuple[Any, ...], Ints]]:
    """Points that have the same values on `paths`, and those values; None on a path that is no column."""
    code = np.zeros(n_points, np.int64)
    for values in (columns[path] for path in paths if path in columns):
        found, index = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)
        code = code * len(found) + index
    _, first, member_of = np.unique(code, return_index=True, return_inverse=True)
    rows = [tuple(_python(columns[path][i]) if path in columns else None for path in paths) for i in first]
    return [(row, np.flatnonzero(member_of == number)) for number, row in enumerate(rows)]


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def chip_leaves(soc: SocSpec) -> dict[str, Any]:
    """Every number and word of a chip that a result may depend on, by dotted path."""
    return {path: value for path, value in soc.leaves().items() if path not in NOT_A_NUMBER_OF_THE_CHIP}


def _soc_names(spec: SweepSpec) -> tuple[str, ...]:
    named = next((axis.points() for axis in spec.single_axes if axis.path == "soc"), (spec.soc,))
    return tuple(str(name) for name in named)


def _known_paths(socs: Mapping[str, SocSpec]) -> dict[str, Any]:
    """Paths that all chips have."""
    leaves = [chip_leaves(soc) for soc in socs.values()]
    return {path: value for path, value in leaves[0].items() if all(path in other for other in leaves)}


def _save_traces(spec: SweepSpec, grid: Grid, folder: Path, listener: Listener) -> dict[TraceName, SavedTrace]:
    choices = []
    for axis in grid.axes:
        own = {path: values.tolist() for path, values in axis.items() if path in TRACE_AXES}
        rows = dict.fromkeys(zip(*own.values(), strict=True)) if own else {(): None}
        choices.append([dict(zip(own, row, strict=True)) for row in rows])
    saved = {}
    for combination in product(*choices):
        wanted = {key: value for part in combination for key, value in part.items()}
        trace = _trace(spec, wanted, listener)
        found = SavedTrace(folder / "traces" / f"{trace.digest()[:24]}.parquet", trace.digest())
        if not found.path.exists():
            trace.save(found.path)
        saved[tuple(wanted.get(axis) for axis in TRACE_AXES)] = found
    return saved


def _trace(spec: SweepSpec, wanted: Mapping[str, Any], listener: Listener) -> Trace:
    if "trace" in wanted:
        return Trace.load(wanted["trace"])
    network = wanted.get("network", spec.network)
    assert network is not None
    return trace_network(
        network,
        wanted["variant"],
        recipe=wanted.get("recipe"),
        batch=wanted.get("batch"),
        context=wanted.get("context"),
        tokens=wanted.get("tokens"),
        listener=listener,
    )
