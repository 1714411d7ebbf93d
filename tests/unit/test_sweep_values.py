"""Is a value that no chip can have refused before a sweep runs, and one that others forbid left to be a row with its error?"""

import json
from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import ConfigError
from dcsim.explore.plan import Plan, make_plan
from dcsim.explore.sweep_spec import SweepSpec
from tests.builders import linear, network

OUT = Path("out")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network(linear("fc", 32, 32)).save("net.parquet")


def plan(*axes: dict[str, Any]) -> Plan:
    about = {"name": "own", "traces": ["net.parquet"], "soc": "mobile45", "fps": 20, "axes": axes}
    return make_plan(SweepSpec.model_validate_json(json.dumps(about)), OUT)


def refusal(*axes: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan(*axes)
    assert not OUT.exists()
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("path", "values", "why"),
    [
        ("idle.sram", ["on", "of"], "expected 'on', 'retain' or 'off', found the text 'of'; did you mean off?"),
        ("idle.sram", ["on", 1], "expected 'on', 'retain' or 'off', found 1; known: on, retain, off"),
        ("clock_hz", [1e8, "abc"], "expected a valid integer, found the text 'abc'"),
        ("clock_hz", [-1e8], "expected greater than 0, found -100000000"),
        ("clock_hz", [True, 100_000_000], "expected a valid integer, found true"),
        ("volts", [0.9, True], "expected a valid number, found true"),
        ("array.lanes_out", [4, 0], "expected greater than 0, found 0"),
        ("operating_points.0.volts", [0.6, -0.6], "expected greater than 0, found -0.6"),
        ("sram.access_width_bits", [32, 33, 64], "expected 32, 64 or 128, found 33"),
        ("sram.kind", ["cacti", "cacti45"], "expected 'constant', 'cacti45', found the text 'cacti'; did you mean ca"),
        (
            "operating_point",
            ["autom"],
            "expected 'nominal' or 'auto', found the text 'autom'; did you mean auto?; or expected a valid integer",
        ),
    ],
)
def test_a_value_that_no_chip_can_have_is_refused_with_what_was_expected(
    path: str, values: list[Any], why: str
) -> None:
    (line,) = refusal({"path": path, "values": values})
    assert line.startswith(f"sweep own: {path}: {why}")


def test_of_a_range_the_ends_tell() -> None:
    (line,) = refusal({"path": "always_on_mw", "range": {"start": 5, "stop": -5, "n": 1_000_000}})
    assert line == "sweep own: always_on_mw: expected greater than or equal to 0, found -5.0"


def test_all_such_values_are_told_at_once() -> None:
    zipped = {"zip": [{"path": "idle.dram", "values": ["off", "standby"]}, {"path": "volts", "values": [0, 1]}]}
    lines = refusal({"path": "clock_hz", "values": [0, -1]}, zipped)
    assert [line.split(": ")[1] for line in lines] == ["clock_hz", "clock_hz", "idle.dram", "volts"]


def test_a_value_that_one_chip_of_several_can_have_is_no_slip() -> None:
    """The SRAM of paper45 is of any width, that of mobile45 has three."""
    width = {"path": "sram.access_width_bits", "values": [256]}
    assert refusal({"path": "soc", "values": ["mobile45"]}, width)
    assert plan({"path": "soc", "values": ["mobile45", "paper45"]}, width).grid.n_points == 2


@pytest.mark.parametrize(
    ("path", "value"), [("idle.sram", "retain"), ("operating_point", 7), ("sram.capacity_kib", 4), ("fps", 1e9)]
)
def test_a_value_that_other_numbers_of_the_chip_forbid_is_left_to_be_a_row(path: str, value: Any) -> None:
    assert plan({"path": path, "values": [value]}).grid.n_points == 1
