"""Do runs go to folders and folders to pages, and is what cannot be done refused with a reason and exit code 2?"""

from pathlib import Path

from dcsim.report.run_folder import load_run
from dcsim.traces.trace import Trace
from tests.conftest import Dcsim

RUN = ("run", "lenet-300-100", "--budget", "phone", "-o", "one")


def test_a_run_goes_to_a_folder_and_the_folder_to_a_page(dcsim: Dcsim, tmp_path: Path) -> None:
    assert dcsim(*RUN).returncode == 0
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {
        "run.json",
        "soc.yaml",
        "budget.yaml",
        *(f"{name}.parquet" for name in ("dense", "pruned", "shared", "huffman")),
    }
    done = dcsim("report", "one", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_a_trace_replayed_with_the_folders_chip_is_the_run(dcsim: Dcsim, tmp_path: Path) -> None:
    dcsim(*RUN)
    again = dcsim("simulate", "one/huffman.parquet", "--soc", "one/soc.yaml", "-o", "two")
    assert again.returncode == 0, again.stderr
    (stored,) = load_run(tmp_path / "two").run.variants
    assert stored.result == load_run(tmp_path / "one").gated.result
    assert Trace.load(tmp_path / "two" / "huffman.parquet") == Trace.load(tmp_path / "one" / "huffman.parquet")


def test_a_run_over_budget_leaves_its_folder_all_the_same(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("run", "lenet-300-100", "--fps", 9000, "--budget", "phone", "-o", "over")
    assert done.returncode == 1
    verdict = load_run(tmp_path / "over").gated.verdict
    assert verdict is not None
    assert not verdict.fits


def test_what_is_no_run_is_refused(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        done = dcsim("report", name, "-o", "page.html")
        assert done.returncode == 2
        assert "not the folder of a run" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "page.html").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = dcsim("run", "lenet-300-100", "-o", "file")
    assert done.returncode == 2
    assert "is not a folder" in done.stderr
    assert done.stdout == ""
