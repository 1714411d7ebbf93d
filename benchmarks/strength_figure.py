"""Error against size: the files of models/strength.csv beside what was published."""

import csv
import json
from pathlib import Path

from matplotlib.figure import Figure

from dcsim.plots.style import save_figure

#: recipe: colour (Okabe and Ito), filled or not
RECIPES = {
    "best": ("#0072B2", True),
    "accurate": ("#009E73", True),
    "unaugmented": ("#D55E00", False),
    "default": ("#56B4E9", True),
    "published": ("#999999", True),
}
MARKERS = {"Deep Compression": "s", "Dynamic Network Surgery": "D", "Oktay et al.": "^", "MIRACLE": "v"}
NETWORKS = ("lenet-300-100", "lenet-5")


def draw(rows: Path, anchors: Path, picture: Path) -> None:
    """Draw a panel for each network. Raises OutputError."""
    ours, published = [*_read(rows), *_of_stages(rows.parent)], _read(anchors)
    figure = Figure(figsize=(11, 4.4), dpi=160, layout="constrained")
    for axes, network in zip(figure.subplots(1, 2), NETWORKS, strict=True):
        for recipe, (colour, filled) in RECIPES.items():
            points = [row for row in ours if (row["network"], row["recipe"]) == (network, recipe)]
            if not points:
                continue
            face = colour if filled else "white"
            axes.plot(*_points(points), "o", color=colour, markerfacecolor=face, markersize=5, label=f"recipe {recipe}")
        for row in published:
            if row["network"] == network:
                marker = next(mark for name, mark in MARKERS.items() if row["method"].startswith(name))
                axes.plot(
                    *_points([row]), marker, color="black", markersize=6, label=row["method"], markerfacecolor="white"
                )
        axes.set_xscale("log")
        ticks = [ratio for ratio in (20, 40, 100, 200, 400, 1000) if axes.get_xlim()[0] < ratio < axes.get_xlim()[1]]
        axes.set_xticks(ticks, [f"{ratio:g}x" for ratio in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("4 bytes x parameters / bytes of the file")
        axes.set_ylabel("error on the 10,000 test digits [%]")
        axes.set_title(network, loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    save_figure(figure, picture)


def _of_stages(models: Path) -> list[dict[str, str]]:
    """The recipes with the paper's densities, whose files have traces too."""
    found = []
    for network in NETWORKS:
        for recipe in ("default", "published"):
            stages = json.loads((models / network / "compressed" / recipe / "stages.json").read_text())["stages"]
            last = {name: str(stages[-1][name]) for name in ("compression_ratio", "test_error")}
            found.append({"network": network, "recipe": recipe, **last})
    return found


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _points(rows: list[dict[str, str]]) -> tuple[list[float], list[float]]:
    return [float(row["compression_ratio"]) for row in rows], [100 * float(row["test_error"]) for row in rows]
