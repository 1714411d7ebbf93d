"""Does a failed check name who is to blame and a knob that mends it, and do tables, Markdown and JUnit say the same?"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from dcsim.errors import ConfigError
from dcsim.explore.blame import bottleneck
from dcsim.explore.budget import Budget, Check, check
from dcsim.explore.checks import STATUSES, Blame, Knob, Verdict, weigh
from dcsim.explore.footprint import in_sram, total_bytes
from dcsim.report.baseline import Change, Changes, changes, read_document
from dcsim.report.checks import (
    change_table,
    check_table,
    finding,
    in_unit,
    markdown,
    sentence,
    sentences,
    title,
    unchanged,
)
from dcsim.report.document import document, to_json
from dcsim.report.junit import junit
from dcsim.run import RunReport, judge
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace
from tests.builders import STREAM_DECODER, chip, coded, linear, network, shipped_chip

#: 4 KiB of weights that stay in SRAM, then 16 KiB that do not
TRACE = network(linear("small", 32, 32), linear("large", 32, 128, producers=(0,)))


def judged(limits: dict[str, float], soc: SocSpec, trace: Trace = TRACE, fps: float = 1000, **rest: Any) -> RunReport:
    return judge([trace], soc, fps, Budget.model_validate({"name": "own", "limits": limits, **rest}))


def only(name: str, report: RunReport) -> Check:
    assert report.verdict is not None
    return next(item for item in report.verdict.checks if item.name == name)


def shown(content: RenderableType, width: int = 200) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(content)
    return stream.getvalue()


# --- who is to blame -------------------------------------------------------------------------------------------------


def test_energy_is_blamed_on_the_layer_that_spends_most_of_the_dearest_component() -> None:
    report = judged({"energy_pj_per_frame": 1.0}, chip({"sram.capacity_kib": 8}))
    (result,) = report.results
    spent = {row.layer: row.energy_pj for row in result.ledger if (row.component, row.action) == ("dram", "read")}
    assert spent == {"large": 4096 * 640.0}
    blame = only("energy_pj_per_frame", report).blame
    assert blame == Blame("large", "dram", spent["large"] / result.energy_pj_per_frame)


def test_static_energy_is_blamed_on_no_layer() -> None:
    blame = only("average_power_watts", judged({"average_power_watts": 1.0}, chip({"always_on_mw": 900.0}))).blame
    assert blame is not None
    assert (blame.layer, blame.component) == ("(soc)", "always_on")
    assert blame.share == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "blocks", "resource"),
    [
        ({}, None, "array"),  # a MAC a cycle
        ({"dram.bandwidth_bytes_per_s": 1e8}, None, "dram"),  # 40 cycles for a weight that takes one
        ({"decoder": STREAM_DECODER | {"lanes": 1, "bits_per_cycle": 1.0}}, coded(4096, 6, 4), "decoder"),
    ],
)
def test_time_is_blamed_on_what_the_array_does_or_waits_for(changes: Any, blocks: Any, resource: str) -> None:
    encoding = "fp32" if blocks is None else "huffman"
    trace = network(linear("fc", 32, 128, encoding=encoding, blocks=blocks))
    assert bottleneck(simulate(trace, chip(changes), 10)) == resource


def test_waiting_for_a_decoder_that_waits_for_the_port_is_blamed_on_the_port() -> None:
    trace = network(linear("fc", 256, 256, encoding="huffman", blocks=coded(65_536, 4, 3)))
    slow = shipped_chip("mobile45", {"sram.access_width_bits": 32})
    assert bottleneck(simulate(trace, slow, 10)) == "sram"


def test_time_is_blamed_on_the_layer_that_takes_longest() -> None:
    blame = only("latency_s", judged({"latency_s": 1.0}, chip({"sram.capacity_kib": 64}))).blame
    assert blame is not None
    assert (blame.layer, blame.component) == ("large", "array")
    assert blame.share == pytest.approx(4096 / 5120, rel=0.01)  # of MACs, one a cycle


def test_bytes_are_blamed_on_the_largest_part() -> None:
    soc = chip({"sram.capacity_kib": 16})
    report = judged({"file_bytes": 1e6, "sram_bytes": 1e6, "dram_bytes": 1e6}, soc)
    # of the SRAM, two buffers of 1024, 4096 of weights of the small layer, activations of 32, 32 and 128 elements
    parts = in_sram(TRACE, soc, report.results[0])
    assert total_bytes(parts) == 2048 + 4096 + 4 * (32 + 32 + 128)
    assert only("sram_bytes", report).blame == Blame("small", "weights", 4096 / total_bytes(parts))
    assert only("file_bytes", report).blame == Blame("large", "weights", 16_384 / 20_480)
    assert only("dram_bytes", report).blame == Blame("large", "weights", 16_384 / 20_480)


def test_nobody_is_blamed_for_a_test_error() -> None:
    assert only("test_error", judged({"test_error": 0.1}, chip())).blame is None


# --- knobs -----------------------------------------------------------------------------------------------------------


def test_traffic_is_mended_by_room_for_what_moves() -> None:
    """16 KiB of weights move; with buffers, activations and the small layer it takes 23 KiB to keep them."""
    soc = chip({"sram.capacity_kib": 8})
    before = judged({"energy_pj_per_frame": 1e-9}, soc).results[0].energy_pj_per_frame
    item = only("energy_pj_per_frame", judged({"energy_pj_per_frame": before / 5}, soc))
    assert item.knob is not None
    assert (item.knob.turn, item.knob.mends) == ("sram.capacity_kib: 32", True)
    turned = simulate(TRACE, chip({"sram.capacity_kib": 32}), 1000)
    assert item.knob.found == turned.energy_pj_per_frame  # replayed, not promised
    assert turned.dram_bytes_per_frame == 0


@pytest.mark.parametrize(
    ("limits", "soc", "turn"),
    [
        ({"average_power_watts": 1e-3}, shipped_chip("mobile45", {"idle.dram": "standby"}), "idle.dram: self_refresh"),
        ({"average_power_watts": 8.0e-3}, shipped_chip("mobile45", {}), "sram.cell: low-standby-power"),
        ({"average_power_watts": 1e-3}, chip({"logic.leakage_mw": 9.0}), "idle.logic: power_gate"),
        ({"latency_s": 3e-6}, chip({"sram.capacity_kib": 64}), "array.lanes_out: 2"),
        ({"latency_s": 1e-6}, chip({"dram.bandwidth_bytes_per_s": 1e9}), "sram.capacity_kib: 32"),
        ({"sram_bytes": 4000}, chip({"sram.capacity_kib": 64}), "sram.capacity_kib: 3"),
        (
            {"latency_s": 1.5e-5},  # 20 KiB of weights come every frame
            chip({"idle.sram": "off", "dram.bandwidth_bytes_per_s": 1e9}),
            "dram.bandwidth_bytes_per_s: 2000000000",
        ),
    ],
)
def test_the_knob_is_that_of_who_is_to_blame(limits: dict[str, float], soc: SocSpec, turn: str) -> None:
    (name,) = limits
    knob = only(name, judged(limits, soc)).knob
    assert knob is not None
    assert knob.turn == turn


def test_a_rate_that_no_array_keeps_is_mended_by_a_lower_one() -> None:
    """5120 MACs, one a ns: 195,312 frames a second, of which two digits are kept."""
    item = only("sustainable_fps", judged({"latency_s": 1.0}, chip({"sram.capacity_kib": 64}), fps=1e9))
    assert item.knob == Knob("--fps 190000", pytest.approx(195_312.5), True)


def test_a_knob_that_hardly_helps_is_not_named() -> None:
    knob = only("average_power_watts", judged({"average_power_watts": 1e-3}, chip({"always_on_mw": 900.0}))).knob
    assert knob == Knob("another chip, or a smaller network")


def test_what_a_replay_cannot_tell_is_said_to_be_untried() -> None:
    knob = only("file_bytes", judged({"file_bytes": 100.0}, chip())).knob
    assert knob == Knob("the huffman variant, or a recipe that keeps fewer weights or bits, of large first")
    error = only("test_error", judged({"test_error": 0.1}, chip())).knob
    assert error is not None
    assert "dcsim sensitivity" in error.turn


def test_only_the_variant_that_decides_gets_knobs() -> None:
    limits = Budget.model_validate({"name": "own", "limits": {"file_bytes": 1.0}})
    other = replace(TRACE, variant="huffman")
    report = judge([TRACE, other], chip(), 1000, limits, gate="dense")
    knobs = [[item.knob for item in verdict.checks if not item.ok] for verdict in report.verdicts if verdict]
    assert [bool(found[0]) for found in knobs] == [True, False]


def test_a_run_that_fits_is_not_replayed_again() -> None:
    assert all(item.knob is None for item in judged({"latency_s": 1.0}, chip()).verdict.checks)  # type: ignore[union-attr]


# --- what is printed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (3.0, "W", "3.00 W"),
        (4e9, "pJ", "4.00 mJ"),
        (0.02, "", "2.00 %"),
        (100_000, "bytes", "100 kB"),
        (0.1, "s", "100 ms"),
        (20, "fps", "20.0 fps"),
        (2314.2, "fps", "2,314 fps"),
        (0.042, "fps", "0.0420 fps"),
        (8766, "h", "8,766 h"),
        (39.04, "x", "39.0x"),
    ],
)
def test_a_figure_is_shown_in_a_unit_that_can_be_read(value: float, unit: str, expected: str) -> None:
    assert in_unit(value, unit) == expected


@pytest.mark.parametrize(
    ("found", "limit", "words"),
    [
        (2314.04, 2314.2, "2,314.0 fps, at least 2,314.2 fps"),
        (19.9991, 20, "19.999 fps, at least 20.000 fps"),
        (721, 900, "721 fps, at least 900 fps"),
        (900, 900, "900 fps, at least 900 fps"),
    ],
)
def test_a_figure_and_the_limit_that_it_misses_are_told_apart(found: float, limit: float, words: str) -> None:
    assert finding(weigh("sustainable_fps", found, limit)) == words


@pytest.mark.parametrize(
    ("found", "limit", "words"),
    [
        (1.0, 1.5, "+33.3 %"),
        (2.0, 1.5, "-33.3 %"),
        (1.5, 0.1, "-15x"),
        (1.0001, 1.0, "-0.01 %"),
        (1.0, 1.0, "+0.0 %"),
        (4.2e8, 1.0, "-420,000,000x"),
    ],
)
def test_headroom_far_beyond_a_limit_is_how_many_times(found: float, limit: float, words: str) -> None:
    assert f" {words} " in shown(check_table(own(weigh("latency_s", found, limit))))
    inverse = words.replace("-", "+") if words.endswith("x") else None
    if inverse:
        assert f" {inverse} " in shown(check_table(own(weigh("sustainable_fps", found, limit))))


def own(*checks: Check) -> Verdict:
    return Verdict("own", checks)


OVER = replace(
    weigh("average_power_watts", 4.0, 3.0, 2.0),
    blame=Blame("fc1", "dram", 0.614),
    knob=Knob("sram.capacity_kib: 1024", 2.5, True),
)
WARNED = weigh("battery_hours", 800.0, 720.0, 8766.0)
MISSING = weigh("test_error", None, 0.02, why="the test error was not measured", known=False)


def test_the_table_shows_what_was_expected_and_found_and_who_is_to_blame() -> None:
    rows = shown(check_table(own(OVER, WARNED, MISSING))).splitlines()
    cells = [re.split(r" {2,}", row.strip()) for row in rows[1:]]
    assert cells == [
        ["average_power_watts", "at most 3.00 W, warned above 2.00 W", "4.00 W", "-33.3 %", "over", "fc1, dram: 61 %"],
        ["battery_hours", "at least 720 h, warned below 8,766 h", "800 h", "+11.1 %", "warn", "-"],
        ["test_error", "at most 2.00 %", "-", "-", "missing", "-"],
    ]


def test_a_sentence_says_what_is_wrong_and_what_would_mend_it() -> None:
    assert sentences(own(OVER, WARNED, MISSING, weigh("latency_s", 0.01, 0.1))) == [
        "average_power_watts: over: 4.00 W, at most 3.00 W, warned above 2.00 W. Most of it: fc1, dram: 61 %. "
        "With sram.capacity_kib: 1024 it would be 2.50 W",
        "battery_hours: warning: 800 h, at least 720 h, warned below 8,766 h",
        "test_error: no evidence: the test error was not measured",
    ]


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        (Knob("idle.sram: retain", 3.5, False), "With idle.sram: retain it would be 3.50 W, still over"),
        (Knob("a smaller network"), "Not tried: a smaller network"),
        (Knob("array.n_pes: 8", None, False), "With array.n_pes: 8 it would be no end of queueing, still over"),
    ],
)
def test_a_knob_promises_no_more_than_was_found(knob: Knob, words: str) -> None:
    assert sentence(replace(OVER, knob=knob)).endswith(words)


@pytest.mark.parametrize(
    ("status", "words"),
    [("ok", "fits own"), ("warn", "fits own with a warning"), ("over", "is over own"), ("missing", "lacks evidence")],
)
def test_the_title_is_the_verdict(status: Any, words: str) -> None:
    report = judged({"latency_s": 1.0}, chip())
    verdict = own(*(replace(OVER, status=each) for each in STATUSES[: STATUSES.index(status) + 1]))
    assert words in title(replace(report, verdicts=(verdict,)))


def test_a_synthetic_network_is_called_so_in_its_verdict() -> None:
    report = judged({"latency_s": 1.0}, chip(), replace(TRACE, synthetic=True))
    assert title(report) == "toy, dense (synthetic) on plain at 1000 fps fits own"


def test_evidence_that_is_missing_is_named_with_its_reason() -> None:
    report = reported(OVER, MISSING)
    with pytest.raises(ConfigError, match=r"missing for own: test_error \(the test error was not measured\)$"):
        report.require_evidence()
    reported(OVER).require_evidence()


# --- Markdown --------------------------------------------------------------------------------------------------------


def reported(*checks: Check, **about: Any) -> RunReport:
    return replace(judged({"latency_s": 1.0}, chip()), verdicts=(own(*checks),), budget="own", **about)


def test_markdown_begins_with_the_verdict_and_has_a_row_per_check() -> None:
    lines = markdown(reported(OVER, WARNED)).splitlines()
    assert lines[0] == "### toy, dense on plain at 1000 fps is over own"
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| check | expected | found | headroom |  | most of it |"
    assert table[1] == "| --- | --- | --- | --- | --- | --- |"
    assert len(table) == 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert lines[-2:] == [f"- {sentence(OVER)}", f"- {sentence(WARNED)}"]


def test_markdown_shows_odd_names_as_they_are() -> None:
    odd = replace(OVER, blame=Blame("a|b<i>*c*", "dram", 0.5), knob=None)
    text = markdown(reported(odd))
    assert r"a\|b\<i\>\*c\*, dram: 50 %" in text


def test_markdown_says_which_of_several_variants_decides() -> None:
    budget = Budget.model_validate({"name": "own", "limits": {"file_bytes": 1e6}})
    text = markdown(judge([TRACE, replace(TRACE, variant="huffman")], chip(), 1000, budget))
    assert "**dense**\n" in text
    assert "**huffman** (decides)\n" in text


# --- JUnit -----------------------------------------------------------------------------------------------------------

SUITE = ("name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time")


def suites(report: RunReport) -> list[ET.Element]:
    """The suites, after both schemas: Ant's (windyroad/JUnit-Schema, JUnit.xsd) and Jenkins's (junit-10.xsd)."""
    root = ET.fromstring(junit(report, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)))
    assert (root.tag, root.attrib) == ("testsuites", {})
    for number, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == set(SUITE)
        assert suite.get("id") == str(number)
        assert suite.get("timestamp") == "2026-01-02T03:04:05"
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * int(suite.attrib["tests"]), "system-out", "system-err"]
        assert all(set(item.attrib) == {"name", "value"} for item in suite[0])
        for tag, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert len(suite.findall(f"testcase/{tag}")) == int(suite.attrib[plural])
        for case in suite.findall("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert [child.tag for child in case] in ([], ["failure"], ["error"], ["skipped"])
            assert all(set(child.attrib) == {"message", "type"} for child in case)
    return list(root)


def test_junit_has_a_failure_an_error_and_a_warning_where_they_belong() -> None:
    (suite,) = suites(reported(OVER, WARNED, MISSING, weigh("latency_s", 0.01, 0.1)))
    counts = [suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")]
    assert (suite.attrib["name"], counts) == ("toy.dense", ["4", "1", "1", "0"])
    failure, error = suite.find("testcase/failure"), suite.find("testcase/error")
    assert failure is not None
    assert error is not None
    assert (failure.attrib["type"], failure.text) == ("over budget", sentence(OVER))
    assert (error.attrib["type"], error.attrib["message"]) == ("missing evidence", MISSING.why)
    assert suite.findtext("system-out") == sentence(WARNED)


def test_junit_fails_only_where_the_gate_does() -> None:
    budget = Budget.model_validate({"name": "own", "limits": {"file_bytes": 10_000}})
    small = replace(TRACE, variant="huffman", file_bytes=5000)
    dense, huffman = suites(judge([TRACE, small], chip(), 1000, budget))
    assert [dense.attrib[key] for key in ("failures", "skipped")] == ["0", "1"]
    assert [huffman.attrib[key] for key in ("failures", "skipped")] == ["0", "0"]


# --- baselines -------------------------------------------------------------------------------------------------------


def changed(moved: Sequence[Change]) -> list[list[str]]:
    table = change_table(moved)
    assert table is not None
    return [re.split(r" {2,}", row.strip()) for row in shown(table).splitlines()]


def test_a_baseline_shows_every_figure_that_changed_absolute_and_in_percent() -> None:
    before, now = (judged({"sram_bytes": 1e6}, chip({"sram.capacity_kib": kib})) for kib in (8, 64))
    found = changes(document(before), document(now))
    figures = {change.name: (change.before, change.now) for change in found.variants["dense"]}
    assert figures["dram_bytes_per_frame"] == (16_384, 0)
    assert figures["sram_bytes"] == (before.results[0].peak_sram_bytes, now.results[0].peak_sram_bytes)
    assert figures["energy_dram_pj"] == (4096 * 640, 0)
    rows = changed(found.variants["dense"])
    assert ["dram_bytes_per_frame", "16.4 kB", "0 B", "-16.4 kB", "-100.0 %"] in rows
    assert "file_bytes" in unchanged(found.variants["dense"])
    named = {row[0] for row in rows[1:]} | set(unchanged(found.variants["dense"])[11:].split(", "))
    assert named == set(figures)
    assert "| dram_bytes_per_frame | 16.4 kB | 0 B | -16.4 kB | -100.0 % |" in markdown(now, found)


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        (Change("latency_s", "s", 1e-3, 1.5e-3), ["1.00 ms", "1.50 ms", "+500 µs", "+50.0 %"]),
        (Change("test_error", "", 0.01, 0.0125), ["1.00 %", "1.25 %", "+0.25 points", "+25.0 %"]),
        (Change("latency_s", "s", 1e-3, 0.5), ["1.00 ms", "500 ms", "+499 ms", "+500x"]),
        (Change("latency_s", "s", 1e-3, None), ["1.00 ms", "-", "-", "-"]),
        (Change("sram_bytes", "bytes", None, 10), ["-", "10.0 B", "-", "-"]),
        (Change("deadline_misses", "", 0.0, 0.5), ["0.00 %", "50.00 %", "+50.00 points", "-"]),
    ],
)
def test_a_change_is_shown_absolute_and_in_percent(change: Change, cells: list[str]) -> None:
    assert changed([change])[1:] == [[change.name, *cells]]


def test_a_baseline_under_other_conditions_is_said_to_be() -> None:
    before, now = judged({"latency_s": 1.0}, chip(), fps=10), judged({"latency_s": 1.0}, chip(), fps=20)
    assert changes(document(before), document(now)).conditions == ("fps 10, now 20",)


def test_a_variant_that_the_baseline_does_not_have_has_no_changes() -> None:
    now = judged({"latency_s": 1.0}, chip(), replace(TRACE, variant="huffman"))
    found = changes(document(judged({"latency_s": 1.0}, chip())), document(now))
    assert found == Changes(("it has no huffman, so nothing to compare with",), {})
    assert "Baseline: it has no huffman" in markdown(now, found)


def test_a_baseline_of_another_network_is_refused() -> None:
    other = judged({"latency_s": 1.0}, chip(), replace(TRACE, network="other"))
    with pytest.raises(ConfigError, match="the baseline is of other, these traces are of toy"):
        changes(document(other), document(judged({"latency_s": 1.0}, chip())))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot read the baseline"),
        ("[]", "not a document"),
        ('{"schema": 3}', "not a document"),
        ('{"schema": 2, "network": "toy", "variants": []}', "schema 2, this dcsim compares with 3"),
        ('{"network": "toy", "variants": []}', "schema None"),
        ('{"network": "toy", "fps": NaN}', "NaN is no number"),
    ],
)
def test_a_baseline_that_is_none_is_refused(content: str, words: str, tmp_path: Any) -> None:
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_document(tmp_path / "old.json")
    with pytest.raises(ConfigError, match="No such file"):
        read_document(tmp_path / "none.json")


@pytest.mark.parametrize("variant", [{}, "dense", {"variant": "dense"}])
def test_a_baseline_with_holes_is_refused(variant: Any) -> None:
    now = document(judged({"latency_s": 1.0}, chip()))
    with pytest.raises(ConfigError, match="not as `dcsim check --json` wrote it"):
        changes({**now, "variants": [variant]}, now)


def test_a_baseline_with_a_word_for_a_number_is_refused() -> None:
    now = document(judged({"latency_s": 1.0}, chip()))
    with pytest.raises(ConfigError, match="volts: expected a number or null, found 'high'"):
        changes({**now, "variants": [{**now["variants"][0], "volts": "high"}]}, now)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"fps": "x"}, "fps: expected a number, found 'x'"),
        ({"fps": True}, "fps: expected a number, found True"),
        ({"soc": None}, "soc: expected text, found None"),
        ({"budget": 3}, "budget: expected text or null, found 3"),
        ({"variants": [{"variant": 5}]}, "variant: expected text, found 5"),
    ],
)
def test_a_baseline_with_fields_of_another_kind_is_refused(changed: dict[str, Any], words: str) -> None:
    now = document(judged({"latency_s": 1.0}, chip()))
    with pytest.raises(ConfigError, match=f"not as `dcsim check --json` wrote it: {words}"):
        changes(now | changed, now)
    without = {key: value for key, value in now.items() if key != "fps"}
    with pytest.raises(ConfigError, match="fps: expected a number, found nothing"):
        changes(without, now)


@pytest.mark.parametrize("part", [{"energy_pj_by_component": {"dram": "x"}}, {"checks": [5]}, {"checks": {}}])
def test_a_baseline_with_parts_of_another_kind_is_refused(part: dict[str, Any]) -> None:
    now = document(judged({"latency_s": 1.0}, chip()))
    with pytest.raises(ConfigError, match=r"not as `dcsim check --json` wrote it: .*expected"):
        changes({**now, "variants": [now["variants"][0] | part]}, now)


def test_what_json_wrote_is_a_baseline(tmp_path: Any) -> None:
    content = document(judged({"latency_s": 1e-9}, chip()))
    (tmp_path / "old.json").write_text(to_json(content))
    found = changes(read_document(tmp_path / "old.json"), content)
    assert change_table(found.variants["dense"]) is None


def test_check_without_trace_and_chip_still_blames_energy_and_time() -> None:
    verdict = check(simulate(TRACE, chip(), 1000), "phone")
    assert [item.blame is not None for item in verdict.checks] == [True, True, True]
