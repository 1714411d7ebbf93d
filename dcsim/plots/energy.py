"""Where the joules of a frame go."""

import re
from typing import TYPE_CHECKING

from dcsim.plots.style import COLOURS, LABELS, TEXT_PT, in_units, legend_below, new_figure, si, tidy
from dcsim.soc.ledger import COMPONENTS
from dcsim.units import PJ_PER_J

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dcsim.plots.runs import RunPlots
    from dcsim.simulation.result import RunResult

MOST_BARS = 14


def by_variant(plots: "RunPlots") -> "Figure":
    """A bar per storage variant, stacked by component; the power it means stands on top."""
    results = plots.results
    figure = new_figure(3.2, plots.title)
    axes = figure.add_subplot()
    names, bottoms, handles = [result.variant for result in results], [0.0] * len(results), []
    for component in COMPONENTS:
        heights = [result.energy_pj_by_component[component] / PJ_PER_J for result in results]
        if any(heights):
            colour, label = COLOURS[component], LABELS[component]
            handles.append(axes.bar(names, heights, 0.6, bottoms, color=colour, label=label))
            bottoms = [low + high for low, high in zip(bottoms, heights, strict=True)]
    for index, (top, result) in enumerate(zip(bottoms, results, strict=True)):
        power = si(result.average_power_watts, "W")
        axes.annotate(power, (index, top), (0, 2), textcoords="offset points", ha="center", fontsize=TEXT_PT)
    tidy(axes, y="energy per frame")
    axes.set_ylim(0, max(bottoms) * 1.1 or 1)
    in_units(axes.yaxis, "J", 5)
    legend_below(figure, handles[::-1])
    return figure


def by_layer(result: "RunResult", title: str) -> "Figure":
    """A bar for each of the largest layers, stacked by component, and one for what is paid by time."""
    spent = _by_layer(result)
    figure = new_figure(1.3 + 0.15 * len(spent), title)
    axes = figure.add_subplot()
    lefts, handles = [0.0] * len(spent), []
    for component in COMPONENTS:
        widths = [energies[component] / PJ_PER_J for energies in spent.values()]
        if any(widths):
            colour, label = COLOURS[component], LABELS[component]
            handles.append(axes.barh(list(spent), widths, 0.7, lefts, color=colour, label=label))
            lefts = [low + high for low, high in zip(lefts, widths, strict=True)]
    for index, total in enumerate(lefts):
        axes.annotate(si(total, "J"), (total, index), (2, 0), textcoords="offset points", va="center", fontsize=TEXT_PT)
    tidy(axes, x="energy per frame")
    axes.invert_yaxis()
    axes.set_xlim(0, max(lefts) * 1.25 or 1)
    in_units(axes.xaxis, "J", 2)
    legend_below(figure, handles)
    return figure


def _by_layer(result: "RunResult") -> dict[str, dict[str, float]]:
    """Energy by component [pJ] of each bar: layers in their order, what time takes.

    Of many layers, those whose names differ in numbers only share a bar, and then the small ones.
    """
    spent = {use.layer: dict.fromkeys(COMPONENTS, 0.0) for use in result.layers}
    static = dict.fromkeys(COMPONENTS, 0.0)
    for row in result.ledger:
        spent.get(row.layer, static)[row.component] += row.energy_pj
    if len(spent) > MOST_BARS:
        spent = _alike(spent)
    largest = sorted(spent, key=lambda layer: -sum(spent[layer].values()))[:MOST_BARS]
    if len(spent) > len(largest):
        others = [energies for layer, energies in spent.items() if layer not in largest]
        spent = {layer: energies for layer, energies in spent.items() if layer in largest}
        spent[f"{len(others)} others"] = {name: sum(each[name] for each in others) for name in COMPONENTS}
    return {**spent, "paid by time": static}


def _alike(spent: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Sums over layers of one name: `block.*.query` stands for that layer of all blocks."""
    sums: dict[str, dict[str, float]] = {}
    for layer, energies in spent.items():
        total = sums.setdefault(re.sub(r"\d+", "*", layer), dict.fromkeys(COMPONENTS, 0.0))
        for component, pj in energies.items():
            total[component] += pj
    return sums
