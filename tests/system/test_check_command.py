"""Can continuous integration rely on `dcsim check`: its exit codes, its files, and its speed?"""

import json
import os
import resource
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dcsim.config import known_yaml
from tests.builders import linear, network
from tests.conftest import ROOT, Dcsim

TRACES = ROOT / "models" / "lenet-300-100" / "compressed" / "default"
HUFFMAN, DENSE = TRACES / "huffman.parquet", TRACES / "dense.parquet"
HEAVY = {"torch", "pandas", "matplotlib", "numba"}
OWN = """
name: own
limits: {average_power_watts: 0.008, accuracy_loss: 0.01}
warnings: {file_bytes: 20000}
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.yaml").write_text(OWN)
    return "own.yaml"


def test_exit_0_where_it_fits_with_or_without_a_warning(dcsim: Dcsim, own: str, tmp_path: Path) -> None:
    fits = dcsim("check", HUFFMAN)
    assert (fits.returncode, fits.stderr) == (0, "")
    assert fits.stdout.splitlines()[-1] == "lenet-300-100, huffman on mobile45 at 20 fps fits phone"
    (tmp_path / "own.yaml").write_text(OWN.replace("0.008", "0.1"))
    warned = dcsim("check", HUFFMAN, DENSE, "--budget", own)
    assert warned.returncode == 0, warned.stderr
    assert "file_bytes: warning: 22.5 kB, warned above 20.0 kB. Most of it: fc1, weights" in warned.stdout
    assert warned.stdout.splitlines()[-1].endswith("fits own with a warning")


def test_exit_1_where_it_is_over_with_who_is_to_blame_and_what_would_mend_it(dcsim: Dcsim, own: str) -> None:
    done = dcsim("check", HUFFMAN, DENSE, "--budget", own)
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = (line for line in done.stdout.splitlines() if "With" in line)
    assert line == (
        "average_power_watts: over: 8.41 mW, at most 8.00 mW. Most of it: (soc), sram_leakage: 50 %. "
        "With sram.cell: low-standby-power it would be 4.42 mW"
    )


def test_the_knob_that_is_named_does_mend_it(dcsim: Dcsim, own: str, tmp_path: Path) -> None:
    chip = (ROOT / "configs" / "soc" / "mobile45.yaml").read_text()
    (tmp_path / "turned.yaml").write_text(chip.replace("cell: low-operating-power", "cell: low-standby-power"))
    done = dcsim("check", HUFFMAN, DENSE, "--budget", own, "--soc", "turned.yaml")
    assert done.returncode == 0, done.stdout
    assert "4.42 mW" in done.stdout


def test_exit_2_where_evidence_is_missing_even_if_the_rest_is_over(dcsim: Dcsim, own: str, tmp_path: Path) -> None:
    done = dcsim("check", HUFFMAN, "--budget", own, "--json", "c.json", "--junit", "c.xml", "--markdown", "c.md")
    assert done.returncode == 2
    assert done.stderr.startswith("error: evidence is missing for own: accuracy_loss (there is no trace of the dense")
    assert done.stdout.splitlines()[-1].endswith("lacks evidence for own")
    assert json.loads((tmp_path / "c.json").read_text())["status"] == "missing"
    assert ET.parse(tmp_path / "c.xml").getroot().find("testsuite/testcase/error") is not None
    assert (tmp_path / "c.md").read_text().splitlines()[0].endswith("lacks evidence for own")


def test_a_synthetic_network_has_no_test_error_to_pass(dcsim: Dcsim, tmp_path: Path) -> None:
    network(linear("fc", 64, 64), synthetic=True, test_error=None).save(tmp_path / "t.parquet")
    (tmp_path / "own.yaml").write_text("name: own\nlimits: {test_error: 1.0}\n")
    done = dcsim("check", "t.parquet", "--budget", "own.yaml")
    assert done.returncode == 2
    assert "test_error (the test error was not measured)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--budget", "coin-sell"), "did you mean coin-cell"),
        (("--baseline", "none.json"), "none.json"),
        (("--baseline", str(HUFFMAN)), "cannot read the baseline"),
        (("--json", "-", "--markdown", "-"), "cannot both go to stdout"),
        (("--junit", "-"), "name a file"),
        (("--deadline", "0"), "deadline"),
        (("--gate", "shared"), "the gate shared is not among"),
        (("--junit", "/dev/null/x.xml"), "/dev/null"),
    ],
)
def test_exit_2_where_the_question_is_bad_and_nothing_is_written(
    dcsim: Dcsim, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = dcsim("check", HUFFMAN, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_exit_3_where_dcsim_itself_is_at_fault(tmp_path: Path) -> None:
    program = (
        "import dcsim.cli as cli, dcsim.explore.budget as budget\n"
        "def broken(*_): raise ZeroDivisionError('planted')\n"
        "budget.blame = broken\n"
        f"import sys; sys.argv = ['dcsim', 'check', {str(HUFFMAN)!r}]; cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "internal fault of dcsim" in done.stderr


def test_json_markdown_and_junit_say_the_same(dcsim: Dcsim, own: str, tmp_path: Path) -> None:
    done = dcsim("check", HUFFMAN, DENSE, "--budget", own, "--json", "-", "--junit", "c.xml", "--markdown", "c.md")
    assert done.returncode == 1
    document = json.loads(done.stdout)  # all there is
    assert (document["schema"], document["gate"], document["status"]) == (3, "huffman", "over")
    failed = [item["name"] for item in document["variants"][0]["checks"] if not item["ok"]]
    suite, _ = ET.parse(tmp_path / "c.xml").getroot()
    assert [case.attrib["name"] for case in suite if case.find("failure") is not None] == failed
    rows = [line.split(" | ") for line in (tmp_path / "c.md").read_text().splitlines() if " | over | " in line]
    assert [row[0].removeprefix("| ") for row in rows[: len(failed)]] == failed


def test_markdown_goes_to_stdout_alone(dcsim: Dcsim) -> None:
    done = dcsim("check", HUFFMAN, "--markdown", "-")
    assert done.stdout.startswith("### lenet-300-100, huffman on mobile45 at 20 fps fits phone\n")
    assert "average_power_watts  " not in done.stdout


def test_a_baseline_shows_what_has_changed(dcsim: Dcsim) -> None:
    assert dcsim("check", HUFFMAN, "--json", "old.json").returncode == 0
    done = dcsim("check", HUFFMAN, "--fps", 40, "--baseline", "old.json", "--markdown", "c.md")
    assert done.returncode == 0, done.stderr
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "average_power_watts 8.41 mW 8.57 mW +158 µW +1.9 %" in rows
    assert "baseline: fps 20, now 40" in done.stdout
    assert "unchanged: file_bytes" in done.stdout
    same = dcsim("check", HUFFMAN, "--baseline", "old.json")
    assert "unchanged: file_bytes, compression_ratio, test_error, dram_bytes_per_frame, energy" in same.stdout


def test_a_document_of_an_earlier_schema_is_no_baseline(dcsim: Dcsim, tmp_path: Path) -> None:
    dcsim("check", HUFFMAN, "--json", "old.json")
    old = json.loads((tmp_path / "old.json").read_text()) | {"schema": 2}
    (tmp_path / "old.json").write_text(json.dumps(old))
    done = dcsim("check", HUFFMAN, "--baseline", "old.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "schema 2, this dcsim compares with 3; write it again" in done.stderr


def test_random_arrivals_and_the_deadline_of_the_budget_reach_the_queue(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "name: own\ndeadline_s: 0.001\nlimits: {deadline_misses: 0.05, latency_p99_s: 0.01}\n"
    )
    arguments = ("check", HUFFMAN, "--budget", "own.yaml", "--fps", 1500, "--json", "-")
    (evenly,) = json.loads(dcsim(*arguments).stdout)["variants"]
    (poisson,) = json.loads(dcsim(*arguments, "--arrivals", "poisson").stdout)["variants"]
    late = json.loads(dcsim(*arguments, "--arrivals", "poisson", "--deadline", 0.1).stdout)["variants"][0]
    assert (evenly["deadline_misses"], late["deadline_misses"]) == (0, 0)
    assert poisson["deadline_misses"] > 0.05
    assert poisson["latency_p99_s"] > evenly["latency_p99_s"]


@pytest.mark.parametrize("name", known_yaml("budget"))
def test_every_shipped_budget_can_be_met(dcsim: Dcsim, name: str) -> None:
    """Those for batteries by a microcontroller that looks once a second."""
    chip = ("--soc", "mcu", "--fps", 1) if name in ("always-on-camera", "coin-cell") else ()
    done = dcsim("check", HUFFMAN, "--budget", name, *chip)
    assert done.returncode == 0, done.stdout


MEASURED = """
import json, sys
from dcsim.cli import main
sys.argv = ["dcsim", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert stop.code == 1, stop.code
sys.stderr.write(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def test_a_check_that_fails_and_writes_all_files_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\nlimits: {average_power_watts: 0.008}\n")
    files = ("--junit", "c.xml", "--markdown", "c.md", "--json", "c.json")
    command = [sys.executable, "-c", MEASURED, "check", str(HUFFMAN), "--budget", "own.yaml", *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert not set(json.loads(done.stderr)) & HEAVY


def test_a_check_takes_less_than_a_second_and_a_half(tmp_path: Path) -> None:
    """CPU time of the whole process, the best of three: others share the machine."""
    command = [sys.executable, "-m", "dcsim", "check", str(HUFFMAN)]
    times_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, cwd=tmp_path, env=os.environ, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times_s) < 1.5, times_s
