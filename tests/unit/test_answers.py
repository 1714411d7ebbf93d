"""Are fronts, neighbours and sensitivities what one works out by hand?"""

import math
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from dcsim.errors import ConfigError, SimulationError
from dcsim.explore.answers import knobs, neighbours, pareto, sensitivity
from dcsim.explore.grid import Grid
from dcsim.report.answers import sensitivity_table
from dcsim.soc.spec import load_soc
from tests.builders import chip, linear, network

# --- the front -----------------------------------------------------------------------------------------------------


def front(rows: list[tuple[float, ...]], *objectives: str) -> list[int]:
    frame = pd.DataFrame(rows, columns=list(objectives))
    return np.flatnonzero(pareto(frame, objectives)).tolist()


def test_a_front_of_two_objectives() -> None:
    rows = [(1, 9), (2, 5), (2, 6), (3, 5), (4, 4), (9, 1), (9, 2), (5, 5)]
    assert front(rows, "energy_pj_per_frame", "latency_s") == [0, 1, 4, 5]


def test_equal_rows_are_on_the_front_together() -> None:
    assert front([(1, 2), (2, 1), (1, 2), (2, 2)], "a", "b") == [0, 1, 2]


def test_a_front_of_one_objective_is_its_least() -> None:
    assert front([(3,), (1,), (2,), (1,)], "a") == [1, 3]


def test_a_front_of_three_objectives() -> None:
    rows = [(1, 1, 3), (1, 2, 2), (1, 2, 3), (2, 2, 2), (3, 3, 1), (0, 9, 9), (3, 3, 3)]
    assert front(rows, "a", "b", "c") == [0, 1, 4, 5]


def test_more_frames_per_second_are_better() -> None:
    rows = [(1.0, 10.0), (2.0, 20.0), (2.0, 30.0), (3.0, 30.0)]
    assert front(rows, "energy_pj_per_frame", "sustainable_fps") == [0, 2]


def test_a_row_without_a_figure_or_with_an_error_is_never_on_the_front() -> None:
    frame = pd.DataFrame({"a": [0.0, math.nan, 1.0, 2.0], "b": [1, 0, 1, 0], "error": ["too big", "", "", ""]})
    assert pareto(frame, ["a", "b"]).tolist() == [False, False, True, True]


def test_all_points_of_a_plane_are_on_the_front_and_what_is_above_it_is_not() -> None:
    plane = np.random.default_rng(0).dirichlet(np.ones(3), 20_000)
    frame = pd.DataFrame(np.concatenate([plane, plane + 0.25]), columns=["a", "b", "c"])
    on_front = pareto(frame, ["a", "b", "c"])
    assert on_front[:20_000].all()
    assert not on_front[20_000:].any()


def test_an_empty_table_has_an_empty_front() -> None:
    assert front([], "a", "b") == []


@pytest.mark.parametrize(
    ("objectives", "said"),
    [([], "needs an objective"), (["energy"], "did you mean energy_pj"), (["variant"], "no column of numbers")],
)
def test_what_cannot_be_an_objective(objectives: list[str], said: str) -> None:
    frame = pd.DataFrame({"energy_pj": [1.0], "variant": ["dense"]})
    with pytest.raises(ConfigError, match=said):
        pareto(frame, objectives)


# --- neighbours ----------------------------------------------------------------------------------------------------


def test_neighbours_are_one_step_away_on_one_axis() -> None:
    grid = Grid(({"a": np.arange(3)}, {"b": np.arange(4), "zipped": np.arange(4)}))
    assert neighbours(grid, np.array([0])).tolist() == [1, 4]
    assert neighbours(grid, np.array([5])).tolist() == [1, 4, 6, 9]
    assert neighbours(grid, np.array([11])).tolist() == [7, 10]
    assert neighbours(grid, np.array([5, 6])).tolist() == [1, 2, 4, 7, 9, 10]
    assert neighbours(grid, np.zeros(0, np.int64)).tolist() == []


# --- sensitivity ---------------------------------------------------------------------------------------------------


def power_law() -> pd.DataFrame:
    """figure = 3 a^2 / sqrt(b), halved by huffman."""
    rows = [
        {"a": a, "b": b, "variant": variant, "figure": 3 * a**2 * b**-0.5 * (1 if variant == "dense" else 0.5)}
        for a in (1, 2, 4)
        for b in (10.0, 20.0, 40.0)
        for variant in ("dense", "huffman")
    ]
    return pd.DataFrame(rows)


def test_a_power_law_has_its_exponents_as_elasticities() -> None:
    a, b, variant = sensitivity(power_law(), ["variant", "b", "a"], "figure")
    assert (a.axis, a.least, a.greatest, a.n_settings) == ("a", 1, 4, 6)
    assert (a.median_ratio, a.largest_ratio, a.median_swing) == pytest.approx((16, 16, 16))
    assert a.elasticity == pytest.approx(2)
    by_axis = {each.axis: each for each in (b, variant)}  # both move it by a factor of two
    assert by_axis["b"].median_ratio == pytest.approx(0.5)
    assert by_axis["b"].elasticity == pytest.approx(-0.5)
    assert by_axis["variant"].median_swing == pytest.approx(2)
    assert (by_axis["variant"].median_ratio, by_axis["variant"].elasticity) == (None, None)
    assert (by_axis["variant"].least, by_axis["variant"].greatest) == ("dense", "huffman")


def test_a_constraint_leaves_settings_narrower_and_elasticities_as_they_are() -> None:
    frame = power_law()
    kept = frame[10 * frame["a"] <= frame["b"]]
    by_axis = {each.axis: each for each in sensitivity(kept, ["a", "b", "variant"], "figure")}
    # at b = 10 there is a = 1 alone; at 20 there are 1 and 2; at 40 all three
    assert by_axis["a"].n_settings == 4
    assert by_axis["a"].median_ratio == pytest.approx((4 + 16) / 2)
    assert by_axis["a"].largest_ratio == pytest.approx(16)
    assert by_axis["a"].elasticity == pytest.approx(2)
    assert by_axis["b"].n_settings == 4
    assert by_axis["b"].elasticity == pytest.approx(-0.5)


def test_what_moves_back_has_a_swing_without_a_ratio() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "figure": [4.0, 1.0, 4.0]})
    (row,) = sensitivity(frame, ["a"], "figure")
    assert (row.median_swing, row.median_ratio, row.elasticity) == (4, 1, 0)


def test_axes_that_move_together_are_one() -> None:
    frame = power_law().assign(c=lambda rows: 7 * rows["a"])
    axes = [row.axis for row in sensitivity(frame, ["a", "b", "c", "variant"], "figure")]
    assert axes[0] == "a+c"
    assert sorted(axes) == ["a+c", "b", "variant"]


def test_engines_are_not_compared_with_each_other() -> None:
    frame = power_law()
    both = pd.concat([frame.assign(engine="event"), frame.assign(engine="analytic", figure=frame["figure"] * 9)])
    assert sensitivity(both, ["a", "b", "variant"], "figure")[0].elasticity == pytest.approx(2)


def test_rows_with_an_error_or_without_the_figure_are_left_out() -> None:
    frame = pd.DataFrame(
        {"a": [1, 2, 3, 4], "figure": [1.0, 2.0, 99.0, math.nan], "error": ["", "", "does not fit", ""]}
    )
    (row,) = sensitivity(frame, ["a"], "figure")
    assert (row.greatest, row.median_ratio, row.elasticity) == (2, 2, pytest.approx(1))


def test_zero_is_no_figure_to_divide_by() -> None:
    frame = pd.DataFrame({"a": [1, 2, 1, 2], "b": [1, 1, 2, 2], "dram_bytes": [8, 0, 0, 0]})
    row = next(row for row in sensitivity(frame, ["a", "b"], "dram_bytes") if row.axis == "a")
    assert (row.largest_swing, row.median_ratio, row.elasticity) == (math.inf, 0.5, None)


def test_a_single_point_moves_nothing() -> None:
    (row,) = sensitivity(pd.DataFrame({"a": [1], "figure": [2.0]}), ["a"], "figure")
    assert (row.n_settings, row.median_swing, row.median_ratio) == (0, 1, None)


def test_axes_that_are_left_out_are_noticed() -> None:
    with pytest.raises(ConfigError, match="points differ in more than a, b"):
        sensitivity(power_law(), ["a", "b"], "figure")
    with pytest.raises(ConfigError, match="no column variants; did you mean variant"):
        sensitivity(power_law(), ["variants"], "figure")


# --- knobs ---------------------------------------------------------------------------------------------------------

TRACE = network(linear("fc", 64, 64))


def test_energy_is_the_sum_of_what_each_price_adds() -> None:
    # energy is linear in all prices together: each turned up by 10 % adds 10 % in sum
    turned = [each for each in knobs(TRACE, chip(), 20) if "pj_per" in each.knob]
    assert {each.knob for each in turned} >= {"array.pj_per_mac", "sram.read_pj_per_access", "dram.pj_per_access"}
    assert sum(each.higher_ratio - 1 for each in turned if each.higher_ratio) == pytest.approx(0.1)
    assert sum(1 - each.lower_ratio for each in turned if each.lower_ratio) == pytest.approx(0.1)


def test_time_goes_with_the_clock_where_nothing_else_takes_any() -> None:
    by_knob = {each.knob: each for each in knobs(TRACE, chip(), 20, "latency_s")}
    assert (by_knob["clock_hz"].lower, by_knob["clock_hz"].higher) == (900_000_000, 1_100_000_000)
    assert by_knob["clock_hz"].elasticity == pytest.approx(-1, rel=1e-5)
    assert by_knob["clock_hz"].lower_ratio == pytest.approx(1 / 0.9, rel=1e-5)
    # one MAC a cycle: there is no half of a lane, and with a second one it takes half the time
    assert (by_knob["array.lanes_out"].lower, by_knob["array.lanes_out"].higher) == (None, 2)
    assert by_knob["array.lanes_out"].higher_ratio == pytest.approx(0.5)
    assert by_knob["dram.pj_per_access"].elasticity == 0


def test_power_without_static_power_goes_with_the_frame_rate() -> None:
    by_knob = {each.knob: each for each in knobs(TRACE, chip(), 20, "average_power_watts")}
    assert by_knob["fps"].elasticity == pytest.approx(1)


def test_what_must_be_a_power_of_two_is_doubled_and_halved() -> None:
    by_knob = {each.knob: each for each in knobs(TRACE, load_soc("mobile45"), 20)}
    assert (by_knob["dram.row_bytes"].lower, by_knob["dram.row_bytes"].higher) == (2048, 8192)
    assert (by_knob["sram.capacity_kib"].lower, by_knob["sram.capacity_kib"].higher) == (461, 563)
    assert (by_knob["tiles.n_buffers"].lower, by_knob["tiles.n_buffers"].higher) == (1, 3)
    assert by_knob["sram.access_width_bits"].higher is None  # the table ends at 128
    assert not [knob for knob in by_knob if knob.startswith("operating_point")]


def test_clock_and_voltage_are_no_knobs_of_a_chip_that_chooses_its_own() -> None:
    soc = load_soc("mobile45")
    at = {
        choice: {each.knob for each in knobs(TRACE, soc.model_copy(update={"operating_point": choice}), 20)}
        for choice in ("nominal", "auto", 0)
    }
    assert at["nominal"] - at["auto"] == {"clock_hz", "volts"}
    assert at["auto"] == at[0]


def test_the_most_elastic_comes_first() -> None:
    elasticities = [abs(each.elasticity) for each in knobs(TRACE, load_soc("mobile45"), 20)]
    assert elasticities == sorted(elasticities, reverse=True)


def test_knobs_of_what_does_not_run() -> None:
    with pytest.raises(SimulationError, match="working buffers"):
        knobs(TRACE, chip({"tiles.tile_kib": 64}), 20)
    with pytest.raises(ConfigError, match="did you mean latency_s"):
        knobs(TRACE, chip(), 20, "latency")
    with pytest.raises(SimulationError, match="fps must be"):
        knobs(TRACE, chip(), 0)


def test_sensitivities_are_shown_the_most_first() -> None:
    screen = Console(width=120, record=True, file=StringIO())
    screen.print(sensitivity_table(sensitivity(power_law(), ["a", "b", "variant"], "figure"), "figure"))
    first, *others = [line.split() for line in screen.export_text().splitlines()[2:]]
    assert first == ["a", "1", "4", "6", "16x", "16x", "16x", "+2.00"]
    assert ["b", "10", "40", "6", "2x", "2x", "0.5x", "-0.50"] in others
    assert ["variant", "dense", "huffman", "9", "2x", "2x", "-", "-"] in others
