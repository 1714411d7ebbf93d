"""Do both engines agree on any network and chip, and many design points with one at a time?"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import ConfigError
from dcsim.simulation.analytic import estimate
from dcsim.simulation.pipeline import analytic_frame, pipeline_layers
from dcsim.simulation.pipeline_kernels import run_points
from dcsim.simulation.placement import place
from dcsim.simulation.replay import replay_frame
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import COMPONENTS
from dcsim.soc.spec import SocSpec
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from tests.builders import network, shipped_chip, table_network
from tests.property.test_simulation import chips, traces

law = settings(max_examples=150, deadline=None)
LARGE = synthesize(table_network({"n_inputs": 2000, "n_outputs": 900}, {"n_inputs": 900, "n_outputs": 300}), "huffman")


@law
@given(trace=traces(), soc=chips(), cold=st.booleans())
def test_counts_are_the_same_and_times_within_a_tenth(trace: Trace, soc: SocSpec, cold: bool) -> None:
    placement = place(trace, soc)
    event, analytic = (frame(placement, soc, soc.nominal, cold) for frame in (replay_frame, analytic_frame))
    if not cold:
        counted = {key: count for key, count in event.counts.items() if count}
        assert {key: count for key, count in analytic.counts.items() if count} == counted
    # a tile's times are rounded to whole picoseconds and cycles, which is much of a layer that takes a few of them
    rounding_ps = 2 * 10**12 // soc.clock_hz * sum(plan.n_tiles for plan in placement.layers)
    assert analytic.service_ps == pytest.approx(event.service_ps, rel=0.1, abs=rounding_ps)


@law
@given(trace=traces(), soc=chips())
def test_no_frame_is_shorter_than_the_busiest_resource(trace: Trace, soc: SocSpec) -> None:
    result = simulate(trace, soc, 1.0, engine="analytic")
    n_tiles = sum(use.n_tiles for use in result.layers)
    assert result.service_ps >= max(use.busy_ps for use in result.resources) - 4 * n_tiles  # a ps a stage of a tile
    assert all(use.busy_ps + sum(use.stall_ps.values()) == result.service_ps for use in result.resources)


@law
@given(trace=traces(), soc=chips(), cold=st.booleans())
def test_skipping_repetitions_changes_nothing(trace: Trace, soc: SocSpec, cold: bool) -> None:
    from dcsim.simulation.pipeline import decoder_speed, dram_speed, speeds
    from dcsim.soc import sram

    layers = pipeline_layers(place(trace, soc), soc)
    rates = speeds(
        np.array([soc.clock_hz]),
        np.array([sram.cost(soc.sram, soc.clock_hz).cycles_per_access]),
        np.array([dram_speed(soc.dram, soc.idle.dram)]),
        np.array([decoder_speed(soc.decoder)]),
    )
    skipped, whole = (run_points(layers, soc.tiles.n_buffers, rates, cold, skips) for skips in (True, False))
    assert skipped[0].tolist() == whole[0].tolist()
    assert skipped[1].tolist() == whole[1].tolist()


#: two values of a number in every part of a chip
AXES: dict[str, tuple[Any, Any]] = {
    "clock_hz": (350_000_000, 200_000_000),
    "volts": (0.9, 0.8),
    "always_on_mw": (1.0, 3.0),
    "logic.clock_mw": (0.0, 5.0),
    "logic.leakage_mw": (0.0, 1.0),
    "idle.logic": ("clock_gate", "run"),
    "idle.sram": ("on", "off"),
    "idle.dram": ("self_refresh", "power_down"),
    "sram.capacity_kib": (512, 700),
    "sram.cell": ("low-operating-power", "low-standby-power"),
    "dram.timing.tck_ps": (1250, 1876),
    "dram.currents.idd4r_ma": (233.0, 300.0),
    "dram.io_pj_per_bit": (4.0, 2.0),
    "dram.sleep_after_cycles": (0, 100),
    "decoder.lanes": (2, 4),
    "decoder.symbols_per_cycle": (1.0, 0.25),
    "decoder.pj_per_symbol": (2.5, 1.0),
    "array.lanes_out": (4, 8),
    "array.pj_per_mac": (4.6, 2.0),
    "tiles.tile_kib": (16, 8),
    "tiles.n_buffers": (2, 3),
    "activation_bits": (32, 16),
}


@pytest.mark.parametrize("path", AXES)
def test_a_point_of_many_is_the_point_alone(path: str) -> None:
    values = [*AXES[path], AXES[path][0]]
    fps = np.array([20.0, 500.0, 40.0])
    found = estimate(LARGE, "mobile45", {path: values}, fps)
    for point, (value, rate) in enumerate(zip(values, fps, strict=True)):
        alone = simulate(LARGE, shipped_chip("mobile45", {path: value}), float(rate), engine="analytic")
        assert found.service_ps[point] == alone.service_ps
        assert found.energy_pj_per_frame[point] == pytest.approx(alone.energy_pj_per_frame, rel=1e-9)
        parts = [alone.energy_pj_by_component[name] for name in COMPONENTS]
        assert found.energy_pj_by_component[point] == pytest.approx(parts, rel=1e-9, abs=1e-3)
        assert found.average_power_watts[point] == pytest.approx(alone.average_power_watts, rel=1e-9)
        assert found.dram_bytes_per_frame[point] == alone.dram_bytes_per_frame
        assert found.resident_bytes[point] == alone.resident_bytes


def test_all_axes_at_once_are_one_by_one_too() -> None:
    axes = {path: list(values) for path, values in AXES.items()}
    found = estimate(LARGE, "mobile45", axes, 30)
    for point in range(2):
        soc = shipped_chip("mobile45", {path: values[point] for path, values in AXES.items()})
        alone = simulate(LARGE, soc, 30, engine="analytic")
        assert found.service_ps[point] == alone.service_ps
        assert found.energy_pj_per_frame[point] == pytest.approx(alone.energy_pj_per_frame, rel=1e-9)


def test_a_point_that_cannot_be_says_why_and_harms_no_other() -> None:
    found = estimate(LARGE, "mobile45", {"sram.capacity_kib": [512, 4, 16]})
    assert np.isnan(found.energy_pj_per_frame).tolist() == [False, True, True]
    assert found.energy_pj_per_frame[0] == estimate(LARGE, "mobile45").energy_pj_per_frame[0]
    table, buffers = (found.faults[found.fault_index[point]] for point in (1, 2))
    assert "expected 8 to 8192" in table
    assert "working buffers take" in buffers
    assert found.frame()["fault"].tolist() == ["", table, buffers]


def test_the_most_frugal_point_in_time_is_chosen_at_every_design_point() -> None:
    soc = shipped_chip("mobile45", {"operating_point": "auto"})
    fps = np.array([1.0, 100.0, 1e6])
    found = estimate(LARGE, soc, {"always_on_mw": [1.0] * 3}, fps)
    alone = [simulate(LARGE, soc, float(rate), engine="analytic") for rate in fps]
    assert found.clock_hz.tolist() == [result.clock_hz for result in alone]
    assert found.energy_pj_per_frame == pytest.approx([result.energy_pj_per_frame for result in alone])


def test_operating_points_are_an_axis() -> None:
    found = estimate(LARGE, "mobile45", {"operating_point": ["nominal", 0, "auto", 1, 7]}, 100)
    chips = [shipped_chip("mobile45", {"operating_point": value}) for value in ("nominal", 0, "auto", 1)]
    alone = [simulate(LARGE, soc, 100, engine="analytic") for soc in chips]
    assert found.clock_hz.tolist()[:4] == [result.clock_hz for result in alone]
    assert found.energy_pj_per_frame[:4] == pytest.approx([result.energy_pj_per_frame for result in alone])
    assert found.faults == ("operating_point 7: the chip has 4 operating_points",)
    assert np.isnan(found.energy_pj_per_frame).tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"sram.capacity_kb": [1]}, "did you mean sram.capacity_kib"),
        ({"clock_hz": [1, 2], "volts": [0.9]}, "as many values each"),
    ],
)
def test_axes_that_cannot_be_are_refused(axes: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        estimate(LARGE, "mobile45", axes)


def test_a_trace_without_layers_is_refused() -> None:
    with pytest.raises(Exception, match="no layers"):
        estimate(network(), "mobile45")
