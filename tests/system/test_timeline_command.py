"""Does `dcsim simulate --timeline` leave a trace for Perfetto, or say why it cannot?"""

import json
from pathlib import Path

from tests.conftest import ROOT, Dcsim

TRACE = ROOT / "models" / "lenet-300-100" / "compressed" / "default" / "dense.parquet"


def test_a_frame_is_written_beside_the_tables(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("simulate", TRACE, "--timeline", "frame.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "time per frame" in done.stdout
    content = json.loads((tmp_path / "frame.json").read_text())
    assert {event["ph"] for event in content["traceEvents"]} == {"M", "X", "C"}
    assert content["otherData"]["network"] == "lenet-300-100"


def test_the_analytic_engine_cannot_write_one_and_leaves_nothing(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("simulate", TRACE, "--engine", "analytic", "--timeline", "frame.json", "--ledger", "ledger.csv")
    assert done.returncode == 2
    assert "replay with the event engine" in done.stderr
    assert list(tmp_path.glob("*.*")) == []
