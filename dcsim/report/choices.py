"""What the search for a recipe leaves: tables of trials, a picture of sensitivities, and the recipe as YAML."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dcsim.files import written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dcsim.compression.recipe import Recipe
    from dcsim.compression.search import Trial
    from dcsim.compression.sensitivity import Sensitivity


def write_rows(rows: Sequence[Any], path: Path) -> None:
    """Values of one kind as CSV, a column for each of their fields. Raises OutputError."""
    with written(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(rows[0])], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def sensitivity_figure(network: str, before: float, rows: "Iterable[Sensitivity]") -> "Figure":
    """Error of the network over the density of each layer, and over the bits of its codes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=160, layout="constrained")
    kinds = (("density", "weights kept [%]", 100), ("code_bits", "bits of a code", 1))
    for axes, (change, label, factor) in zip(figure.subplots(1, 2, sharey=True), kinds, strict=True):
        for layer in dict.fromkeys(row.layer for row in rows):
            points = [
                (row.value * factor, 100 * row.error) for row in rows if (row.layer, row.change) == (layer, change)
            ]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1, label=layer)
        axes.axhline(100 * before, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.invert_xaxis()
    left, right = figure.axes
    left.set_xscale("log")
    left.set_yscale("log")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter("{x:g}")
    left.set_ylabel("error on held-out examples [%]")
    left.set_title(f"{network}, one layer changed, not retrained", loc="left", fontsize=11)
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def recipe_text(recipe: "Recipe", best: "Trial", max_error: float) -> str:
    """A recipe that a search found, as YAML with sources."""
    content = recipe.model_dump(exclude_defaults=True, exclude={"sources", "description"})
    found = (
        f"dcsim recipe auto: {best.file_bytes} bytes at {best.error:.4f} on held-out examples, {max_error:g} permitted"
    )
    sources = dict(recipe.sources)
    sources |= {"prune.n_kept": found, "share.n_codes": found}
    return yaml.safe_dump({**content, "sources": sources}, sort_keys=False, width=120)
