"""Do documents, tables and pictures show the figures of the run, and nothing that can be misread?"""

import csv
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from dcsim.artifact import VARIANTS
from dcsim.explore.budget import Budget, check
from dcsim.report.checks import check_table
from dcsim.report.chips import derived_table, soc_table
from dcsim.report.document import document, to_json, write_ledger
from dcsim.report.tables import number, percent, quantity, resource_table, run_table
from dcsim.run import RunReport, judge
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import COMPONENTS
from dcsim.soc.spec import load_soc
from dcsim.traces.synthetic import synthesize
from tests.builders import table_network

NETWORK = table_network({"n_inputs": 784, "n_outputs": 300}, {"n_inputs": 300, "n_outputs": 10}, name="toy")
TRACES = tuple(synthesize(NETWORK, variant) for variant in VARIANTS)
BUDGET = Budget.model_validate({"name": "own", "limits": {"file_bytes": 100_000, "energy_pj_per_frame": 4e9}})
PLAIN = judge(TRACES, "mobile45", 20, None)
JUDGED = judge(TRACES, "mobile45", 20, BUDGET)

RUN_KEYS = {*("schema", "dcsim_version", "network", "soc", "fps", "budget", "gate", "status", "synthetic", "variants")}
VARIANT_KEYS = {
    *("variant", "file_bytes", "file_sha256", "compression_ratio", "test_error", "dram_bytes_per_frame"),
    *("energy_pj_per_frame", "energy_pj_by_component", "average_power_watts", "sustainable_fps"),
    *("latency_s", "latency_p95_s", "latency_p99_s", "deadline_misses", "cold_latency_s", "clock_hz", "volts"),
    *("fits", "checks"),
}
CHECK_KEYS = {*("name", "unit", "limit", "warning", "found", "headroom", "status", "ok", "why", "blame", "knob")}


def shown(content: RenderableType, width: int = 200) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(content)
    return stream.getvalue()


def shown_run(report: RunReport, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    return shown(run_table(report, console), width)


# --- quantities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0128, "W", "12.8 mW"),
        (12.8, "W", "12.8 W"),
        (1.234e-6, "s", "1.23 µs"),
        (1e-9, "J", "1.00 nJ"),
        (45_000, "B", "45.0 kB"),
        (1, "B", "1.00 B"),
        (640, "W", "640 W"),
        (4e12, "B", "4000 GB"),  # never a power of ten
        (0, "J", "0 J"),
        (-0.5, "W", "-500 mW"),
        (999.4, "W", "999 W"),
        (1000, "W", "1.00 kW"),
        (1e-13, "J", "100 fJ"),
    ],
)
def test_a_quantity_has_three_digits_and_the_prefix_that_suits_it(value: float, unit: str, expected: str) -> None:
    assert quantity(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(9.996, "10.0 W"), (99.96, "100 W"), (999.96, "1.00 kW"), (0.99996, "1.00 W"), (999_700, "1.00 MW")],
)
def test_a_quantity_that_rounds_up_past_a_boundary_keeps_three_digits(value: float, expected: str) -> None:
    assert quantity(value, "W") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (math.inf, "inf"),
        (0.042, "0.0420"),
        (9.996, "10.0"),
        (51.23, "51.2"),
        (2314.2, "2,314"),
        (1e6, "1,000,000"),
    ],
)
def test_a_rate_keeps_its_whole_digits_and_three_that_matter(value: float, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("ratio", "digits", "expected"), [(0.0158, 2, "1.58 %"), (1.0, 1, "100.0 %"), (0.0, 2, "0.00 %"), (None, 2, "-")]
)
def test_percent(ratio: float | None, digits: int, expected: str) -> None:
    assert percent(ratio, digits) == expected


# --- documents -----------------------------------------------------------------------------------------------------


def test_the_document_has_exactly_the_keys_of_its_schema() -> None:
    content = document(JUDGED)
    assert content["schema"] == 3
    assert content.keys() == RUN_KEYS
    for variant in content["variants"]:
        assert variant.keys() == VARIANT_KEYS
        assert tuple(variant["energy_pj_by_component"]) == COMPONENTS
        assert [item.keys() for item in variant["checks"]] == [CHECK_KEYS] * 3  # two limits and the frame rate


def test_the_document_says_what_was_run() -> None:
    content = document(JUDGED)
    assert [content[key] for key in ("network", "soc", "fps", "budget", "synthetic")] == [
        *("toy", "mobile45", 20, "own", True)
    ]
    assert [variant["variant"] for variant in content["variants"]] == list(VARIANTS)


def test_the_document_repeats_the_figures_of_the_results() -> None:
    for variant, result in zip(document(PLAIN)["variants"], PLAIN.results, strict=True):
        for key in VARIANT_KEYS - {"fits", "checks"}:
            assert variant[key] == getattr(result, key)


def test_without_a_budget_there_is_no_verdict() -> None:
    content = document(PLAIN)
    assert (content["budget"], content["status"]) == (None, None)
    assert [(variant["fits"], variant["checks"]) for variant in content["variants"]] == [(None, [])] * 4


def test_verdicts_are_those_of_the_budget() -> None:
    # the limit is 100000 bytes: 238200 weights are 952800; of a tenth of them, with fillers 29236 entries, pruned ones
    # are 4.5 bytes each, 131562, and coded ones 9 bits, 32891
    content = document(JUDGED)
    assert [variant["fits"] for variant in content["variants"]] == [False, False, True, True]
    assert (content["gate"], content["status"]) == ("huffman", "ok")
    (over,) = (item for item in content["variants"][0]["checks"] if not item["ok"])
    assert (over["name"], over["status"]) == ("file_bytes", "over")
    assert over["blame"] == {"layer": "fc0", "component": "weights", "share": pytest.approx(235_200 / 238_200)}


def test_a_document_is_json_and_comes_back_equal() -> None:
    assert json.loads(to_json(document(JUDGED))) == document(JUDGED)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"latency_s": value})


def test_the_ledger_as_csv_adds_up_to_the_energy_of_the_frame(tmp_path: Path) -> None:
    result = PLAIN.results[-1]
    write_ledger(result, tmp_path / "ledger.csv")
    with (tmp_path / "ledger.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["layer"] for row in rows] == [row.layer for row in result.ledger]
    assert sum(float(row["energy_pj"]) for row in rows) == pytest.approx(result.energy_pj_per_frame, rel=1e-12)
    assert all(int(row["count"]) * float(row["pj_each"]) == float(row["energy_pj"]) for row in rows)


def test_a_report_as_a_frame_has_a_row_per_variant() -> None:
    frame = JUDGED.frame()
    assert list(frame["variant"]) == list(VARIANTS)
    assert list(frame["fits"]) == [False, False, True, True]
    assert frame["energy_pj_per_frame"].tolist() == [result.energy_pj_per_frame for result in JUDGED.results]


# --- tables --------------------------------------------------------------------------------------------------------


def test_the_run_table_has_a_row_per_variant_with_its_power_and_verdict() -> None:
    lines = shown_run(JUDGED).splitlines()
    assert "toy on mobile45 at 20 fps" in lines[0]
    assert "synthetic" in lines[0]
    for result, line in zip(JUDGED.results, lines[-4:], strict=True):
        assert line.startswith(result.variant)
        assert quantity(result.average_power_watts, "W") in line
    assert ["yes" in line for line in lines[-4:]] == [False, False, True, True]


def test_measured_networks_are_not_called_synthetic() -> None:
    assert "synthetic" not in shown_run(replace(PLAIN, synthetic=False))


@pytest.mark.parametrize("width", [80, 110, 200])
def test_the_run_table_never_wraps_or_cuts(width: int) -> None:
    content = shown_run(PLAIN, width)
    assert len(content.splitlines()) <= 1 + 1 + 4 + 1  # title (in a narrow terminal on two lines), headings, four rows
    assert "…" not in content
    assert all(column in content for column in ("ratio", "energy", "power"))


def test_a_frame_rate_that_cannot_be_kept_is_flagged_without_a_budget() -> None:
    assert "too slow" in shown_run(judge(TRACES[:1], "mobile45", 1e6, None))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"energy_pj_per_frame": 4e9}, "4.00 mJ"),
        ({"test_error": 0.02}, "2.00 %"),
        ({"file_bytes": 100_000}, "100 kB"),
        ({"average_power_watts": 3.0}, "3.00 W"),
        ({"latency_s": 0.1}, "100 ms"),
    ],
)
def test_the_check_table_shows_a_limit_in_a_unit_that_can_be_read(limits: dict[str, Any], expected: str) -> None:
    result = replace(PLAIN.results[-1], test_error=0.0158)
    row = shown(check_table(check(result, Budget.model_validate({"name": "own", "limits": limits})))).splitlines()[1]
    assert expected in row


def test_the_check_table_says_what_is_over() -> None:
    lines = shown(check_table(check(PLAIN.results[0], BUDGET))).splitlines()
    words = [word for line in lines[1:] for word in line.split() if word in ("ok", "over")]
    assert words == ["ok", "over", "ok"]  # energy, file, frame rate


@pytest.mark.parametrize(
    ("limits", "test_error", "words"),
    [
        ({"test_error": 0.02}, None, "no, no evidence of error"),
        ({"test_error": 0.02}, 0.01, "yes, 50 % of error"),
        ({"test_error": 0.001}, 0.01, "no, 10x error"),
        ({"test_error": 0.0}, 0.01, "no, error"),  # there is no share of nothing
        ({"accuracy_loss": 0.02}, 0.01, "no, no evidence of accuracy"),
    ],
)
def test_the_run_table_says_which_limit_is_used_most(limits: dict[str, float], test_error: Any, words: str) -> None:
    result = replace(PLAIN.results[-1], test_error=test_error)
    verdict = check(result, Budget.model_validate({"name": "own", "limits": limits}))
    assert words in shown_run(replace(PLAIN, results=(result,), verdicts=(verdict,), budget="own"))


def test_the_resource_table_names_every_resource() -> None:
    content = shown(resource_table(simulate(TRACES[0], "mobile45", 20)))
    assert all(name in content for name in ("dram", "sram", "decoder", "array", "busy", "idle"))


def test_what_follows_from_a_chip_is_worked_out() -> None:
    # CACTI's 512 KiB of mobile45 take 2.577 ns: one cycle at 350 MHz, two at 400
    soc = load_soc("mobile45")
    told = shown(derived_table(soc))
    assert "2.577 ns    takes 1 cycle of 2.857 ns" in told
    assert "6.40 GB/s" in told  # 32 bytes in four cycles of 1.25 ns
    assert "5.60 GMAC/s" in told  # 16 a cycle
    assert "1.18 nJ" in told  # 1.2 V x (233 - 37) mA x 5 ns
    faster = shown(derived_table(soc.model_copy(update={"clock_hz": 400_000_000})))
    assert "takes 2 cycles of 2.500 ns; up to 388 MHz it would be one" in faster
    assert "any number at once" in shown(derived_table(load_soc("paper45")))
    assert "DRAM" not in shown(derived_table(load_soc("mcu")))


def test_the_soc_table_gives_every_number_with_its_source() -> None:
    content = shown(soc_table(load_soc("mobile45")), width=400)
    for path in load_soc("mobile45").leaves():
        if path not in ("name", "description"):
            assert path in content
    assert re.search(r"^dram.n_outstanding +null", content, re.MULTILINE)
    assert "None" not in content
    assert "Horowitz" in content
