"""Is a figure within its tolerance exactly when it should be, and is it shown as it is?"""

import math

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dcsim.cli.app import app
from dcsim.cli.validate import TableName
from dcsim.report.validation import print_validation, summary_line, validation_document
from dcsim.validation import seed
from dcsim.validation.comparison import Bound, Comparison, mean_error, n_within, of, reference_rows
from dcsim.validation.registry import TABLES


def compared(
    reference: float, found: float, tolerance: float | None, bound: Bound = "within", unit: str = "s", why: str = ""
) -> Comparison:
    return Comparison("a table", "a layer", "time", unit, reference, found, tolerance, why, bound)


@pytest.mark.parametrize(
    ("reference", "found", "error"), [(4.0, 5.0, 0.25), (4.0, 3.0, -0.25), (12.8, 12.8, 0.0), (-2.0, -3.0, 0.5)]
)
def test_an_error_is_relative_to_the_reference(reference: float, found: float, error: float) -> None:
    assert compared(reference, found, None).error == error


@pytest.mark.parametrize(
    ("found", "tolerance", "bound", "ok"),
    [
        (5.0, 0.25, "within", True),
        (3.0, 0.25, "within", True),
        (5.01, 0.25, "within", False),
        (2.99, 0.25, "within", False),
        (4.0, 0.0, "within", True),
        (math.nextafter(4.0, 5), 0.0, "within", False),
        (0.1, 0.0, "at_most", True),
        (4.0, 0.0, "at_most", True),
        (4.1, 0.0, "at_most", False),
        (4.1, 0.1, "at_most", True),
        (9.9, 0.0, "at_least", True),
        (4.0, 0.0, "at_least", True),
        (3.9, 0.0, "at_least", False),
        (3.9, 0.1, "at_least", True),
        (math.nan, 0.5, "within", False),
        (math.nan, 0.5, "at_most", False),
        (math.nan, 0.5, "at_least", False),
        (400.0, None, "within", True),
    ],
)
def test_a_row_is_within_its_tolerance_or_not(found: float, tolerance: float | None, bound: Bound, ok: bool) -> None:
    row = compared(4.0, found, tolerance, bound)
    assert row.ok == ok
    assert row.decides == (tolerance is not None)


ROWS = (compared(10, 11, 0.2), compared(10, 9.5, 0.2), compared(10, 7, None, why="an outlier"))


@pytest.mark.parametrize(("largest", "ok"), [(0.1501, True), (0.1499, False)])
def test_a_mean_of_errors_has_no_signs(largest: float, ok: bool) -> None:
    row = mean_error(ROWS, largest)
    assert row.found == pytest.approx((0.1 + 0.05 + 0.3) / 3)
    assert (row.name, row.quantity, row.unit, row.reference) == ("all 3", "time: mean error", "", largest)
    assert row.ok == (row.found <= largest) == ok


@pytest.mark.parametrize(("least", "ok"), [(1, True), (2, True), (3, False)])
def test_rows_within_a_tolerance_are_counted_whether_they_decide_or_not(least: int, ok: bool) -> None:
    row = n_within(ROWS, 0.12, least)
    assert (row.name, row.quantity, row.reference, row.found) == ("of 3", "time: within 12 %", least, 2)
    assert row.ok == ok


def test_rows_of_a_quantity() -> None:
    assert of(ROWS, "time") == ROWS
    assert of(ROWS, "power") == ()


@pytest.mark.parametrize(
    "file_name", ["eie_layers.csv", "deep_compression_tables.csv", "drampower4_frames_1mb_50ms.csv", "layer_shapes.csv"]
)
def test_references_are_read_by_column_without_their_provenance(file_name: str) -> None:
    rows = reference_rows(file_name)
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)
    assert not any(value.startswith("#") for row in rows for value in row.values())


def shown(*rows: Comparison) -> list[str]:
    """The lines of the tables below heading and column names."""
    console = Console(width=200)
    with console.capture() as capture:
        print_validation(console, rows)
    return [" ".join(line.split()) for line in capture.get().rstrip().splitlines()[2:]]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (compared(30.3e-6, 28.595e-6, 0.1), "a layer time 30.3 µs 28.6 µs -5.63 % 10 % ok"),
        (compared(30.3e-6, 20e-6, 0.1), "a layer time 30.3 µs 20.0 µs -33.99 % 10 % beyond"),
        (compared(30.3e-6, 20e-6, None, why="rounded"), "a layer time 30.3 µs 20.0 µs -33.99 % - rounded"),
        (compared(12.8, 12.8, 0.0, unit="W"), "a layer time 12.8 W 12.8 W +0.00 % exact ok"),
        (compared(1e6, 1e6 - 1, 0.05, unit="cycles"), "a layer time 1,000,000 999,999 +0.00 % 5 % ok"),
        (compared(7, 7, 0.0, "at_least", unit="count"), "a layer time 7 7 +0.00 % at least ok"),
        (compared(0.0158, 0.0098, 0.0, "at_most", unit=""), "a layer time 1.58 % 0.98 % -37.97 % at most ok"),
        (compared(40, 47.33, 0.05, "at_least", unit="x"), "a layer time 40.0x 47.3x +18.32 % at least, 5 % ok"),
        (compared(0.9, 0.9, 0.0, unit="pJ"), "a layer time 0.9 pJ 0.9 pJ +0.00 % exact ok"),
        (compared(2.861914e9, 2.8636563e9, 0.01, unit="pJ"), "a layer time 2.86 mJ 2.86 mJ +0.06 % 1 % ok"),
    ],
)
def test_a_row_is_shown_in_units_that_people_read(row: Comparison, line: str) -> None:
    assert shown(row) == [line]


def test_a_narrow_terminal_gets_reasons_below_the_table() -> None:
    row = compared(10, 7, None, why="an outlier that is far away from everything else")
    console = Console(width=80)
    with console.capture() as capture:
        print_validation(console, [row])
    lines = capture.get().rstrip().splitlines()
    assert " ".join(lines[2].split()) == "a layer time 10.0 s 7.00 s -30.00 % -"
    assert lines[3] == "a layer, time: an outlier that is far away from everything else"


def test_the_document_has_all_rows_by_their_heading() -> None:
    other = Comparison("another", "x", "power", "W", 1.0, 2.0, 0.1)
    document = validation_document([*ROWS, other])
    assert (document["schema"], document["ok"]) == (1, False)
    assert [(table["table"], table["ok"], len(table["rows"])) for table in document["tables"]] == [
        ("a table", True, 3),
        ("another", False, 1),
    ]
    assert document["tables"][1]["rows"] == [
        {
            "name": "x",
            "quantity": "power",
            "unit": "W",
            "reference": 1.0,
            "found": 2.0,
            "tolerance": 0.1,
            "why": "",
            "bound": "within",
            "error": 1.0,
            "decides": True,
            "ok": False,
        }
    ]


def test_the_last_line_names_what_is_beyond_its_tolerance() -> None:
    assert summary_line(ROWS) == "3 figures, 2 of them with a tolerance, all within it"
    beyond = compared(1, 3, 0.1)
    assert summary_line([*ROWS, beyond]) == "4 figures, 3 of them with a tolerance, 1 beyond it: a layer, time"


def test_the_command_line_knows_every_table() -> None:
    assert [name.value for name in TableName] == list(TABLES)


@pytest.mark.parametrize(("reference_watts", "code", "verdict"), [(12.8, 0, "ok"), (12.9, 1, "beyond")])
def test_a_row_beyond_its_tolerance_makes_exit_code_1(
    reference_watts: float, code: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "DRAM_WATTS", reference_watts)
    done = CliRunner().invoke(app, ["validate", "seed"])
    assert done.exit_code == code, done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("one-billion")]
    assert line.split()[-1] == verdict
