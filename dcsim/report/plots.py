"""Pictures of finished runs, by matplotlib."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.files import written
from dcsim.soc.ledger import COMPONENTS
from dcsim.units import PJ_PER_J

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dcsim.run import RunReport

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


def energy_figure(report: "RunReport") -> "Figure":
    """Energy per frame of each storage variant, stacked by component; the power it means stands on top."""
    from matplotlib.figure import Figure

    from dcsim.report.tables import PREFIXES, quantity

    joules = [[r.energy_pj_by_component[c] / PJ_PER_J for r in report.results] for c in COMPONENTS]
    totals = [result.energy_pj_per_frame / PJ_PER_J for result in report.results]
    scale, prefix = next(((s, p) for s, p in PREFIXES if max(totals) >= s), PREFIXES[-1])
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    bottoms = [0.0] * len(totals)
    for component, values in zip(COMPONENTS, joules, strict=True):
        if not any(values):
            continue
        heights = [value / scale for value in values]
        names = [result.variant for result in report.results]
        axes.bar(names, heights, 0.6, bottoms, color=COLOURS[component], label=LABELS[component])
        bottoms = [low + high for low, high in zip(bottoms, heights, strict=True)]
    for index, (top, result) in enumerate(zip(bottoms, report.results, strict=True)):
        axes.annotate(
            quantity(result.average_power_watts, "W"), (index, top), (0, 3), textcoords="offset points", ha="center"
        )
    axes.set_ylabel(f"energy per frame [{prefix}J]")
    axes.set_ylim(0, max(bottoms) * 1.12)
    label = ", synthetic" if report.synthetic else ""
    axes.set_title(f"{report.network} on {report.soc} at {report.fps:g} fps{label}", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a picture; the suffix says which kind. The same figure gives the same bytes. Raises OutputError."""
    kind = path.suffix.removeprefix(".")
    metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    import matplotlib as mpl

    with written(path) as temporary, mpl.rc_context({"svg.hashsalt": "dcsim"}):
        figure.savefig(temporary, format=kind, dpi=160, metadata=metadata)
