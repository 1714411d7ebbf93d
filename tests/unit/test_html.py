"""Does a page hold what its runs hold, and nothing that could break out of it?"""

import base64
import gzip
import json
import re
import sys
from pathlib import Path

import pytest

from dcsim.errors import ConfigError
from dcsim.report.html.bundle import javascript_bundle
from dcsim.report.html.charts import charts
from dcsim.report.html.data import run_data
from dcsim.report.html.page import TEMPLATES, page, write_report
from dcsim.report.run_folder import RunFolder, load_run, write_run
from dcsim.run import judge, run
from dcsim.simulation.frames import Arrivals


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("html")
    write_run(run("lenet-300-100", soc="mobile45", fps=20, budget="phone"), path / "</script><b>run")
    return load_run(path / "</script><b>run")


def embedded(text: str) -> dict[str, object]:
    (found,) = re.findall(r'<script type="application/gzip;base64" id="data">(.*?)</script>', text, re.S)
    content: dict[str, object] = json.loads(gzip.decompress(base64.b64decode(found)))
    return content


def test_names_cannot_break_out_of_the_page(folder: RunFolder) -> None:
    text = page([folder])
    assert "</script><b>" not in text
    assert str(folder.path) == embedded(text)["runs"][0]["folder"]  # type: ignore[index]  # a list of runs


def test_every_script_is_whole(folder: RunFolder) -> None:
    """A page has one script of data, the bundle, and each of the templates; none ends early."""
    text = page([folder])
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.S)
    assert len(scripts) == 2 + len(list(TEMPLATES.glob("*.js")))
    assert len(re.sub(r"<script.*?</script>", "", text, flags=re.S)) < 60_000


def test_figures_of_the_page_are_those_of_the_run(folder: RunFolder) -> None:
    data = run_data(folder)
    for shown, stored in zip(data["variants"], folder.run.variants, strict=True):
        assert shown["energy_pj"] == stored.result.energy_pj_per_frame
        assert [check["status"] for check in shown["checks"]] == [check.status for check in stored.verdict.checks]  # type: ignore[union-attr]  # there is a budget
        assert shown["placement"]["weights"] == list(stored.result.placement.weights)
        assert sum(part["n_bytes"] for part in shown["sram"]) >= shown["peak_sram_bytes"]
    assert data["budget"]["limits"] == {"average_power_watts": 3.0, "latency_s": 0.1}


def test_lines_of_the_chips_file_are_where_the_page_thinks(folder: RunFolder) -> None:
    yaml = run_data(folder)["yaml"]
    for path, place in yaml["places"].items():
        key = path.rpartition(".")[2]
        if not key.isdigit():
            assert re.match(rf"[\s-]*{re.escape(key)}:", yaml["lines"][place]), path
    assert "placement" in yaml["ends"]


def test_frames_that_come_at_random_are_told(folder: RunFolder, tmp_path: Path) -> None:
    from dcsim.traces.trace import Trace

    trace = Trace.load(folder.path / "huffman.parquet")
    report = judge([trace], "mobile45", 20, None, arrivals=Arrivals("poisson", 50, seed=7), engine="analytic")
    write_run(report, tmp_path / "run")
    data = run_data(load_run(tmp_path / "run"))
    assert ["arrivals", "poisson, 50 frames, seed 7"] in data["provenance"]
    assert (data["engine"], data["variants"][0]["frame"], data["budget"]) == ("analytic", None, None)


def test_the_bundle_is_made_once_and_draws_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCSIM_CACHE", str(tmp_path))
    bundle = javascript_bundle()
    (kept,) = (tmp_path / "report").iterdir()
    assert kept.read_text() == bundle
    assert "window.vegaEmbed" in bundle
    kept.write_text("kept")
    assert javascript_bundle() == "kept"


def test_a_cache_that_cannot_be_written_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DCSIM_CACHE", str(tmp_path / "file"))
    assert len(javascript_bundle()) > 500_000


@pytest.mark.parametrize(("module", "package"), [("jinja2", "jinja2"), ("vl_convert", "vl-convert-python")])
def test_a_missing_package_is_named_with_what_to_install(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"{package}: pip install 'dcsim\[report\]'"):
        write_report([folder], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_charts_take_the_colour_of_the_text_around_them() -> None:
    for name, spec in charts().items():
        assert spec["width"] == "container", name
        assert spec["config"]["axis"]["labelColor"] == "currentColor"
        assert spec["description"]
