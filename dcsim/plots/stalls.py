"""What each resource does during a frame: work, or wait, and for what."""

from typing import TYPE_CHECKING, Any

from dcsim.plots.style import COLOURS, GREY, PALE, in_units, legend_below, new_figure, si, tidy
from dcsim.units import ps_to_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dcsim.simulation.result import RunResult

#: a stall is hatched in the colour of what is waited for
CAUSES = {
    "weights": ("waits for data from DRAM", COLOURS["dram"]),
    "decode": ("waits for the decoder", COLOURS["decoder"]),
    "sram": ("waits for the SRAM port", COLOURS["sram"]),
    "inputs": ("waits for the layer before", COLOURS["array"]),
    "write_back": ("waits for write-back", COLOURS["sram_leakage"]),
    "buffer": ("waits for a free buffer", COLOURS["logic"]),
    "latency": ("wakes up, opens a row", COLOURS["dram_background"]),
    "no_request": ("has nothing to do", PALE),
    "drained": ("has nothing to do", PALE),
    "waiting": ("waits", PALE),
}


def stalls(results: "Sequence[RunResult]", title: str) -> "Figure":
    """A panel per result, a bar per resource, all of one scale."""
    figure = new_figure(1.5 + 0.62 * len(results) if len(results) > 1 else 2.3, title)
    panels = figure.subplots(len(results), 1, sharex=True, squeeze=False)[:, 0]
    seen: dict[str, Any] = {}
    for axes, result in zip(panels, results, strict=True):
        _draw(axes, result, seen)
        service, period = (si(ps_to_s(ps), "s") for ps in (result.service_ps, result.period_ps))
        name = "" if len(results) == 1 else f"{result.variant}: "
        tidy(axes, title=f"{name}{service} of every {period}")
    panels[-1].set_xlabel("time within the frame", fontsize=7)
    panels[-1].set_xlim(0)
    in_units(panels[-1].xaxis, "s", 6)
    legend_below(figure, [_patch("works, in its own colour", GREY, ""), *seen.values()])
    return figure


def _draw(axes: "Axes", result: "RunResult", seen: dict[str, Any]) -> None:
    for place, use in enumerate(result.resources):
        left_s = ps_to_s(use.busy_ps)
        axes.barh(place, left_s, 0.72, color=COLOURS[use.resource])
        for cause, stall_ps in use.stall_ps.items():
            if not stall_ps:
                continue
            label, colour = CAUSES[cause]
            hatch = "" if colour == PALE else "//////"
            patch = _patch(label, colour, hatch)
            seen.setdefault(label, patch)
            axes.barh(place, ps_to_s(stall_ps), 0.72, left_s, **_look(colour, hatch))
            left_s += ps_to_s(stall_ps)
    axes.set_yticks(range(len(result.resources)))
    axes.set_yticklabels(
        [use.resource.upper() if use.resource in ("dram", "sram") else use.resource for use in result.resources]
    )
    axes.invert_yaxis()
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _look(colour: str, hatch: str) -> dict[str, Any]:
    if not hatch:
        return {"facecolor": colour, "linewidth": 0}
    return {"facecolor": "white", "edgecolor": colour, "hatch": hatch, "linewidth": 0.5}


def _patch(label: str, colour: str, hatch: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(label=label, **_look(colour, hatch))
