"""Design points: a chip, and some of its numbers at many values each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError
from dcsim.soc.dram_spec import NoDram
from dcsim.soc.spec import SocSpec

Ints = npt.NDArray[np.int64]
Axes = Mapping[str, Sequence[Any] | npt.NDArray[Any]]
K = TypeVar("K")
T = TypeVar("T")


#: parts of a chip that hold lists, or say nothing of what it does
NO_AXES = ("name", "description", "operating_points", "placement")


@dataclass(frozen=True)
class Varied(Generic[T]):
    """The distinct values of something over all points, and which of them each point has.

    Attributes:
        values: distinct values.
        index: shape (n_points,), places in `values`.
    """

    values: tuple[T, ...]
    index: Ints

    def map(self, function: Callable[[T], K]) -> "Varied[K]":
        """The same, of something that follows from the value; equal results become one."""
        found: dict[K, int] = {}
        places = np.array([found.setdefault(function(value), len(found)) for value in self.values], np.int64)
        return Varied(tuple(found), places[self.index])

    def numbers(self, function: Callable[[T], float]) -> npt.NDArray[np.float64]:
        """A number that follows from the value, at every point. Shape (n_points,)."""
        return np.array([function(value) for value in self.values], np.float64)[self.index]


def together(*parts: Varied[Any]) -> Varied[tuple[Any, ...]]:
    """Combinations of values that occur at some point."""
    code = np.zeros_like(parts[0].index)
    for part in parts:
        code = code * len(part.values) + part.index
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    rows = zip(*(part.index[first] for part in parts), strict=True)
    values = tuple(tuple(part.values[i] for part, i in zip(parts, row, strict=True)) for row in rows)
    return Varied(values, index.astype(np.int64))


@dataclass(frozen=True)
class Fault:
    """Why a part of a chip cannot be as a point wants it."""

    message: str


@dataclass(frozen=True)
class DesignPoints:
    """A chip's parts over all points, by their key at the top of its YAML. A part that cannot be is a Fault."""

    soc: SocSpec
    n_points: int
    parts: Mapping[str, Varied[Any]]

    @classmethod
    def of(cls, soc: SocSpec, axes: Axes) -> "DesignPoints":
        """Points along axes that are zipped: the n-th point takes the n-th value of each.

        Args:
            axes: dotted path into the chip's YAML -> values, all as many.

        Raises:
            ConfigError: a path that is not in the chip, or axes of different lengths.
        """
        lengths = {len(values) for values in axes.values()}
        if len(lengths) > 1:
            listed = ", ".join(f"{path} has {len(values)}" for path, values in axes.items())
            raise ConfigError(f"axes are zipped, so they need as many values each: {listed}")
        n_points = lengths.pop() if lengths else 1
        known = [path for path in soc.leaves() if path.split(".")[0] not in NO_AXES]
        for path in axes:
            if path not in known:
                raise ConfigError(f"{soc.name} has no {path}{did_you_mean(path, known)}")
        fixed = np.zeros(n_points, np.int64)
        parts: dict[str, Varied[Any]] = {
            key: Varied((getattr(soc, key),), fixed) for key in type(soc).model_fields if key not in ("name", "sources")
        }
        for key in {path.split(".")[0] for path in axes}:
            own = {path: values for path, values in axes.items() if path.split(".")[0] == key}
            combined = together(*(_distinct(values) for values in own.values()))
            parts[key] = Varied(
                tuple(_changed(soc, key, dict(zip(own, v, strict=True))) for v in combined.values), combined.index
            )
        return cls(soc, n_points, parts)

    def __getitem__(self, key: str) -> Varied[Any]:
        return self.parts[key]


def _distinct(values: Sequence[Any] | npt.NDArray[Any]) -> Varied[Any]:
    array = np.asarray(values)
    if array.dtype == object:
        return Varied(tuple(values), np.arange(len(values), dtype=np.int64)).map(lambda value: value)
    found, index = np.unique(array, return_inverse=True)
    return Varied(tuple(found.tolist()), index.astype(np.int64))


def _changed(soc: SocSpec, key: str, values: Mapping[str, Any]) -> Any:
    """A part of the chip with other values by dotted path, checked as its YAML would be, or a Fault."""
    part = getattr(soc, key)
    tree = part.model_dump() if hasattr(part, "model_dump") else part
    for path, value in values.items():
        *parents, last = path.split(".")[1:] or [""]
        if not last:
            tree = value
            continue
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[last] = value
    try:
        found = _adapter(key).validate_python(tree)
        fault = _does_not_fit(soc, key, found)
        return Fault(fault) if fault else found
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in (key, *first["loc"]))
        found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
        return Fault(f"{where}: {first['msg'].removeprefix('Value error, ')}{found}")


@cache
def _adapter(key: str) -> TypeAdapter[Any]:
    """What checks a part of a chip by itself; to make one takes many times as long as to use it."""
    field = SocSpec.model_fields[key]
    checked: Any = Annotated[(field.annotation, *field.metadata, field)]
    return TypeAdapter(checked)


def _does_not_fit(soc: SocSpec, key: str, part: Any) -> str | None:
    """What a part has against the rest of the chip: see SocSpec."""
    if key == "operating_point" and part != "nominal" and (part == "auto" or part >= len(soc.operating_points)):
        has = len(soc.operating_points)
        return None if part == "auto" and has else f"operating_point {part}: the chip has {has} operating_points"
    if key == "idle" and part.sram == "retain" and soc.sram.retention_leakage_ratio is None:
        return "idle.sram retain needs sram.retention_leakage_ratio"
    if key == "idle" and part.sram == "off" and isinstance(soc.dram, NoDram):
        return "idle.sram off loses the weights, and there is no DRAM to load them from"
    return None
