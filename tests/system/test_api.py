"""Do the Python verbs give frozen results that notebooks can show?"""

import subprocess
import sys
from pathlib import Path

import pytest

import dcsim
from dcsim.errors import ConfigError, TraceError
from dcsim.run import run
from dcsim.traces.trace import Trace


def test_verbs_chain_from_network_to_verdict() -> None:
    compression = dcsim.compress("lenet-300-100")
    assert compression.reused
    trace = dcsim.trace("lenet-300-100", "huffman")
    assert trace.file_sha256 == compression.stages[-1].file_sha256
    result = dcsim.simulate(trace, "mobile45", fps=20)
    assert dcsim.check(result, "phone").fits


def test_frames_have_units_in_their_columns() -> None:
    report = run("lenet-300-100", budget="phone")
    frame = report.frame()
    assert {"file_bytes", "energy_pj_per_frame", "energy_dram_pj", "average_power_watts", "latency_s"} <= set(frame)
    assert list(frame.fits) == [True] * 4
    ledger = report.results[0].ledger_frame()
    assert ledger.energy_pj.sum() == pytest.approx(report.results[0].energy_pj_per_frame)


@pytest.mark.parametrize("what", ["report", "result", "trace", "compression", "verdict"])
def test_results_show_themselves_in_a_notebook(what: str) -> None:
    report = run("lenet-300-100")
    shown = {
        "report": report,
        "result": report.results[0],
        "trace": dcsim.trace("lenet-300-100"),
        "compression": dcsim.compress("lenet-300-100"),
        "verdict": dcsim.check(report.results[0], "phone"),
    }[what]
    assert "<table" in shown._repr_html_()


def test_paths_may_be_given_as_text(tmp_path: Path) -> None:
    dcsim.trace("lenet-300-100").save(str(tmp_path / "t.parquet"))
    assert Trace.load(str(tmp_path / "t.parquet")).network == "lenet-300-100"


def test_a_saved_trace_is_loaded_by_its_path(tmp_path: Path) -> None:
    saved = dcsim.trace("lenet-300-100")
    saved.save(tmp_path / "t.parquet")
    assert dcsim.load_trace(tmp_path / "t.parquet") == saved
    assert dcsim.simulate(tmp_path / "t.parquet") == dcsim.simulate(saved)
    with pytest.raises(TraceError, match=r"no trace file none\.parquet"):
        dcsim.load_trace("none.parquet")


def test_a_misspelt_variant_is_answered() -> None:
    with pytest.raises(ConfigError, match="did you mean huffman"):
        dcsim.trace("lenet-5", "hufman")


def test_importing_dcsim_loads_nothing_heavy() -> None:
    program = "import dcsim, sys; sys.exit(bool({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_unknown_verb_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'optimise'"):
        _ = dcsim.optimise
