"""What a YAML file under configs/sweep/ says: a chip, a network, and the axes along which both are varied."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from dcsim.artifact import VARIANTS, Variant
from dcsim.config import SourcedSpec, Spec, find_yaml, load_spec

Scalar = bool | int | float | str
Engine = Literal["analytic", "event", "screen"]
#: figures that a sweep can make small; those in MORE_IS_BETTER it makes large
OBJECTIVES = (
    "energy_pj_per_frame",
    "average_power_watts",
    "latency_s",
    "sustainable_fps",
    "file_bytes",
    "test_error",
    "dram_bytes_per_frame",
    "sram_bytes",
)
MORE_IS_BETTER = frozenset({"sustainable_fps"})
#: of a range: the values of an axis are listed, while points are only numbered
MOST_VALUES = 1_000_000
#: axes along which a network is traced anew, which a trace that was saved cannot be
OF_A_NETWORK = ("network", "recipe", "variant", "batch", "context", "tokens")


class Range(Spec):
    """`n` values from `start` to `stop`, both included.

    Attributes:
        start: the first value.
        stop: the last value.
        n: how many, up to 10^6; axes multiply.
    """

    start: float
    stop: float
    n: Annotated[int, Field(ge=1, le=MOST_VALUES)]


class Axis(Spec):
    """A dotted path and its values: a list, a range, or a range whose values have equal ratios.

    Values of a range on a whole number of the chip are rounded to whole numbers.

    Attributes:
        path: a number or word of the chip's YAML, such as `sram.capacity_kib`, or one of `soc`, `fps`, `variant`,
            `network`, `recipe`, `batch`, `context`, `tokens`.
        values: a list.
        range: values with equal differences.
        log_range: values with equal ratios.
    """

    path: Annotated[str, Field(min_length=1)]
    values: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = None
    range: Range | None = None
    log_range: Range | None = None

    @model_validator(mode="after")
    def _has_one_kind_of_values(self) -> Self:
        given = [name for name in ("values", "range", "log_range") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"an axis has values, range or log_range; {self.path} has {' and '.join(given) or 'none'}")
        if self.log_range and not (self.log_range.start > 0 and self.log_range.stop > 0):
            raise ValueError(f"a log_range goes between positive numbers; {self.path} does not")
        return self

    def points(self) -> tuple[Any, ...]:
        """Its values in order."""
        if self.values is not None:
            return self.values
        if self.range:
            return tuple(np.linspace(self.range.start, self.range.stop, self.range.n).tolist())
        assert self.log_range
        return tuple(np.geomspace(self.log_range.start, self.log_range.stop, self.log_range.n).tolist())


class Zipped(Spec):
    """Axes that move together.

    Attributes:
        zip: axes of one length; the n-th value of each at once.
    """

    zip: Annotated[tuple[Axis, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _has_equal_lengths(self) -> Self:
        lengths = {axis.path: len(axis.points()) for axis in self.zip}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{path} has {n}" for path, n in lengths.items())
            raise ValueError(f"zipped axes need as many values each: {listed}")
        return self


def _kind_of_axis(axis: Any) -> str:
    """So that a slip is one fault, and not one of each kind."""
    return "Zipped" if isinstance(axis, Zipped) or (isinstance(axis, dict) and "zip" in axis) else "Axis"


AxisOrZipped = Annotated[Annotated[Axis, Tag("Axis")] | Annotated[Zipped, Tag("Zipped")], Discriminator(_kind_of_axis)]


class SweepSpec(SourcedSpec):
    """A sweep: all combinations of the axes that keep the constraints.

    Attributes:
        network: one of models/, `module:callable`, or the path of a table of layers.
        traces: saved traces instead of a network; several are an axis of their own, and none of the axes `variant`,
            `recipe`, `batch`, `context` and `tokens` goes with them.
        soc: a chip of configs/soc/ or a path; axes change its numbers.
        fps: inferences per second.
        variants: storage variants of the network.
        engine: `analytic`, `event`, or `screen`: everything analytically, the best points and their neighbours by
            replay.
        axes: what is varied.
        constraints: comparisons of expressions of paths, as in `sram.capacity_kib >= 4 * tiles.tile_kib`; points that
            break one are left out.
        objectives: figures that `screen` and the Pareto front go by.
    """

    network: str | None = None
    traces: tuple[str, ...] = ()
    soc: str
    fps: Annotated[float, Field(gt=0)]
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)] = VARIANTS
    engine: Engine = "analytic"
    axes: tuple[AxisOrZipped, ...]
    constraints: tuple[str, ...] = ()
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("energy_pj_per_frame", "latency_s")

    @property
    def single_axes(self) -> tuple[Axis, ...]:
        """All axes, those of zipped ones each by itself."""
        return tuple(axis for group in self.axes for axis in (group.zip if isinstance(group, Zipped) else (group,)))

    @model_validator(mode="after")
    def _is_one_question(self) -> Self:
        paths = [axis.path for axis in self.single_axes]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise ValueError(f"axes must differ, {', '.join(twice)} is there twice")
        fixed = [path for path in paths if path in OF_A_NETWORK]
        if self.traces and (fixed or self.variants != VARIANTS):
            raise ValueError(
                f"a saved trace cannot be turned along {', '.join(fixed or ['variants'])}: give `network:` instead of "
                "`traces:`, or list a saved trace of each"
            )
        if bool(self.traces) == bool(self.network or "network" in paths):
            raise ValueError("a sweep has a network, or an axis of networks, or a list of traces")
        unknown = sorted(set(self.objectives) - set(OBJECTIVES))
        if unknown:
            raise ValueError(f"no objective {', '.join(unknown)}; known: {', '.join(OBJECTIVES)}")
        return self


def load_sweep(name: str) -> SweepSpec:
    """The sweep of a shipped name or of a YAML path. Raises ConfigError."""
    return load_spec(SweepSpec, find_yaml("sweep", name))
