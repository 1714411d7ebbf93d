"""What all pictures share: colours, sizes, units, and how they are written."""

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.files import written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

WIDTH_IN = 3.3  # a column of a paper
TITLE_PT, TEXT_PT = 8, 7
DPI = 300
TITLE_CHARACTERS = 56

#: one colour per component in every picture: Okabe and Ito's set, told apart by the colour-blind
COLOURS = {
    "dram": "#D55E00",
    "dram_io": "#F0E442",
    "dram_background": "#E69F00",
    "sram": "#0072B2",
    "sram_leakage": "#56B4E9",
    "decoder": "#CC79A7",
    "array": "#009E73",
    "logic": "#000000",
    "always_on": "#999999",
}
LABELS = {
    "dram": "DRAM access",
    "dram_io": "DRAM I/O and PHY",
    "dram_background": "DRAM background",
    "sram": "SRAM access",
    "sram_leakage": "SRAM leakage",
    "decoder": "decoder",
    "array": "array",
    "logic": "clock and logic leakage",
    "always_on": "always on",
}
GREY, PALE = "#666666", "#E3E3E3"


def new_figure(height_in: float, title: str) -> "Figure":
    """An empty figure of a column's width with its title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, layout="constrained")
    figure.suptitle(textwrap.fill(title, TITLE_CHARACTERS), x=0.01, ha="left", fontsize=TITLE_PT)
    return figure


def tidy(axes: "Axes", *, x: str = "", y: str = "", title: str = "") -> None:
    """Sizes of all words, names of the axes, no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TEXT_PT, width=0.6, length=2.5)
    axes.set_xlabel(x, fontsize=TEXT_PT)
    axes.set_ylabel(y, fontsize=TEXT_PT)
    axes.set_title(title, fontsize=TEXT_PT, loc="left", pad=3)


def in_units(axis: "Axis", unit: str, n_ticks: int = 4) -> None:
    """Ticks as `20 mJ`: the unit with the SI prefix that suits it. On a logarithmic axis at 1, 2, 5 or at 1 alone."""
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

    axis.set_major_formatter(EngFormatter(unit))
    if axis.get_scale() == "linear":
        axis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 2.5, 5, 10]))
    else:
        least, most = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if 3 * math.log10(most / least) <= n_ticks else (1,)))
        axis.set_minor_formatter("")


def si(value: float, unit: str) -> str:
    """A value of three digits with the SI prefix that suits it."""
    from matplotlib.ticker import EngFormatter

    return str(EngFormatter(unit)(float(f"{value:.3g}")))


def legend_below(figure: "Figure", handles: "Sequence[Any]", n_columns: int = 2) -> None:
    """One legend for all axes, under them."""
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=n_columns,
        fontsize=TEXT_PT,
        frameon=False,
        handlelength=1.1,
        handleheight=0.8,
        columnspacing=1.2,
        borderpad=0,
        labelspacing=0.35,
    )


def label_apart(axes: "Axes", points: "Sequence[tuple[float, float, str]]") -> None:
    """Name points of a figure that is laid out, the first ones first; where there is no room a name is left out."""
    from matplotlib.transforms import Bbox

    inside, reach = axes.get_window_extent(), DPI / 36  # two points of type
    spots = axes.transData.transform([(x, y) for x, y, _ in points])
    taken = [text.get_window_extent() for text in axes.texts]
    taken += [Bbox([(x - reach, y - reach), (x + reach, y + reach)]) for x, y in spots]
    for x, y, name in points:
        for offset, across, up in _BESIDE:
            text: Text = axes.annotate(
                name, (x, y), offset, textcoords="offset points", ha=across, va=up, fontsize=TEXT_PT
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            if inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


_BESIDE = (
    ((4, 0), "left", "center"),
    ((-4, 0), "right", "center"),
    ((0, 4), "center", "bottom"),
    ((0, -4), "center", "top"),
)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a picture; the suffix says which kind. The same figure gives the same bytes. Raises OutputError."""
    kind = path.suffix.removeprefix(".")
    metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    import matplotlib as mpl

    with written(path) as temporary, mpl.rc_context({"svg.hashsalt": "dcsim"}):
        figure.savefig(temporary, format=kind, metadata=metadata)
