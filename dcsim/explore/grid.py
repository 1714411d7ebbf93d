"""The points of a sweep: all combinations of its axes, in order, and the constraints that some of them break."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError
from dcsim.explore.sweep_spec import SweepSpec, Zipped

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

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
    def of(cls, spec: SweepSpec, whole: frozenset[str]) -> "Grid":
        """The grid of a sweep; on paths in `whole`, ranges are rounded to whole numbers, and doubles dropped."""
        axes = []
        for group in spec.axes:
            members = group.zip if isinstance(group, Zipped) else (group,)
            columns = {axis.path: _column(axis.points(), axis.path in whole) for axis in members}
            if len(columns) == 1:
                ((path, values),) = columns.items()
                columns = {path: np.array(list(dict.fromkeys(values.tolist())), values.dtype)}
            axes.append(columns)
        return cls(tuple(axes))

    @property
    def lengths(self) -> tuple[int, ...]:
        """Values of each axis."""
        return tuple(len(next(iter(axis.values()))) for axis in self.axes)

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


def _column(values: tuple[Any, ...], whole: bool) -> Column:
    if all(isinstance(value, bool) for value in values) or any(isinstance(value, str) for value in values):
        return np.array(values, object)
    if whole or all(isinstance(value, int) for value in values):
        return np.array([round(value) for value in values], np.int64)
    return np.array(values, np.float64)


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
        """At which points it holds. Arrays of `columns` have their length."""
        n_points = len(next(iter(columns.values()))) if columns else 1
        found = _value(self.tree, {path: columns.get(path, fixed.get(path)) for path in self.paths})
        return np.broadcast_to(np.asarray(found, np.bool_), (n_points,))


def _paths(tree: ast.AST, text: str) -> list[str]:
    if isinstance(tree, ast.Name | ast.Attribute):
        return [ast.unparse(tree)]
    children = list(ast.iter_child_nodes(tree))
    if not children and not isinstance(tree, ast.Constant | ast.operator | ast.cmpop | ast.unaryop):
        raise ConfigError(f"constraint {text!r}: {ast.unparse(tree)} has no place in it")
    if isinstance(tree, ast.Call | ast.Subscript | ast.Lambda):
        raise ConfigError(f"constraint {text!r}: only arithmetic and comparisons of paths, found {ast.unparse(tree)}")
    return [path for child in children for path in _paths(child, text)]


def _value(tree: ast.AST, names: Mapping[str, Any]) -> Any:
    if isinstance(tree, ast.Constant):
        return tree.value
    if isinstance(tree, ast.Name | ast.Attribute):
        return names[ast.unparse(tree)]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_value(tree.operand, names)
    if isinstance(tree, ast.BinOp):
        return OPERATORS[type(tree.op)](_value(tree.left, names), _value(tree.right, names))
    if isinstance(tree, ast.Compare):
        held: Any = True
        left = _value(tree.left, names)
        for kind, comparator in zip(tree.ops, tree.comparators, strict=True):
            right = _value(comparator, names)
            held = held & OPERATORS[type(kind)](left, right)
            left = right
        return held
    raise ConfigError(f"{ast.unparse(tree)} has no place in a constraint")
