"""Layers under the roof that array and DRAM are: Williams, Waterman and Patterson, CACM 52(4), 2009."""

from typing import TYPE_CHECKING, Any

from dcsim.plots.style import COLOURS, GREY, TEXT_PT, in_units, label_apart, legend_below, new_figure, si, tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dcsim.simulation.result import RunResult

Point = tuple[float, float, float, str]  # MACs per byte (inf without traffic), MACs per s, share of the time, name


def layer_points(result: "RunResult") -> list[Point]:
    """Layers with MACs, those of the dense network: where zeros are skipped, a layer may lie above the roof.

    The time of a layer is what it adds to the frame: from the end of the layer before to its own.
    """
    points, before_s = [], 0.0
    whole_s = max((use.end_s for use in result.layers), default=0.0)
    for use in result.layers:
        took_s, before_s = use.end_s - before_s, use.end_s
        n_bytes = use.dram_read_bytes + use.dram_write_bytes
        if use.n_macs_dense and took_s > 0:
            intensity = use.n_macs_dense / n_bytes if n_bytes else float("inf")
            points.append((intensity, use.n_macs_dense / took_s, took_s / whole_s, use.layer))
    return points


def roofline(results: "Sequence[RunResult]", title: str) -> "Figure":
    """A panel per result, all of one scale."""
    n_rows, n_columns = ((len(results) + 1) // 2, 2) if len(results) > 1 else (1, 1)
    figure = new_figure(1.0 + 1.35 * n_rows if len(results) > 1 else 2.7, title)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    points = [layer_points(result) for result in results]
    limits = _limits(results, [point for own in points for point in own])
    for axes, result, own in zip(panels.flat, results, points, strict=False):
        _draw(axes, result, own, limits)
        tidy(axes, title=result.variant if len(results) > 1 else "")
    for axes in panels.flat[len(results) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("dense MACs per second", fontsize=TEXT_PT)
    for axes in panels[-1]:
        axes.set_xlabel("dense MACs per DRAM byte" if len(results) == 1 else "MACs per DRAM byte", fontsize=TEXT_PT)
    in_units(panels[0, 0].yaxis, "MAC/s")
    in_units(panels[0, 0].xaxis, "")
    panels[0, 0].xaxis.set_major_formatter("{x:g}")
    legend_below(figure, _handles())
    figure.draw_without_rendering()  # so that it is known where there is room
    for axes, own in zip(panels.flat, points, strict=False):
        largest = sorted(own, key=lambda point: -point[2])[:MOST_NAMES]
        label_apart(axes, [(min(x, limits[1] / EDGE), y, name) for x, y, _, name in largest])
    return figure


MOST_NAMES = 12
EDGE = 2.0  # by which points without traffic stand inside the right edge


def _limits(results: "Sequence[RunResult]", points: list[Point]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of all panels: the points, and where the roof has its corner."""
    first = results[0]
    peak, bandwidth = first.peak_macs_per_s, first.dram_peak_bytes_per_s
    corner = [peak / bandwidth] if bandwidth else []
    reached = [x for x, *_ in points if x != float("inf")] + corner
    least, most = min(reached, default=1.0), max(reached, default=1.0)
    slowest = min((y for _, y, *_ in points), default=peak)
    fastest = max([peak, *(y for _, y, *_ in points)])
    return least / 3, max(most * 10, least * 30), min(slowest, peak / 10) / 3, fastest * 3


def _draw(axes: "Axes", result: "RunResult", points: list[Point], limits: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = limits
    peak, bandwidth = result.peak_macs_per_s, result.dram_peak_bytes_per_s
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, top))
    corner = peak / bandwidth if bandwidth else left
    axes.plot([max(corner, left), right], [peak, peak], color=COLOURS["array"], linewidth=1)
    name: dict[str, Any] = {"fontsize": TEXT_PT, "va": "bottom", "textcoords": "offset points"}
    axes.annotate(si(peak, "MAC/s"), (max(corner, left), peak), (3, 1), color=COLOURS["array"], **name)
    if bandwidth:
        axes.plot([left, corner], [left * bandwidth, peak], color=COLOURS["dram"], linewidth=1)
    for x, y, share, _ in points:
        at_memory = bool(bandwidth) and x < corner
        marker, colour = (">", GREY) if x == float("inf") else ("o", COLOURS["dram" if at_memory else "array"])
        size = 8 + 60 * share
        axes.scatter(min(x, right / EDGE), y, size, color=colour, marker=marker, alpha=0.75, linewidths=0, zorder=3)


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    kinds = (
        ("under the DRAM's roof", "o", COLOURS["dram"], COLOURS["dram"]),
        ("under the array's roof", "o", COLOURS["array"], COLOURS["array"]),
        ("no DRAM traffic", ">", GREY, GREY),
        ("area: share of time", "o", GREY, "none"),
    )
    return [
        Line2D([], [], linestyle="", markersize=4, marker=marker, color=edge, markerfacecolor=face, label=label)
        for label, marker, edge, face in kinds
    ]
