"""Do the notebooks run from top to bottom, give what is committed, and say in words what they give in figures?"""

import re
from collections.abc import Iterator
from functools import cache
from html import unescape

import nbformat
import pytest
from nbclient import NotebookClient

from dcsim.validation.comparison import reference_rows
from dcsim.zoo import find_network
from tests.conftest import ROOT

NAMES = (
    "01_energy_breakdown",
    "02_deep_compression_step_by_step",
    "03_what_if_sweep",
    "04_power_envelope",
    "05_validation",
    "06_speedup_on_this_machine",
)
#: each notebook ends in a table with these columns, among others
LAST_COLUMNS = ("estimate", "published", "measured", "ratio")
#: a result that the prose quotes is printed bold: **9.79x**, **38.7 %**, **2.42 W**, **1,234**
QUOTED = re.compile(r"\*\*(?P<figure>\d[\d,]*(?:\.\d+)?)[^*\n]{0,12}\*\*")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
#: units with prefixes, per cent
POWERS_OF_TEN = (*range(-12, 13, 3), -2, 2)
NEAR_CELLS = 3  # code cells before and after a paragraph in which its figures are looked for

every_notebook = pytest.mark.parametrize("name", NAMES)


@cache
def committed(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def test_all_notebooks_are_there_and_no_others() -> None:
    assert tuple(sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))) == NAMES


@pytest.mark.filterwarnings("default")  # jupyter's own
@every_notebook
def test_notebook_runs_and_gives_what_is_committed(name: str) -> None:
    client = NotebookClient(nbformat.from_dict(committed(name)), timeout=240, resources={"metadata": {"path": ROOT}})
    executed = client.execute()
    for old, new in zip(committed(name).cells, executed.cells, strict=True):
        if old.cell_type == "code":
            assert tables(new) == tables(old), old.source
            assert pictures(new) == pictures(old), old.source
            assert not any(output.get("name") == "stderr" for output in new.outputs), new.outputs


@every_notebook
def test_the_last_cell_is_a_table_of_estimate_published_measured_and_ratio(name: str) -> None:
    last = committed(name).cells[-1]
    assert last.cell_type == "code"
    columns = re.findall(r"[a-z]+", " ".join(tables(last)) + " ".join(printed(last)))
    assert set(LAST_COLUMNS) <= set(columns)


@every_notebook
def test_figures_that_the_prose_quotes_are_in_the_tables_beside_it(name: str) -> None:
    cells = committed(name).cells
    for place, cell in enumerate(cells):
        if cell.cell_type != "markdown":
            continue
        figures = [figure for near in around(cells, place) for figure in figures_of(near)]
        for quoted in QUOTED.finditer(cell.source):
            assert is_among(quoted["figure"], figures), f"{quoted[0]} of: {cell.source}"


@every_notebook
def test_nothing_of_the_machine_that_ran_it_is_kept(name: str) -> None:
    notebook = committed(name)
    assert not any(cell.metadata for cell in notebook.cells)  # where time stamps would be
    shown = [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shown += [*tables(cell), *printed(cell), *(output.data["text/plain"] for output in with_data(cell))]
    assert not re.search(r"/(home|root|tmp|work|Users|usr|var)/", "\n".join(shown))


def test_what_two_tables_of_published_figures_say_is_the_same() -> None:
    tegra = {row["layer"]: row for row in reference_rows("tegra_k1.csv")}
    timed = [
        row for row in reference_rows("fc_layers_timed.csv") if (row["processor"], row["batch"]) == ("mobile GPU", "1")
    ]
    assert {row["layer"] for row in timed} == tegra.keys()
    for row in timed:
        columns = ("dense_us", "pruned_us", "dense_watts", "pruned_watts")
        assert [row[column] for column in columns] == [tegra[row["layer"]][column] for column in columns]
    totals = {row["network"]: row for row in reference_rows("deep_compression_lenets.csv") if row["layer"] == "Total"}
    for network, row in totals.items():
        spec = find_network(network).spec
        assert spec is not None
        assert round(100 / float(row["rate_pqh_pct"])) == spec.published_ratio


def test_a_quoted_figure_is_found_as_it_is_rounded_and_not_otherwise() -> None:
    assert is_among("9.79", [9.791])
    assert is_among("38.7", [0.38672])  # per cent
    assert is_among("2.42", [2417.018])  # milliwatts
    assert is_among("1,234", [1234.4])
    assert not is_among("9.78", [9.791])
    assert not is_among("2.4170", [2.41702e-5])


def with_data(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """What a cell shows, without what it prints."""
    return [output for output in cell.outputs if "data" in output]


def tables(cell: nbformat.NotebookNode) -> list[str]:
    """The tables that a cell shows."""
    return [output.data["text/html"] for output in with_data(cell) if "text/html" in output.data]


def pictures(cell: nbformat.NotebookNode) -> int:
    """How many pictures a cell shows."""
    return sum("image/png" in output.data for output in with_data(cell))


def printed(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell prints."""
    return [output.text for output in cell.outputs if output.output_type == "stream"]


def around(cells: list[nbformat.NotebookNode], place: int) -> Iterator[nbformat.NotebookNode]:
    """The code cells next to a paragraph."""
    code = [index for index, cell in enumerate(cells) if cell.cell_type == "code"]
    before = [index for index in code if index < place][-NEAR_CELLS:]
    after = [index for index in code if index > place][:NEAR_CELLS]
    return (cells[index] for index in before + after)


def figures_of(cell: nbformat.NotebookNode) -> list[float]:
    """All numbers in the tables of a cell, without their signs. What it prints may differ from run to run, so nobody can quote it."""
    text = unescape(re.sub(r"<[^>]*>", " ", " ".join(tables(cell))))
    return [abs(float(number.replace(",", ""))) for number in NUMBER.findall(text)]


def is_among(quoted: str, figures: list[float]) -> bool:
    """Whether a figure, in units with some prefix, is one of these rounded to as many digits."""
    quoted = quoted.replace(",", "")
    value, half_a_digit = float(quoted), 0.5 * 10.0 ** -len(quoted.partition(".")[2])
    return any(
        abs(figure * 10.0**power - value) <= half_a_digit * (1 + 1e-9) for figure in figures for power in POWERS_OF_TEN
    )
