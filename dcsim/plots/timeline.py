"""One frame through time: how busy each resource is, the power, what the SRAM holds."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import SimulationError
from dcsim.plots.style import COLOURS, GREY, PALE, TEXT_PT, in_units, new_figure, si, tidy
from dcsim.units import PS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dcsim.simulation.result import RunResult
    from dcsim.simulation.timeline import Steps, Timeline

Floats = npt.NDArray[np.float64]

N_BINS = 330  # a hundred an inch, finer than the eye resolves on paper
LABEL_SHARE = 0.017  # of the width, for each character of a layer's name


def timeline(results: "Sequence[RunResult]", title: str) -> "Figure":
    """Tracks of each result over one scale of time; of a lone one, power and SRAM too. Raises SimulationError."""
    lone = len(results) == 1
    figure = new_figure(3.0 if lone else 0.7 + 0.85 * len(results), title)
    ratios = [2.2, 1, 1] if lone else [1] * len(results)
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    end_s = max(result.service_ps for result in results) / PS_PER_S
    for axes, result in zip(panels, results, strict=False):
        _tracks(axes, result, _timeline(result), end_s)
        label = "" if lone else f"{result.variant}, {si(result.service_ps / PS_PER_S, 's')}"
        tidy(axes, title=label)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    if lone:
        _power(panels[1], _timeline(results[0]))
        _occupancy(panels[2], _timeline(results[0]))
    panels[-1].set_xlim(0, end_s or 1)
    panels[-1].set_xlabel("time since the frame began", fontsize=TEXT_PT)
    in_units(panels[-1].xaxis, "s", 6)
    return figure


def _timeline(result: "RunResult") -> "Timeline":
    if result.timeline is None:
        raise SimulationError(
            "the analytic engine follows no tiles, so it has no timeline; replay with the event engine"
        )
    return result.timeline


def _tracks(axes: "Axes", result: "RunResult", drawn: "Timeline", end_s: float) -> None:
    """A track per resource: how much of each moment it worked."""
    edges_ps = np.linspace(0, max(drawn.service_ps, 1), N_BINS + 1)
    n_tracks = len(result.resources)
    for place, use in enumerate(result.resources):
        mine = drawn.resource == place
        shares, low = _busy_share(drawn.start_ps[mine], drawn.end_ps[mine], edges_ps), n_tracks - 1 - place
        axes.axhspan(low, low + 0.84, color=PALE, alpha=0.45, linewidth=0)
        if use.busy_ps:
            axes.stairs(low + 0.84 * shares, edges_ps / PS_PER_S, baseline=low, fill=True, color=COLOURS[use.resource])
        else:
            axes.text(end_s / 100, low + 0.38, _why_empty(mine), fontsize=TEXT_PT, color=GREY, va="center")
    axes.set_yticks([n_tracks - 1 - place + 0.4 for place in range(n_tracks)])
    axes.set_yticklabels([_name(use.resource) for use in result.resources])
    axes.set_ylim(-0.05, n_tracks + 0.75)
    _layers(axes, result, n_tracks, end_s)


def _layers(axes: "Axes", result: "RunResult", n_tracks: int, end_s: float) -> None:
    """Where the array turns to the next layer, with the names of those that have room."""
    before_s = 0.0
    for use in result.layers:
        middle, width = (before_s + use.end_s) / 2, use.end_s - before_s
        axes.plot([use.end_s] * 2, [0, n_tracks], color="white", linewidth=0.5)
        axes.plot([before_s + width * 0.02, use.end_s - width * 0.02], [n_tracks + 0.02] * 2, color=GREY, linewidth=0.6)
        if end_s and width / end_s > LABEL_SHARE * len(use.layer) + 0.02:
            axes.text(middle, n_tracks + 0.12, use.layer, fontsize=TEXT_PT, color=GREY, ha="center", va="bottom")
        before_s = use.end_s


def _busy_share(start_ps: Any, end_ps: Any, edges_ps: Floats) -> Floats:
    """Share of each bin in which one of these slices lies; they do not overlap."""
    done_ps = np.concatenate([[0], np.cumsum(end_ps - start_ps)])
    times = np.stack([start_ps, end_ps], axis=1).ravel()
    worked = (
        np.interp(edges_ps, times, np.stack([done_ps[:-1], done_ps[1:]], axis=1).ravel())
        if len(times)
        else edges_ps * 0
    )
    return np.diff(worked) / np.diff(edges_ps)


def _means(steps: "Steps", end_ps: int) -> tuple[Floats, Floats]:
    """Edges of bins, and the mean of the figure in each."""
    edges_ps = np.linspace(0, max(end_ps, 1), N_BINS + 1)
    whole = steps.until(max(end_ps, 1))
    sums = np.concatenate([[0], np.cumsum(whole.values[:-1] * np.diff(whole.time_ps))])
    return edges_ps, np.diff(np.interp(edges_ps, whole.time_ps, sums)) / np.diff(edges_ps)


def _power(axes: "Axes", drawn: "Timeline") -> None:
    for steps, colour in ((drawn.power_watts(), "black"), (drawn.static, COLOURS["always_on"])):
        edges_ps, watts = _means(steps, drawn.service_ps)
        axes.stairs(watts, edges_ps / PS_PER_S, baseline=0, fill=True, color=colour)
    tidy(axes, title="power (grey: paid by time)")
    axes.set_ylim(0)
    in_units(axes.yaxis, "W", 2)


def _occupancy(axes: "Axes", drawn: "Timeline") -> None:
    steps = drawn.occupancy
    time_s = np.append(steps.time_ps, drawn.service_ps) / PS_PER_S
    held = np.append(steps.values, steps.values[-1])
    axes.fill_between(time_s, held, step="post", color=COLOURS["sram"], linewidth=0)
    axes.axhline(drawn.sram_capacity_bytes, color=GREY, linewidth=0.8, linestyle=":")
    tidy(axes, title=f"SRAM held, of {si(drawn.sram_capacity_bytes, 'B')}")
    axes.set_ylim(0, drawn.sram_capacity_bytes * 1.1)
    in_units(axes.yaxis, "B", 2)


def _name(resource: str) -> str:
    return resource.upper() if resource in ("dram", "sram") else resource


def _why_empty(mine: npt.NDArray[np.bool_]) -> str:
    return "takes no time" if mine.any() else "not used"
