"""Does a run pass exactly those limits that it keeps?"""

from dataclasses import replace
from pathlib import Path

import pytest

from dcsim.config import parse_spec
from dcsim.errors import ConfigError
from dcsim.explore.budget import Budget, Check, Verdict, check, load_budget
from dcsim.simulation.simulate import simulate
from dcsim.simulation.result import RunResult
from tests.builders import chip, linear, network

#: 1024 ns of service, so 976562.5 fps at most; 676.6 nJ of work a frame; a file of 4096 bytes; test error 25 %
RESULT = simulate(network(linear("fc", 32, 32)), chip(), fps=1000)
QUEUEING = replace(RESULT, latency_s=None)
UNMEASURED = replace(RESULT, test_error=None)


def verdict(result: RunResult = RESULT, **limits: float) -> Verdict:
    return check(result, Budget.model_validate({"name": "own", "limits": limits}))


def only(name: str, result: RunResult = RESULT, **limits: float) -> Check:
    return next(item for item in verdict(result, **limits).checks if item.name == name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("average_power_watts", RESULT.average_power_watts),
        ("energy_pj_per_frame", RESULT.energy_pj_per_frame),
        ("latency_s", 1.024e-6),
        ("file_bytes", 4096.0),
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


@pytest.mark.parametrize(("name", "result"), [("latency_s", QUEUEING), ("test_error", UNMEASURED)])
def test_a_missing_figure_is_never_a_pass(name: str, result: RunResult) -> None:
    found = verdict(result, **{name: 1e9})
    assert not found.fits
    assert found.tightest == Check(name, 1e9, None, {"latency_s": "s", "test_error": ""}[name], None, ok=False)


def test_a_run_fits_when_every_limit_is_kept() -> None:
    assert verdict(latency_s=1.0, file_bytes=5000).fits
    assert not verdict(latency_s=1.0, file_bytes=4000).fits


def test_limits_that_are_not_set_are_not_checked() -> None:
    assert [item.name for item in verdict(latency_s=1.0).checks] == ["latency_s", "sustainable_fps"]


def test_the_tightest_check_is_the_one_that_uses_most_of_its_limit() -> None:
    assert verdict(latency_s=1.024e-5, file_bytes=5120, test_error=0.5).tightest.name == "file_bytes"  # 10, 80, 50 %
    # both fail: 4096 of 4000 bytes, 25 of 10 %
    assert verdict(file_bytes=4000, test_error=0.1).tightest.name == "test_error"


def test_the_frame_rate_is_named_only_when_it_fails() -> None:
    nearly = replace(RESULT, fps=976_000.0)
    assert verdict(nearly, file_bytes=409_600).tightest.name == "file_bytes"  # 1 % used
    assert verdict(replace(RESULT, fps=1e6), file_bytes=409_600).tightest.name == "sustainable_fps"


def test_used_is_found_over_limit_and_the_other_way_round_for_a_least_frame_rate() -> None:
    assert only("file_bytes", file_bytes=8192).used == 0.5
    assert only("sustainable_fps", sustainable_fps=976_562.5 / 4).used == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: own\nlimits: {}\n", "own.yaml:2: limits: a budget needs at least one limit of average_power_watts"),
        ("name: own\nlimits:\n  latency_s: null\n", "own.yaml:2: limits: a budget needs at least one limit"),
        ("name: own\n", "own.yaml:1: limits: required key is missing"),
        ("name: own\nlimits:\n  latency_s: 0\n", "own.yaml:3: limits.latency_s: expected greater than 0, found 0"),
        ("name: own\nlimits:\n  latency_s: -1\n", "own.yaml:3: limits.latency_s: expected greater than 0"),
        ("name: own\nlimits:\n  watts: 3\n", "own.yaml:3: limits.watts: unknown key"),
    ],
)
def test_a_budget_that_limits_nothing_is_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_spec(Budget, text, "own.yaml")
    assert str(refusal.value).startswith(message)


def test_a_budget_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\nlimits:\n  file_bytes: 4000\n")
    assert check(RESULT, "phone").budget == "phone"
    assert not check(RESULT, str(tmp_path / "own.yaml")).fits
    assert load_budget("phone").limits.average_power_watts == 3  # what a phone sheds without throttling
