"""Pictures of a sweep: the front, what moves a figure, and a figure over two axes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.config import did_you_mean
from dcsim.errors import ConfigError
from dcsim.plots.style import COLOURS, GREY, TEXT_PT, in_units, legend_below, new_figure, si, tidy
from dcsim.units import PJ_PER_J

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dcsim.explore.sweep import Sweep

#: what a figure is called on an axis, its unit there, and how many of the table's units make one of those
FIGURES = {
    "energy_pj_per_frame": ("energy per frame", "J", PJ_PER_J),
    "average_power_watts": ("average power", "W", 1),
    "latency_s": ("latency", "s", 1),
    "sustainable_fps": ("sustainable rate", "fps", 1),
    "file_bytes": ("size of the file", "B", 1),
    "test_error": ("test error", "", 1),
    "dram_bytes_per_frame": ("DRAM bytes per frame", "B", 1),
    "sram_bytes": ("SRAM used", "B", 1),
}
MORE_IS_BETTER = "sustainable_fps"
#: colour and mark of each storage variant
VARIANTS = {
    "dense": (COLOURS["dram"], "o"),
    "pruned": (COLOURS["dram_background"], "s"),
    "shared": (COLOURS["sram_leakage"], "^"),
    "huffman": (COLOURS["sram"], "D"),
}
MOST_LABELLED = 48  # cells of a heat map that are so few have room for their values
MANY_POINTS = 5000


@dataclass(frozen=True)
class SweepPlots:
    """What `sweep.plot` offers. Each picture is a matplotlib Figure, as wide as a column of text."""

    sweep: "Sweep"

    def pareto(self, x: str | None = None, y: str | None = None) -> "Figure":
        """All points, and those that no other beats in two objectives; the first two of the sweep if not said.

        Raises:
            ConfigError: no such objective, or a sweep of one.
        """
        objectives = self.sweep.plan.spec.objectives
        x, y = x or objectives[0], y or next((name for name in objectives if name != (x or objectives[0])), "")
        across, along = _known(x), _known(y)
        front = self.sweep.front([x, y])
        points = self.sweep.points([x, y]).dropna()
        figure = new_figure(2.9, f"{self._title}: {len(front):,} of {len(points):,} points on the front")
        axes = figure.add_subplot()
        few = len(points) < MANY_POINTS
        size = 6 if few else 1
        axes.scatter(
            points[x] / across[2], points[y] / along[2], size, color="#BBBBBB", linewidths=0, rasterized=not few
        )
        line = front[[x, y]].drop_duplicates()
        axes.plot(line[x] / across[2], line[y] / along[2], color=GREY, linewidth=0.8, zorder=2)
        handles = (
            [_marks(axes, "the front", front, x, y, COLOURS["sram"], "D")]
            if "variant" not in front
            else [
                _marks(axes, name, front[front["variant"] == name], x, y, *look)
                for name, look in VARIANTS.items()
                if (front["variant"] == name).any()
            ]
        )
        tidy(axes, x=across[0], y=along[0])
        axes.set(xscale=_scale(points[x]), yscale=_scale(points[y]))
        in_units(axes.xaxis, across[1], 6)
        in_units(axes.yaxis, along[1], 6)
        legend_below(figure, handles, 4)
        return figure

    def sensitivity(self, objective: str | None = None) -> "Figure":
        """How far each axis alone moves an objective, all others fixed: the median over their settings, the most."""
        objective = objective or self.sweep.plan.spec.objectives[0]
        name = _known(objective)[0]
        moved = [each for each in self.sweep.sensitivity(objective) if each.n_settings]
        figure = new_figure(1.2 + 0.26 * len(moved), f"{self._title}: what moves the {name}")
        axes = figure.add_subplot()
        names = [each.axis.replace("+", "\n") for each in moved]
        medians = np.array([each.median_swing for each in moved])
        axes.barh(names, medians - 1, 0.62, 1, color=COLOURS["sram"])
        for place, each in enumerate(moved):
            axes.plot([each.median_swing, each.largest_swing], [place, place], color=GREY, linewidth=0.8)
            axes.plot(each.largest_swing, place, "|", color=GREY, markersize=6)
            axes.annotate(
                f"{each.median_swing:.3g}x",
                (each.largest_swing, place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=TEXT_PT,
            )
        most = max((each.largest_swing for each in moved if np.isfinite(each.largest_swing)), default=1.0)
        axes.set(xscale="log", xlim=(1, 1.2 * most**1.25))
        axes.invert_yaxis()
        tidy(axes, x="largest over least: median, most")
        in_units(axes.xaxis, "")
        axes.xaxis.set_major_formatter("{x:g}x")
        return figure

    def heatmap(self, x: str | None = None, y: str | None = None, value: str | None = None) -> "Figure":
        """The best of a figure at each pair of values of two axes, over all others.

        Args:
            x, y: axes of the sweep, the first two that differ if not said.
            value: an objective, the first of the sweep if not said.

        Raises:
            ConfigError: no such axis or objective, or a sweep along one axis only.
        """
        value = value or self.sweep.plan.spec.objectives[0]
        name, unit, scale = _known(value)
        x, y = self._pair(x, y)
        best = "max" if value == MORE_IS_BETTER else "min"
        table = self.sweep.points([x, y, value]).pivot_table(index=y, columns=x, values=value, aggfunc=best) / scale
        if "variant" in (x, y):
            table = table.reindex(
                [name for name in VARIANTS if name in table.axes[x == "variant"]], axis=int(x == "variant")
            )
        cells = table.to_numpy(float)
        word = "most" if best == "max" else "least"
        figure = new_figure(0.95 + 0.26 * min(len(table), 12), f"{self._title}: {word} {name} over all other axes")
        axes = figure.add_subplot()
        image = axes.imshow(cells, cmap="cividis", aspect="auto", origin="lower")
        axes.set_xticks(*_places(table.columns, 6))
        axes.set_yticks(*_places(table.index, 12))
        tidy(axes, x=x, y=y)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if cells.size <= MOST_LABELLED and cells.shape[1] <= 6:
            _write_cells(axes, cells, unit)
        else:
            bar = figure.colorbar(image, ax=axes, pad=0.02)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=TEXT_PT, length=2)
            in_units(bar.ax.yaxis, unit)
        return figure

    @property
    def _title(self) -> str:
        return f"sweep {self.sweep.plan.spec.name}"

    def _pair(self, x: str | None, y: str | None) -> tuple[str, str]:
        """Two axes of the sweep. Raises ConfigError."""
        axes = self.sweep.axes
        for path in (x, y):
            if path and path not in axes:
                raise ConfigError(f"the sweep has no axis {path} with several values{did_you_mean(path, [*axes])}")
        left = [path for path in axes if path not in (x, y)]
        x = x or next(iter(left), "")
        y = y or next((path for path in left if path != x), "")
        if not x or not y:
            raise ConfigError("a heat map needs two axes that differ")
        return x, y


def _known(objective: str) -> tuple[str, str, float]:
    if objective not in FIGURES:
        raise ConfigError(f"no objective {objective or 'beside the first'}{did_you_mean(objective, [*FIGURES])}")
    return FIGURES[objective]


def _marks(axes: "Axes", name: str, points: "pd.DataFrame", x: str, y: str, colour: str, mark: str) -> Any:
    scales = FIGURES[x][2], FIGURES[y][2]
    return axes.scatter(
        points[x] / scales[0], points[y] / scales[1], 14, color=colour, marker=mark, label=name, linewidths=0, zorder=3
    )


def _scale(figures: "pd.Series[float]") -> str:
    """Logarithmic where the figures go over more than a power of ten."""
    return "log" if figures.min() > 0 and figures.max() > 10 * figures.min() else "linear"


def _places(values: Any, most: int) -> tuple[list[int], list[str]]:
    """At most so many ticks of a heat map, evenly spread."""
    shown = [_word(value) for value in values]
    step = -(-len(shown) // most)
    return list(range(0, len(shown), step)), shown[::step]


def _word(value: Any) -> str:
    if not isinstance(value, int | float | np.number):
        return str(value)
    number = float(value)
    return f"{number:.4g}" if abs(number) < 10_000 else si(number, "").strip()


def _write_cells(axes: "Axes", cells: Any, unit: str) -> None:
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
    for (row, column), figure in np.ndenumerate(cells):
        if not np.isnan(figure):
            ink = "white" if figure < middle else "black"
            axes.text(column, row, si(float(figure), unit), fontsize=TEXT_PT, color=ink, ha="center", va="center")
