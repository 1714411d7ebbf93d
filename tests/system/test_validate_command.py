"""Does `dcsim validate` show a user what to trust, and say so by its exit code?"""

import json
from pathlib import Path

import pytest

from tests.conftest import Dcsim
from tests.system.test_startup import loaded_by


def test_all_tables_are_within_their_tolerances(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("validate", "--json", "all.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "beyond" not in done.stdout
    document = json.loads((tmp_path / "all.json").read_text())
    assert (document["schema"], document["ok"]) == (1, True)
    headings = [table["table"].split(",")[0].split(":")[0] for table in document["tables"]]
    assert set(headings) >= {"DRAMsim3", "DRAMPower 4.0 and DRAMsim3", "EIE", "Tegra K1", "Deep Compression", "45 nm"}
    rows = [row for table in document["tables"] for row in table["rows"]]
    assert all(table["table"] in done.stdout for table in document["tables"])
    assert done.stdout.splitlines()[-1].startswith(f"{len(rows)} figures, ")
    for row in rows:
        assert row["error"] == row["found"] / row["reference"] - 1
        assert row["decides"] or row["why"], row  # whatever does not decide says why


def test_one_table_is_a_matter_of_seconds_and_needs_little(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("validate", "seed")
    assert done.returncode == 0, done.stderr
    assert "12.8 W" in done.stdout
    assert "SCALE-Sim" in done.stdout
    assert "EIE" not in done.stdout
    assert not loaded_by("validate", "seed", folder=tmp_path) & {"torch", "pandas", "matplotlib", "numba"}


def test_json_on_stdout_is_alone_there(dcsim: Dcsim) -> None:
    done = dcsim("validate", "seed", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"schema", "dcsim_version", "ok", "tables"}


@pytest.mark.parametrize(("arguments", "said"), [(("drum",), "drum"), (("seed", "--json", "."), "it is a folder")])
def test_bad_input_is_exit_code_2(dcsim: Dcsim, arguments: tuple[str, ...], said: str) -> None:
    done = dcsim("validate", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"torch", "pandas", "matplotlib", "numba", "numpy"}
    assert not loaded_by("validate", "--help", folder=tmp_path) & heavy
