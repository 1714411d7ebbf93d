"""Do pictures show the figures they are drawn from, and can every word of them be read in a column of text?"""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from dcsim.artifact import VARIANTS
from dcsim.errors import ConfigError, SimulationError
from dcsim.explore.front import pareto
from dcsim.explore.sweep import Sweep, sweep
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.plots.roofline import layer_points
from dcsim.plots.stalls import CAUSES
from dcsim.plots.style import COLOURS, LABELS, WIDTH_IN, save_figure, si
from dcsim.run import RunReport, judge
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import COMPONENTS
from dcsim.traces.synthetic import synthesize
from tests.builders import chip, linear, network, table_network
from tests.conftest import ROOT

NETWORK = table_network({"n_inputs": 784, "n_outputs": 300}, {"n_inputs": 300, "n_outputs": 10}, name="toy")
TRACES = tuple(synthesize(NETWORK, variant) for variant in VARIANTS)
PLAIN = judge(TRACES, "mobile45", 20, None)
KINDS = ("energy", "roofline", "timeline", "stalls")
LEAST_PT = 7


# --- words ---------------------------------------------------------------------------------------------------------


def words_of(figure: Figure) -> list[Text]:
    """Every text that is drawn; of ticks, those within the axes."""
    figure.draw_without_rendering()
    unseen = set()
    for axes in figure.axes:
        assert isinstance(axes, Axes)
        if not axes.axison:
            unseen |= set(axes.xaxis.findobj(Text)) | set(axes.yaxis.findobj(Text))
        for axis in (axes.xaxis, axes.yaxis):
            drawn = set(axis._update_ticks()) if axis.get_visible() else set()  # type: ignore[attr-defined]
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            unseen |= {text for tick in ticks if tick not in drawn for text in tick.findobj(Text)}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in unseen]


def faults(figure: Figure) -> list[str]:
    """Words that are too small, cut off, or that lie over one another."""
    words = words_of(figure)
    boxes = {text: text.get_window_extent() for text in words}
    page, found = figure.bbox.padded(1), []
    for text, box in boxes.items():
        if text.get_fontsize() < LEAST_PT:
            found.append(f"{text.get_text()!r} is of {text.get_fontsize()} pt")
        if not (page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1)):
            found.append(f"{text.get_text()!r} is cut off")
    for one, other in combinations(words, 2):
        if boxes[one].padded(-1).overlaps(boxes[other].padded(-1)):
            found.append(f"{one.get_text()!r} lies over {other.get_text()!r}")
    return found


@pytest.fixture(scope="module")
def shipped() -> dict[str, RunReport]:
    """The runs of the README and of the notebooks, and a large one."""
    from dcsim.run import run

    return {
        "lenet-300-100": run("lenet-300-100", budget="phone"),
        "lenet-5 on paper45": run("lenet-5", "paper45"),
        "one-billion": run("one-billion", "paper45"),
        "alexnet": run("alexnet", fps=2),
        "resnet-20": run("resnet-20", "eie64"),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5 on paper45", "one-billion", "alexnet", "resnet-20"])
def test_every_word_can_be_read_at_column_width(name: str, kind: str, shipped: dict[str, RunReport]) -> None:
    report = shipped[name]
    for plots in (report.plot, report.results[0].plot, report.results[-1].plot):
        figure = getattr(plots, kind)()
        assert figure.get_figwidth() == WIDTH_IN == 3.3
        assert faults(figure) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda axes: axes.tick_params(labelsize=6), "is of 6"),
        (lambda axes: axes.text(0, 0, "x", fontsize=7) and axes.text(0, 0, "y", fontsize=7), "'x' lies over 'y'"),
        (lambda axes: axes.annotate("out", (0, 0), (-90, 0), textcoords="offset points", fontsize=7), "is cut off"),
    ],
)
def test_words_that_cannot_be_read_are_found(change: Any, fault: str) -> None:
    figure = PLAIN.plot.energy()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    change(figure.axes[0])
    assert any(fault in found for found in faults(figure))


def test_every_component_has_a_colour_and_a_label_of_its_own() -> None:
    assert tuple(COLOURS) == tuple(LABELS) == COMPONENTS
    assert len(set(COLOURS.values())) == len(set(LABELS.values())) == len(COMPONENTS)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0128, "W", "12.8 mW"),
        (0, "J", "0 J"),
        (999.96, "B", "1 kB"),
        (5.6e9, "MAC/s", "5.6 GMAC/s"),
        (1e-6, "s", "1 µs"),
    ],
)
def test_a_quantity_has_the_prefix_that_suits_it(value: float, unit: str, text: str) -> None:
    assert si(value, unit) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written_with_the_same_bytes_each_time(
    kind: str, suffix: str, magic: bytes, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in ("first", "second")]
    for path in paths:
        save_figure(getattr(PLAIN.results[0].plot, kind)(), path)
    contents = [path.read_bytes() for path in paths]
    assert contents[0].startswith(magic)
    assert contents[0] == contents[1]


# --- runs ----------------------------------------------------------------------------------------------------------


def test_bars_of_the_variants_are_as_high_as_the_energy() -> None:
    axes = PLAIN.plot.energy().axes[0]
    heights: dict[str, float] = {}
    for container in axes.containers:
        for variant, bar in zip(VARIANTS, container, strict=True):
            heights[variant] = heights.get(variant, 0.0) + bar.get_height()
    for result in PLAIN.results:
        assert heights[result.variant] == pytest.approx(result.energy_pj_per_frame / 1e12)
    assert [text.get_text() for text in axes.texts] == [si(r.average_power_watts, "W") for r in PLAIN.results]


def test_bars_of_the_layers_add_up_to_the_energy() -> None:
    result = PLAIN.results[0]
    axes = result.plot.energy().axes[0]
    joules = sum(bar.get_width() for container in axes.containers for bar in container)
    assert joules == pytest.approx(result.energy_pj_per_frame / 1e12)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fc0", "fc1", "paid by time"]


def test_many_layers_are_the_largest_and_the_rest() -> None:
    chain = [linear("x" * (n + 1), 8, 8, producers=(n - 1,)) for n in range(30)]
    result = simulate(network(*chain), chip(), 1000)
    axes = result.plot.energy().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (len(names), names[-2:]) == (16, ["16 others", "paid by time"])
    joules = sum(bar.get_width() for container in axes.containers for bar in container)
    assert joules == pytest.approx(result.energy_pj_per_frame / 1e12)


def test_many_layers_whose_names_differ_in_numbers_only_share_a_bar() -> None:
    chain = [linear(f"block{n // 2}.{'qk'[n % 2]}", 8, 8, producers=(n - 1,)) for n in range(30)]
    result = simulate(network(*chain), chip(), 1000)
    axes = result.plot.energy().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["block*.q", "block*.k", "paid by time"]
    joules = sum(bar.get_width() for container in axes.containers for bar in container)
    assert joules == pytest.approx(result.energy_pj_per_frame / 1e12)


def test_a_picture_says_what_was_run() -> None:
    assert PLAIN.plot.title == "toy on mobile45 at 20 fps, synthetic"
    assert PLAIN.results[0].plot.title == "toy, dense, on mobile45 at 20 fps, synthetic"
    figure = PLAIN.plot.energy()
    assert figure.get_suptitle() == PLAIN.plot.title


def test_a_layer_in_the_roofline_is_its_macs_over_bytes_and_time() -> None:
    # 1024 fp32 weights from DRAM, one of them a byte-quarter; a MAC a ns, behind the first fetch of 128 ns
    result = simulate(network(linear("fc", 32, 32)), chip({"dram.bandwidth_bytes_per_s": 8e9}), 1000)
    ((intensity, rate, share, name),) = layer_points(result)
    assert (intensity, share, name) == (0.25, 1.0, "fc")
    assert rate == pytest.approx(1024 / 1152e-9)
    assert (result.peak_macs_per_s, result.dram_peak_bytes_per_s) == (1e9, 8e9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_layer_of_an_array_that_skips_nothing_is_above_the_roof(variant: str) -> None:
    result = PLAIN.results[VARIANTS.index(variant)]
    assert result.dram_peak_bytes_per_s is not None
    for intensity, rate, *_ in layer_points(result):
        assert rate <= result.peak_macs_per_s
        # two buffers may have been filled during the layer before
        n_tiles = next(use.n_tiles for use in result.layers)
        assert rate <= intensity * result.dram_peak_bytes_per_s * (1 + 2 / n_tiles)


@pytest.mark.parametrize(
    ("soc", "peak_macs_per_s", "bytes_per_s"),
    [("mobile45", 16 * 350e6, 6.4e9), ("eie64", 64 * 800e6, None), ("paper45", 64 * 800e6, None)],
)
def test_peaks_are_those_of_the_chips(soc: str, peak_macs_per_s: float, bytes_per_s: float | None) -> None:
    result = simulate(TRACES[-1], soc, 20)
    assert result.peak_macs_per_s == peak_macs_per_s
    if bytes_per_s:
        assert result.dram_peak_bytes_per_s == pytest.approx(bytes_per_s)


def test_tracks_are_as_full_as_the_resources_were_busy() -> None:
    result = PLAIN.results[0]
    axes = result.plot.timeline().axes[0]
    areas = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    busy = [use for use in result.resources if use.busy_ps]
    for area, use in zip(areas, busy, strict=True):
        values, edges, baseline = area.get_data()
        seconds = ((values - baseline) / 0.84 * np.diff(edges)).sum()
        assert seconds == pytest.approx(use.busy_ps / 1e12, rel=1e-6)


def test_bars_of_the_stalls_are_the_time_of_the_frame() -> None:
    result = PLAIN.results[0]
    axes = result.plot.stalls().axes[0]
    widths = [0.0] * len(result.resources)
    for bar in axes.patches:
        widths[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()  # type: ignore[attr-defined]
    assert widths == pytest.approx([result.service_ps / 1e12] * len(widths))


@pytest.mark.parametrize("engine", ["event", "analytic"])
def test_every_cause_of_a_stall_has_a_name(engine: Any) -> None:
    for trace in TRACES:
        for use in simulate(trace, "mobile45", 20, engine=engine).resources:
            assert set(use.stall_ps) <= set(CAUSES)


def test_the_analytic_engine_has_all_pictures_but_the_timeline() -> None:
    result = simulate(TRACES[0], "mobile45", 20, engine="analytic")
    for kind in ("energy", "roofline", "stalls"):
        assert faults(getattr(result.plot, kind)()) == []
    with pytest.raises(SimulationError, match="replay with the event engine"):
        result.plot.timeline()


# --- sweeps --------------------------------------------------------------------------------------------------------


def swept(folder: Path, **changes: Any) -> Sweep:
    trace = folder / "t.parquet"
    folder.mkdir(exist_ok=True)
    TRACES[-1].save(trace)
    content = {
        "name": "toy",
        "traces": (str(trace),),
        "soc": "mobile45",
        "fps": 20,
        "axes": (
            {"path": "sram.capacity_kib", "values": (256, 512, 1024)},
            {"path": "clock_hz", "values": (200_000_000, 300_000_000)},
            {"path": "array.lanes_out", "values": (4, 8)},
        ),
        **changes,
    }
    return sweep(SweepSpec.model_validate(content), folder / "store")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return swept(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep("memory", tmp_path_factory.mktemp("memory"))


def test_every_word_of_a_sweep_can_be_read_at_column_width(toy: Sweep, memory: Sweep) -> None:
    for found in (toy, memory):
        for kind in ("pareto", "sensitivity", "heatmap"):
            figure = getattr(found.plot, kind)()
            assert figure.get_figwidth() == WIDTH_IN
            assert faults(figure) == []


def test_the_front_of_the_picture_is_the_front(toy: Sweep) -> None:
    rows = toy.frame()
    expected = rows[pareto(rows, ["energy_pj_per_frame", "latency_s"])]
    axes = toy.plot.pareto().axes[0]
    marked = np.asarray(axes.collections[-1].get_offsets())
    assert sorted(map(tuple, marked.tolist())) == sorted(
        zip(expected["energy_pj_per_frame"] / 1e12, expected["latency_s"], strict=True)
    )
    assert len(np.asarray(axes.collections[0].get_offsets())) == len(rows) == 12


def test_bars_of_the_sensitivity_are_the_median_swings(toy: Sweep) -> None:
    axes = toy.plot.sensitivity("latency_s").axes[0]
    moved = {each.axis: each.median_swing for each in toy.sensitivity("latency_s")}
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == list(moved)
    assert [bar.get_width() + 1 for bar in axes.containers[0]] == pytest.approx(list(moved.values()))


def test_cells_of_a_heat_map_are_the_best_over_the_other_axes(toy: Sweep) -> None:
    axes = toy.plot.heatmap("clock_hz", "sram.capacity_kib", "latency_s").axes[0]
    cells = np.asarray(axes.images[0].get_array())
    rows = toy.frame()
    best = rows.groupby(["sram.capacity_kib", "clock_hz"])["latency_s"].min().unstack()
    assert cells == pytest.approx(best.to_numpy())
    assert [text.get_text() for text in axes.texts] == [si(cell, "s") for cell in cells.ravel()]


def test_a_heat_map_of_a_rate_has_the_highest(toy: Sweep) -> None:
    axes = toy.plot.heatmap("clock_hz", "sram.capacity_kib", "sustainable_fps").axes[0]
    best = toy.frame().groupby(["sram.capacity_kib", "clock_hz"])["sustainable_fps"].max().unstack()
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(best.to_numpy())


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda plots: plots.heatmap("sram.capacity_kb"), "did you mean sram.capacity_kib"),
        (lambda plots: plots.heatmap(value="latency"), "did you mean latency_s"),
        (lambda plots: plots.pareto("energy"), "no objective energy"),
        (lambda plots: plots.sensitivity("power"), "no objective power"),
    ],
)
def test_what_a_sweep_does_not_have_is_said(draw: Any, message: str, toy: Sweep) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(toy.plot)


def test_a_heat_map_of_one_axis_is_refused(tmp_path: Path) -> None:
    found = swept(tmp_path, axes=({"path": "clock_hz", "values": (200_000_000, 300_000_000)},))
    with pytest.raises(ConfigError, match="two axes that differ"):
        found.plot.heatmap()


def test_large_heat_maps_have_a_scale_instead_of_values(tmp_path: Path) -> None:
    axes = (
        {"path": "clock_hz", "range": {"start": 1e8, "stop": 4e8, "n": 12}},
        {"path": "fps", "range": {"start": 1.0, "stop": 40.0, "n": 15}},
    )
    figure = swept(tmp_path, axes=axes).plot.heatmap()
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.axes[0].texts] == []
    assert faults(figure) == []


def test_of_a_screen_the_replayed_points_are_drawn(tmp_path: Path) -> None:
    found = swept(tmp_path, engine="screen")
    assert found.replayed
    points = np.asarray(found.plot.pareto().axes[0].collections[0].get_offsets())
    assert len(points) == len(found.replayed)


def test_pictures_do_not_touch_the_state_of_pyplot() -> None:
    assert not [path for path in (ROOT / "dcsim").rglob("*.py") if "pyplot" in path.read_text()]
