"""Does a run's folder give back what was run, and is every other folder refused with a reason?"""

import json
from pathlib import Path

import pytest

from dcsim.config import load_spec
from dcsim.errors import RunFolderError
from dcsim.report.run_folder import as_yaml, load_run, write_run
from dcsim.run import RunReport, judge, run
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import FixedPlacement, SocSpec, load_soc
from dcsim.traces.trace import Trace
from dcsim.zoo import find_network


@pytest.fixture(scope="module")
def report() -> RunReport:
    return run("lenet-300-100", soc="mobile45", fps=20, budget="phone")


@pytest.fixture
def folder(report: RunReport, tmp_path: Path) -> Path:
    write_run(report, tmp_path / "run")
    return tmp_path / "run"


def test_a_folder_gives_back_results_verdicts_chip_and_budget(report: RunReport, folder: Path) -> None:
    loaded = load_run(folder)
    assert tuple(stored.result for stored in loaded.run.variants) == report.results
    assert tuple(stored.verdict for stored in loaded.run.variants) == report.verdicts
    assert (loaded.soc, loaded.budget) == (report.inputs.soc, report.inputs.budget)
    assert loaded.gated.result.variant == "huffman"


def test_the_folder_is_enough_to_simulate_again(report: RunReport, folder: Path) -> None:
    again = simulate(Trace.load(folder / "huffman.parquet"), str(folder / "soc.yaml"), 20)
    assert again == report.results[-1]


def test_slices_of_a_frame_add_up_to_what_resources_worked(folder: Path) -> None:
    for stored in load_run(folder).run.variants:
        assert stored.frame
        assert len(stored.frame.slices) < 1000
        for use in stored.result.resources:
            mine = [piece for piece in stored.frame.slices if piece.resource == use.resource]
            assert sum(piece.busy_ps for piece in mine) == use.busy_ps
            assert all(0 <= piece.busy_ps <= piece.end_ps - piece.start_ps for piece in mine)
        assert max(held.held_bytes for held in stored.frame.sram) == stored.result.peak_sram_bytes


def test_the_same_run_gives_the_same_bytes(report: RunReport, folder: Path, tmp_path: Path) -> None:
    write_run(run("lenet-300-100", soc="mobile45", fps=20, budget="phone"), tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_a_placement_that_was_given_is_in_the_chips_file(report: RunReport, tmp_path: Path) -> None:
    given = FixedPlacement(weights=("fc2",), activations=("(input)",))
    placed = judge(report.inputs.traces[-1:], "mobile45", 20, None, placement=given)
    write_run(placed, tmp_path)
    loaded = load_run(tmp_path)
    assert (loaded.soc.placement, loaded.budget) == (given, None)
    assert simulate(report.inputs.traces[-1], loaded.soc, 20) == placed.results[0]


def test_a_network_that_takes_no_time_can_be_kept(tmp_path: Path) -> None:
    """Its rate has no bound, which JSON has no number for."""
    trace = Trace.load(write_trace(tmp_path))
    soc = load_soc("paper45")
    write_run(judge([trace], soc, 20, "phone"), tmp_path / "run")
    assert load_run(tmp_path / "run").run.variants[0].result.variant == "dense"


def write_trace(folder: Path) -> Path:
    from dcsim.prepare import synthetic_traces

    (trace,) = synthetic_traces(find_network("eie-nt-we"), ("dense",), 1)
    trace.save(folder / "trace.parquet")
    return folder / "trace.parquet"


@pytest.mark.parametrize("name", ["mobile45", "paper45", "phone7nm", "eie64", "tegra-k1", "mcu", "mobile45-lpddr2"])
def test_every_chip_written_out_in_full_loads_as_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / "soc.yaml").write_text(as_yaml(load_soc(name)))
    assert load_spec(SocSpec, tmp_path / "soc.yaml") == load_soc(name)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"not the folder of a run.*dcsim run"):
        load_run(tmp_path)


def test_another_schema_is_refused(folder: Path) -> None:
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(content | {"schema": 99}))
    with pytest.raises(RunFolderError, match="schema 99, and this dcsim reads version 1"):
        load_run(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"schema": 1}'])
def test_what_is_not_such_a_document_is_refused(folder: Path, content: str) -> None:
    (folder / "run.json").write_text(content)
    with pytest.raises(RunFolderError):
        load_run(folder)


def test_a_figure_that_was_altered_is_refused(folder: Path) -> None:
    text = (folder / "run.json").read_text()
    assert '"fps": 20' in text
    (folder / "run.json").write_text(text.replace('"fps": 20', '"fps": 21', 1))
    with pytest.raises(RunFolderError, match="does not match its SHA-256"):
        load_run(folder)


@pytest.mark.parametrize("name", ["soc.yaml", "budget.yaml", "huffman.parquet"])
def test_a_file_that_was_altered_or_lost_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(RunFolderError, match=f"{name} is not the file that was written"):
        load_run(folder)
    path.unlink()
    with pytest.raises(RunFolderError, match=f"{name} is missing"):
        load_run(folder)


def test_figures_of_another_kind_are_refused_even_under_a_right_digest(folder: Path) -> None:
    from dcsim.files import sha256
    from dcsim.report.run_folder import _text

    content = json.loads((folder / "run.json").read_text())
    content["run"]["variants"][0]["result"]["service_ps"] = "soon"
    del content["sha256"]
    (folder / "run.json").write_text(_text(content | {"sha256": sha256(_text(content).encode())}))
    with pytest.raises(RunFolderError, match="of another kind"):
        load_run(folder)
