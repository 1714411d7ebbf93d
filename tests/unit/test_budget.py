"""Does a run pass exactly those limits that it keeps?"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dcsim.config import known_yaml, parse_spec
from dcsim.errors import ConfigError
from dcsim.explore.budget import Budget, Check, Verdict, check, load_budget
from dcsim.explore.checks import FIGURES
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from tests.builders import chip, elementwise, linear, network

#: 1024 ns of service, so 976562.5 fps at most; 676.6 nJ of work a frame; a file of 4096 bytes; test error 25 %
TRACE = network(linear("fc", 32, 32))
RESULT = simulate(TRACE, chip(), fps=1000)
QUEUEING = simulate(TRACE, chip(), fps=2e6)
UNMEASURED = replace(RESULT, test_error=None)


def budget(limits: dict[str, float], **rest: Any) -> Budget:
    return Budget.model_validate({"name": "own", "limits": limits, **rest})


def verdict(result: RunResult = RESULT, **limits: float) -> Verdict:
    return check(result, budget(limits))


def named(name: str, found: Verdict) -> Check:
    return next(item for item in found.checks if item.name == name)


def only(name: str, result: RunResult = RESULT, **limits: float) -> Check:
    return named(name, verdict(result, **limits))


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("average_power_watts", RESULT.average_power_watts),
        ("energy_pj_per_frame", RESULT.energy_pj_per_frame),
        ("latency_s", 1.024e-6),
        ("latency_p99_s", 1.024e-6),
        ("file_bytes", 4096.0),
        ("sram_bytes", 2304.0),  # two buffers of 1024 bytes, 32 inputs and 32 outputs of 4
        ("test_error", 0.25),
    ],
)
def test_a_figure_may_be_at_most_its_limit(name: str, found: float) -> None:
    assert [only(name, **{name: found * factor}).ok for factor in (0.999, 1, 1.001)] == [False, True, True]
    assert only(name, **{name: 2 * found}).headroom == pytest.approx(0.5)
    assert only(name, **{name: found / 2}).headroom == pytest.approx(-1)


def test_the_frame_rate_must_be_at_least_its_limit() -> None:
    assert [only("sustainable_fps", sustainable_fps=fps).ok for fps in (976_562, 976_562.5, 976_563)] == [
        *(True, True, False)
    ]
    assert only("sustainable_fps", sustainable_fps=976_562.5 / 2).headroom == pytest.approx(1)
    assert only("sustainable_fps", sustainable_fps=976_562.5 * 2).headroom == pytest.approx(-0.5)


def test_keeping_up_with_the_frame_rate_that_was_asked_for_is_always_checked() -> None:
    item = only("sustainable_fps", latency_s=1.0)
    assert (item.limit, item.ok) == (1000, True)
    assert not only("sustainable_fps", replace(RESULT, fps=1e6), latency_s=1.0).ok


def test_the_higher_of_two_frame_rates_is_the_limit() -> None:
    assert only("sustainable_fps", sustainable_fps=30).limit == 1000
    assert only("sustainable_fps", sustainable_fps=5000).limit == 5000


def test_no_deadline_missed_is_a_limit_too() -> None:
    kept = only("deadline_misses", deadline_misses=0)
    assert (kept.found, kept.status, kept.headroom, kept.used) == (0, "ok", None, 0)
    missed = only("deadline_misses", simulate(TRACE, chip(), 1000, deadline_s=1e-6), deadline_misses=0)
    assert (missed.found, missed.status, missed.used) == (1, "over", float("inf"))


def test_a_battery_lasts_its_energy_over_the_power() -> None:
    """676.6 nJ x 1000 fps is 676.6 uW: 200 mAh x 3 V / 0.6766 mW = 887 h."""
    asked = {"battery": {"capacity_mah": 200.0, "volts": 3.0}}
    hours = 600 / (1e3 * RESULT.average_power_watts)
    item = named("battery_hours", check(RESULT, budget({"battery_hours": 800.0}, **asked)))
    assert (item.found, item.unit, item.ok) == (pytest.approx(hours), "h", True)
    assert round(hours) == 887
    assert not check(RESULT, budget({"battery_hours": 888.0}, **asked)).fits


def test_accuracy_loss_is_what_the_error_is_above_that_of_the_dense_network() -> None:
    asked = budget({"accuracy_loss": 0.001})
    for error, loss, ok in ((0.249, 0.001, True), (0.248, 0.002, False), (0.26, -0.01, True)):
        item = named("accuracy_loss", check(RESULT, asked, reference_error=error))
        assert (item.found, item.ok) == (loss, ok)  # to the digit: rounding of a subtraction is no loss


def test_the_reference_of_the_budget_comes_before_that_of_a_trace() -> None:
    found = check(RESULT, budget({"accuracy_loss": 0.1}, reference_error=0.2), reference_error=0.24)
    assert named("accuracy_loss", found).found == 0.05


def test_a_dram_needs_room_for_the_file_and_for_what_does_not_fit_the_sram() -> None:
    """Two layers of 900 weights; the 600 outputs of the first, 2400 bytes, do not fit beside the buffers."""
    trace = network(linear("a", 2, 600), elementwise("b", 600, 600, (0,)), header_bytes=16, file_bytes=4816)
    result = simulate(trace, chip(), 20)
    assert [use.output_spilled for use in result.layers] == [True, True]
    item = named("dram_bytes", check(result, budget({"dram_bytes": 1e6}), trace=trace, soc=chip()))
    assert item.found == 4816 + 2 * 2400
    assert item.blame is not None
    assert (item.blame.layer, item.blame.component) == ("a", "weights")


def test_without_a_dram_nothing_is_in_it() -> None:
    soc = chip({"dram": {"kind": "none"}, "sram.capacity_kib": 8})
    result = simulate(TRACE, soc, 20)
    item = named("dram_bytes", check(result, budget({"dram_bytes": 1.0}), trace=TRACE, soc=soc))
    assert (item.found, item.blame) == (0, None)


def test_a_run_fits_when_every_limit_is_kept() -> None:
    assert verdict(latency_s=1.0, file_bytes=5000).fits
    assert not verdict(latency_s=1.0, file_bytes=4000).fits


def test_figures_that_are_not_named_are_not_checked() -> None:
    assert [item.name for item in verdict(latency_s=1.0).checks] == ["latency_s", "sustainable_fps"]


# --- warnings, and evidence ------------------------------------------------------------------------------------------


def test_a_warning_comes_before_the_limit_and_fits() -> None:
    levels = [(5000, 6000), (4000, 5000), (3000, 4000)]
    found = [check(RESULT, budget({"file_bytes": limit}, warnings={"file_bytes": warn})) for warn, limit in levels]
    assert [each.status for each in found] == ["ok", "warn", "over"]
    assert [each.fits for each in found] == [True, True, False]


def test_a_figure_may_have_a_warning_alone() -> None:
    found = check(RESULT, budget({"latency_s": 1.0}, warnings={"file_bytes": 4000.0}))
    item = named("file_bytes", found)
    assert (item.limit, item.warning, item.status, item.headroom) == (None, 4000, "warn", pytest.approx(-0.024))
    assert found.fits


@pytest.mark.parametrize("name", ["latency_s", "latency_p99_s"])
def test_frames_that_queue_without_bound_are_over_every_limit(name: str) -> None:
    found = verdict(QUEUEING, **{name: 1e9})
    item = named(name, found)
    assert (item.found, item.headroom, item.status) == (None, None, "over")
    assert item.why == "frames queue without bound"
    assert found.status == "over"
    assert named("deadline_misses", verdict(QUEUEING, deadline_misses=0.5)).found == 1


@pytest.mark.parametrize(
    ("name", "result", "why"),
    [
        ("test_error", UNMEASURED, "not measured"),
        ("accuracy_loss", UNMEASURED, "not measured"),
        ("accuracy_loss", RESULT, "no trace of the dense variant"),
        ("dram_bytes", RESULT, "the trace and the chip"),
    ],
)
def test_missing_evidence_is_never_a_pass(name: str, result: RunResult, why: str) -> None:
    found = verdict(result, **{name: 1.0})
    assert (found.fits, found.status) == (False, "missing")
    assert found.tightest.name == name
    item = named(name, found)
    assert (item.found, item.status, item.ok) == (None, "missing", False)
    assert why in item.why


def test_missing_evidence_weighs_more_than_a_limit_that_is_broken() -> None:
    assert verdict(UNMEASURED, test_error=1.0, file_bytes=1.0).status == "missing"


def test_missing_evidence_is_missing_where_there_is_a_warning_alone() -> None:
    asked = budget({"latency_s": 1.0}, warnings={"test_error": 0.5})
    assert check(UNMEASURED, asked).status == "missing"


def test_work_that_is_not_counted_is_a_warning_on_energy_and_time() -> None:
    trace = network(linear("fc", 32, 32), replace(elementwise("odd", 32, 32, (0,)), counts="unknown"))
    result = simulate(trace, chip(), 1000)
    limits = {"average_power_watts": 1.0, "latency_s": 1.0, "file_bytes": 1e6}
    found = check(result, budget(limits), trace=trace, soc=chip())
    assert [item.status for item in found.checks] == ["warn", "warn", "ok", "warn"]
    assert found.fits
    assert "without a cost model" in found.checks[0].why
    assert "odd" in found.checks[0].why
    over = check(result, budget({"average_power_watts": 1e-9}), trace=trace, soc=chip())
    assert named("average_power_watts", over).status == "over"


# --- what is named in one word ---------------------------------------------------------------------------------------


def test_the_tightest_check_is_the_one_that_uses_most_of_its_limit() -> None:
    assert verdict(latency_s=1.024e-5, file_bytes=5120, test_error=0.5).tightest.name == "file_bytes"  # 10, 80, 50 %
    # both fail: 4096 of 4000 bytes, 25 of 10 %
    assert verdict(file_bytes=4000, test_error=0.1).tightest.name == "test_error"


def test_the_frame_rate_is_named_only_when_it_fails() -> None:
    nearly = replace(RESULT, fps=976_000.0)
    assert verdict(nearly, file_bytes=409_600).tightest.name == "file_bytes"  # 1 % used
    assert verdict(replace(RESULT, fps=1e6), file_bytes=409_600).tightest.name == "sustainable_fps"
    assert verdict(sustainable_fps=2000).tightest.name == "sustainable_fps"  # nothing else is limited


def test_used_is_found_over_limit_and_the_other_way_round_for_a_least_frame_rate() -> None:
    assert only("file_bytes", file_bytes=8192).used == 0.5
    assert only("sustainable_fps", sustainable_fps=976_562.5 / 4).used == 0.25


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: own\nlimits: {}\n", "own.yaml:2: limits: a budget needs at least one limit of average_power_watts"),
        ("name: own\nlimits:\n  latency_s: null\n", "own.yaml:2: limits: a budget needs at least one limit"),
        ("name: own\n", "own.yaml:1: limits: required key is missing"),
        ("name: own\nlimits:\n  latency_s: 0\n", "own.yaml:3: limits.latency_s: expected greater than 0, found 0"),
        ("name: own\nlimits:\n  latency_s: -1\n", "own.yaml:3: limits.latency_s: expected greater than 0"),
        ("name: own\nlimits:\n  watts: 3\n", "own.yaml:3: limits.watts: unknown key"),
        ("name: own\nlimits:\n  test_error: 1.5\n", "own.yaml:3: limits.test_error: expected less than or equal to 1"),
        ("name: own\nlimits: {latency_s: 1}\nwarnings: {}\n", "own.yaml:3: warnings: a budget needs at least one"),
        ("name: own\nlimits: {battery_hours: 8}\n", "own.yaml:1: (the file): battery_hours needs a battery"),
        (
            "name: own\nlimits: {latency_s: 1}\nwarnings: {latency_s: 2}\n",
            "own.yaml:1: (the file): warnings.latency_s of 2 never comes before limits.latency_s of 1",
        ),
        (
            "name: own\nlimits: {sustainable_fps: 30}\nwarnings: {sustainable_fps: 20}\n",
            "own.yaml:1: (the file): warnings.sustainable_fps of 20 never comes before limits.sustainable_fps of 30",
        ),
    ],
)
def test_a_budget_that_cannot_be_is_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_spec(Budget, text, "own.yaml")
    assert str(refusal.value).startswith(message)


def test_a_budget_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\nlimits:\n  file_bytes: 4000\n")
    assert check(RESULT, "phone").budget == "phone"
    assert not check(RESULT, str(tmp_path / "own.yaml")).fits


def test_budgets_that_ship() -> None:
    assert known_yaml("budget") == ["always-on-camera", "app-store", "coin-cell", "phone", "soc-share"]
    limits = {name: load_budget(name).limits for name in known_yaml("budget")}
    assert limits["phone"].average_power_watts == 3  # what a phone sheds without throttling
    assert limits["soc-share"].average_power_watts == 2
    assert limits["app-store"].file_bytes == 200_000_000
    assert load_budget("coin-cell").battery is not None


def test_every_figure_can_be_limited() -> None:
    fields = set(type(load_budget("phone").limits).model_fields)
    assert fields == set(FIGURES)
