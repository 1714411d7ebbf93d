"""A sweep made ready: its traces saved, its paths and constraints checked, before any point is worked out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim import __version__
from dcsim.config import describe, did_you_mean
from dcsim.errors import ConfigError
from dcsim.explore.chips import refusal
from dcsim.explore.grid import Constraint, Grid, Ints
from dcsim.explore.keys import KEY, leaf_hashes, total
from dcsim.explore.store import Store
from dcsim.explore.sweep_spec import Axis, SweepSpec
from dcsim.prepare import SILENT, Listener
from dcsim.prepare import trace as trace_network
from dcsim.simulation.simulate import LEAST_FPS, require_fps
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Trace

#: axes that choose or make a trace, in the order of a trace's name
TRACE_AXES = ("trace", "network", "recipe", "variant", "batch", "context", "tokens")
NAMED = ("soc", "network", "recipe", "variant")
LEAST = {"batch": 1, "context": 0, "tokens": 1, "fps": LEAST_FPS}
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
        held = np.ones(len(points), np.bool_)
        if self.constraints:
            columns = self.grid.columns(points)
            for soc, members in self.by_soc(points):
                part = {path: values[members] for path, values in columns.items()}
                fixed = {"fps": self.spec.fps, **chip_leaves(soc)}
                for constraint in self.constraints:
                    held[members] &= constraint.holds(part, fixed)
        return held

    def by_soc(self, points: Ints) -> list[tuple[SocSpec, Ints]]:
        """The chips, and places of their points among these."""
        return [(self.socs[name or self.spec.soc], members) for (name,), members in self.grid.groups(points, ("soc",))]

    def by_trace(self, points: Ints) -> list[tuple[SavedTrace, Ints]]:
        """The traces, and places of their points among these."""
        return [(self.traces[name], members) for name, members in self.grid.groups(points, TRACE_AXES)]

    def keys(self, points: Ints, engine: str) -> npt.NDArray[Any]:
        """The key of each point. Shape (n_points,)."""
        sums = np.tile(total({"(engine)": engine, "(dcsim)": [__version__, KEY_VERSION]}), (len(points), 1))
        moved = {path for axis in self.grid.axes for path in axis}
        for axis, place in zip(self.grid.axes, self.grid.places(points), strict=True):
            used, index = np.unique(place, return_inverse=True)
            for path in axis:
                sums += leaf_hashes(path, axis[path][used])[index]
        for soc, members in self.by_soc(points):
            leaves = {"fps": self.spec.fps, **chip_leaves(soc)}
            sums[members] += total({path: value for path, value in leaves.items() if path not in moved})
        for trace, members in self.by_trace(points):
            sums[members] += total({"(trace)": trace.digest})
        return sums.view(KEY).reshape(len(points))


def make_plan(spec: SweepSpec, folder: Path, listener: Listener = SILENT, traces: Path | None = None) -> Plan:
    """Check a sweep and make its traces.

    Args:
        folder: of the sweep; nobody else's, if it is there.
        traces: where the traces are saved, in the folder by default.

    Raises:
        DcsimError: an unknown path or name, a value that no chip of the sweep can have, a constraint that cannot be
            read, a folder of another sweep, a network that cannot be traced.
    """
    socs = {name: load_soc(name) for name in _soc_names(spec)}
    usual = _usual(socs) | {"fps": spec.fps}
    require_fps(spec.fps)
    _require_axes(spec, usual)
    implied = "trace" if spec.traces else "variant"
    if implied not in {axis.path for axis in spec.single_axes}:
        first = Axis(path=implied, values=spec.traces or spec.variants)
        spec = spec.model_copy(update={"axes": (first, *spec.axes)})
    grid = Grid.of(spec, usual | {"batch": 1, "context": 0, "tokens": 1})
    _require_values(spec, grid, socs, _usual(socs))
    known = usual | {axis.path: None for axis in spec.single_axes}
    constraints = tuple(Constraint.of(text, known) for text in spec.constraints)
    plan = Plan(spec, grid, constraints, {}, socs)
    plan.keeps(np.zeros(1, np.int64))  # finds words that are compared with numbers
    Store(folder).claim(grid.types)
    return replace(plan, traces=_save_traces(spec, grid, (traces or folder / "traces").resolve(), listener))


def chip_leaves(soc: SocSpec) -> dict[str, Any]:
    """Every number and word of a chip that a result may depend on, by dotted path."""
    return {path: value for path, value in soc.leaves().items() if path not in NOT_A_NUMBER_OF_THE_CHIP}


def _soc_names(spec: SweepSpec) -> tuple[str, ...]:
    named = next((axis.points() for axis in spec.single_axes if axis.path == "soc"), (spec.soc,))
    return tuple(str(name) for name in named)


def _usual(socs: Mapping[str, SocSpec]) -> dict[str, Any]:
    """Paths that all chips have, and the value of the first."""
    leaves = [chip_leaves(soc) for soc in socs.values()]
    return {path: value for path, value in leaves[0].items() if all(path in other for other in leaves)}


def _require_axes(spec: SweepSpec, usual: Mapping[str, Any]) -> None:
    """Refuse axes that nothing has, and values of another type than what is named or counted."""
    for axis in spec.single_axes:
        known = list(dict.fromkeys([*NAMED, *LEAST, *usual]))
        if axis.path not in known:
            raise ConfigError(f"sweep {spec.name}: no {axis.path}{did_you_mean(axis.path, known)}")
        for value in axis.points():
            if axis.path in NAMED and not isinstance(value, str):
                raise ConfigError(f"sweep {spec.name}: {axis.path} takes names, found {describe(value)}")
            least = LEAST.get(axis.path)
            if least is not None and (isinstance(value, bool | str) or value < least):
                found = describe(value)
                raise ConfigError(f"sweep {spec.name}: {axis.path} takes numbers from {least:g} on, found {found}")


def _require_values(spec: SweepSpec, grid: Grid, socs: Mapping[str, SocSpec], usual: Mapping[str, Any]) -> None:
    """Refuse values that every chip refuses by themselves. Of a range the ends tell: what a number may be has bounds.

    Args:
        usual: leaves of all chips.
    """
    listed = {axis.path for axis in spec.single_axes if axis.values}
    faults = []
    of_a_chip = {path: column for axis in grid.axes for path, column in axis.items() if path in usual}
    for path, column in of_a_chip.items():
        values = dict.fromkeys(column.tolist()) if path in listed else (column.min().item(), column.max().item())
        for value in values:
            found = [refusal(soc, path, value) for soc in socs.values()]
            faults += [f"sweep {spec.name}: {path}: {found[0]}"] if all(found) else []
    if faults:
        raise ConfigError("\n".join(faults))


def _save_traces(spec: SweepSpec, grid: Grid, folder: Path, listener: Listener) -> dict[TraceName, SavedTrace]:
    choices = []
    for axis in grid.axes:
        own = {path: values.tolist() for path, values in axis.items() if path in TRACE_AXES}
        rows = dict.fromkeys(zip(*own.values(), strict=True)) if own else {(): None}
        choices.append([dict(zip(own, row, strict=True)) for row in rows])
    saved: dict[TraceName, SavedTrace] = {}
    for combination in product(*choices):
        wanted = {key: value for part in combination for key, value in part.items()}
        trace = _trace(spec, wanted, listener)
        found = SavedTrace(folder / f"{trace.digest()[:24]}.parquet", trace.digest())
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
