"""Do the notebooks run from top to bottom, and are they committed with their output?"""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("default")  # jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_gives_what_is_committed(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    executed = NotebookClient(
        nbformat.from_dict(committed), timeout=240, resources={"metadata": {"path": ROOT}}
    ).execute()
    for old, new in zip(committed.cells, executed.cells, strict=True):
        if old.cell_type == "code":
            assert texts(new) == texts(old), old.source


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """The tables and printed lines of a cell, without pictures."""
    return [output.data.get("text/html", "") for output in cell.outputs if "data" in output]
