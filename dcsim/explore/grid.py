"""The points of a sweep: all combinations of its axes, in order, and the constraints that some of them break."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError
from dcsim.explore.sweep_spec import Axis, SweepSpec, Zipped

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

#: combinations that are counted one by one, constraints and all; more are a slip of the pen
MOST_COMBINATIONS = 1 << 36
LARGEST = (1 << 63) - 1

OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Grid:
    """Axes that are combined, the last one fastest; each has the paths that it moves and the values of each path."""

    axes: tuple[dict[str, Column], ...]

    @classmethod
    def of(cls, spec: SweepSpec, usual: Mapping[str, Any]) -> "Grid":
        """The grid of a sweep, values of an axis of one type each, and doubles dropped.

        Args:
            usual: what a path is without the sweep. Where that is a whole number, ranges are rounded.

        Raises:
            ConfigError: a fraction where a whole number belongs, or more combinations than anybody can work out.
        """
        axes = []
        for group in spec.axes:
            members = group.zip if isinstance(group, Zipped) else (group,)
            columns = {axis.path: _column(axis, usual.get(axis.path)) for axis in members}
            first: dict[Any, int] = {}
            for place, row in enumerate(zip(*(values.tolist() for values in columns.values()), strict=True)):
                first.setdefault(row, place)
            axes.append({path: values[list(first.values())] for path, values in columns.items()})
        grid = cls(tuple(axes))
        if grid.n_points > MOST_COMBINATIONS:
            raise ConfigError(f"sweep {spec.name} has {grid.n_points:,} combinations, more than {MOST_COMBINATIONS:,}")
        return grid

    @property
    def lengths(self) -> tuple[int, ...]:
        """Values of each axis."""
        return tuple(len(next(iter(axis.values()))) for axis in self.axes)

    @property
    def types(self) -> dict[str, str]:
        """Each path's type of values."""
        return {path: str(values.dtype) for axis in self.axes for path, values in axis.items()}

    @property
    def n_points(self) -> int:
        """All combinations, also those that break a constraint."""
        return math.prod(self.lengths)

    def places(self, points: Ints) -> tuple[Ints, ...]:
        """Place of each point on each axis."""
        if not self.axes:
            return ()
        return tuple(place.astype(np.int64) for place in np.unravel_index(points, self.lengths))

    def columns(self, points: Ints) -> dict[str, Column]:
        """Values of each path at these points, arrays of their length."""
        found: dict[str, Column] = {}
        for axis, place in zip(self.axes, self.places(points), strict=True):
            found |= {path: values[place] for path, values in axis.items()}
        return found

    def groups(self, points: Ints, paths: tuple[str, ...]) -> list[tuple[tuple[Any, ...], Ints]]:
        """Values on `paths` that occur together, and places of the points with them; None on a path that is no axis."""
        code = np.zeros(len(points), np.int64)
        for axis, place in zip(self.axes, self.places(points), strict=True):
            own = [axis[path].tolist() for path in paths if path in axis]
            if own:
                numbers: dict[Any, int] = {}
                of_place = [numbers.setdefault(row, len(numbers)) for row in zip(*own, strict=True)]
                code = code * len(numbers) + np.array(of_place, np.int64)[place]
        _, first, member_of = np.unique(code, return_index=True, return_inverse=True)
        columns = self.columns(points[first])
        rows = zip(*(columns[path].tolist() if path in columns else [None] * len(first) for path in paths), strict=True)
        return [(row, np.flatnonzero(member_of == number)) for number, row in enumerate(rows)]


def _column(axis: Axis, usual: Any) -> Column:
    """Values of an axis as an array of bool, int64, float64, or object where only some are words or switches."""
    values = axis.points()
    if all(isinstance(value, bool) for value in values):
        return np.array(values, np.bool_)
    if any(isinstance(value, str | bool) for value in values):  # a switch among numbers would become one
        return np.array(values, object)
    if isinstance(usual, float):
        return np.array(values, np.float64)
    if isinstance(usual, int) and axis.values is None:
        values = tuple(round(value) for value in values)
    elif isinstance(usual, int) and any(value != int(value) for value in values):
        raise ConfigError(f"{axis.path} takes whole numbers, found {next(v for v in values if v != int(v))}")
    whole = isinstance(usual, int) or all(isinstance(value, int) for value in values)
    if whole and max(map(abs, values)) > LARGEST:
        raise ConfigError(f"{axis.path}: {max(values, key=abs)} is too large a number")
    return np.array(values, np.int64 if whole else np.float64)


@dataclass(frozen=True)
class Constraint:
    """A comparison of expressions over dotted paths, as a sweep's YAML has it."""

    text: str
    tree: ast.expr
    paths: tuple[str, ...]

    @classmethod
    def of(cls, text: str, known: Mapping[str, Any]) -> "Constraint":
        """Read one. Raises ConfigError for what is not arithmetic, or a path that is not known."""
        try:
            tree = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise ConfigError(f"constraint {text!r}: not an expression: {error.msg}") from error
        if not isinstance(tree, ast.Compare):
            raise ConfigError(f"constraint {text!r}: expected a comparison such as a.b <= 2 * c")
        paths = tuple(dict.fromkeys(_paths(tree, text)))
        for path in paths:
            if path not in known:
                raise ConfigError(f"constraint {text!r}: no {path}{did_you_mean(path, [*known])}")
        return cls(text, tree, paths)

    def holds(self, columns: Mapping[str, Column], fixed: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
        """At which points it holds. Arrays of `columns` have their length. Raises ConfigError where it has no sense."""
        n_points = len(next(iter(columns.values()))) if columns else 1
        names = {path: _comparable(columns.get(path, fixed.get(path))) for path in self.paths}
        try:
            with np.errstate(all="ignore"):  # what is divided by zero is larger than anything, or nothing at all
                found = _value(self.tree, names)
        except TypeError as error:
            raise ConfigError(f"constraint {self.text!r}: numbers and words cannot be compared: {error}") from error
        return np.broadcast_to(np.asarray(found, np.bool_), (n_points,))


def _comparable(value: Any) -> Any:
    """Numbers as float64, which neither overflows nor stops at a division by zero; words as they are."""
    array = np.asarray(value)
    return value if array.dtype == object or array.dtype.kind == "U" else array.astype(np.float64)


def _paths(tree: ast.AST, text: str) -> list[str]:
    """The paths in a constraint, which is refused if `_value` could not work it out."""
    match tree:
        case ast.Name() | ast.Attribute():
            return [ast.unparse(tree)]
        case ast.Constant(value=bool() | int() | float() | str()):
            return []
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _paths(operand, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return [*_paths(left, text), *_paths(right, text)]
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in OPERATORS for op in ops):
            return [path for part in (left, *comparators) for path in _paths(part, text)]
    raise ConfigError(f"constraint {text!r}: only arithmetic and comparisons of paths, found {ast.unparse(tree)}")


def _value(tree: ast.AST, names: Mapping[str, Any]) -> Any:
    match tree:
        case ast.Constant(value=value):
            return _comparable(value)
        case ast.UnaryOp(operand=operand):
            return -_value(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            values = [_value(part, names) for part in (left, *comparators)]
            held = [OPERATORS[type(op)](*pair) for op, pair in zip(ops, pairwise(values), strict=True)]
            return reduce(operator.and_, held)
    return names[ast.unparse(tree)]
