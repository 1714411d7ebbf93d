"""Does the workflow that the manual offers do what it says, as far as it can be run here?

Its own steps (`run:`) are run by bash as GitHub does, in a clone of a small repository with a trace on `main` and
another one on a branch. What other actions do, and installing, is left out.
"""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from dcsim.config import parse_yaml
from dcsim.traces.trace import Trace
from tests.builders import linear, network
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "howto" / "ci.md"
MARK = "# .github/workflows/budget.yml\n"
TRACE = "traces/huffman.parquet"


def workflow() -> dict[str, Any]:
    (block,) = re.findall(rf"```yaml\n({re.escape(MARK)}.*?)```", PAGE.read_text(), re.DOTALL)
    content, _, faults = parse_yaml(block, "budget.yml")
    assert not faults
    return dict(content)


def steps() -> list[dict[str, Any]]:
    (job,) = workflow()["jobs"].values()
    return list(job["steps"])


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def clone(tmp_path: Path, before: Trace | None, now: Trace) -> Path:
    """A working copy of a branch, `now` in the place of the trace `before` on main."""
    origin, copy = tmp_path / "origin", tmp_path / "copy"
    (origin / "traces").mkdir(parents=True)
    git(origin, "init", "--initial-branch", "main")
    if before:
        before.save(origin / TRACE)
    git(origin, "add", "-A")
    git(origin, "commit", "--allow-empty", "-m", "before")
    git(origin, "checkout", "-b", "change")
    now.save(origin / TRACE)
    git(origin, "add", "-A")
    git(origin, "commit", "--allow-empty", "-m", "now")
    git(tmp_path, "clone", "--depth", "1", "--branch", "change", origin.as_uri(), str(copy))
    return copy


def run_steps(folder: Path) -> list[int]:
    """Exit codes of the steps in order, up to the first that is not 0; GitHub runs `bash -e` on each."""
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }
    codes = []
    for step in steps():
        if "run" in step and not step["run"].startswith("pip install"):
            done = subprocess.run(["bash", "-e", "-c", step["run"]], cwd=folder, env=environment, check=False)
            codes.append(done.returncode)
            if done.returncode:
                break
    return codes


def trace(n_outputs: int, m: int = 1) -> Trace:
    return network(linear("fc", 1024, n_outputs, m), variant="huffman")


def test_a_change_that_fits_passes_and_shows_what_it_costs(tmp_path: Path) -> None:
    folder = clone(tmp_path, trace(256), trace(512))
    assert run_steps(folder) == [0, 0]
    summary = (folder / "summary.md").read_text().splitlines()
    assert summary[0] == "### toy, huffman on mobile45 at 20 fps fits phone"
    assert "| file_bytes | 1.05 MB | 2.10 MB | +1.05 MB | +100.0 % |" in summary
    assert json.loads((folder / "budget.json").read_text())["status"] == "ok"
    (suite,) = ET.parse(folder / "budget.xml").getroot()
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")


def test_a_change_that_is_over_fails_and_says_why(tmp_path: Path) -> None:
    folder = clone(tmp_path, trace(256), trace(4096, 400))
    assert run_steps(folder) == [0, 1]
    summary = (folder / "summary.md").read_text().splitlines()
    assert summary[0] == "### toy, huffman on mobile45 at 20 fps is over phone"
    assert any(line.startswith("- sustainable_fps: over: ") and "Most of it: fc" in line for line in summary)
    (suite,) = ET.parse(folder / "budget.xml").getroot()
    assert int(suite.attrib["failures"]) > 0


def test_a_change_that_mends_what_is_over_on_main_passes(tmp_path: Path) -> None:
    assert run_steps(clone(tmp_path, trace(4096, 400), trace(256))) == [0, 0]


def test_the_first_trace_is_compared_with_itself(tmp_path: Path) -> None:
    folder = clone(tmp_path, None, trace(256))
    assert run_steps(folder) == [0, 0]
    assert "| file_bytes |" not in (folder / "summary.md").read_text()


def test_a_trace_that_cannot_be_read_fails(tmp_path: Path) -> None:
    folder = clone(tmp_path, trace(256), trace(256))
    (folder / TRACE).write_bytes(b"not a trace")
    assert run_steps(folder) == [0, 2]


def test_the_workflow_is_one_that_github_takes() -> None:
    content = workflow()
    assert content.keys() == {"name", "on", "jobs"}
    (job,) = content["jobs"].values()
    assert job["runs-on"].startswith("ubuntu-")
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step), step
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
    assert job["steps"][-1]["if"] == "always()"  # files are kept above all when the check has failed


@pytest.mark.parametrize("option", ["--budget", "--baseline", "--json", "--junit", "--markdown"])
def test_the_workflow_shows_every_file_that_check_writes(option: str) -> None:
    assert option in " ".join(step.get("run", "") for step in steps())
