"""Do commands load only what they need? A user waits for every import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcsim import __version__
from tests.conftest import ROOT, Dcsim

HEAVY = {"torch", "pandas", "matplotlib", "numba"}
TRACE = ROOT / "models" / "lenet-300-100" / "compressed" / "default" / "huffman.parquet"
PROBE = """
import json, sys
from dcsim.cli import main
sys.argv = ["dcsim", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
sys.stdout.flush()
print("\\n" + json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def loaded_by(*arguments: object, folder: Path) -> set[str]:
    """Top-level modules that a command has loaded when it is done."""
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("check", TRACE),
        ("simulate", TRACE, "--json", "-"),
        ("soc", "mobile45"),
    ],
)
def test_nothing_heavy_is_loaded(arguments: tuple[object, ...], tmp_path: Path) -> None:
    assert not loaded_by(*arguments, folder=tmp_path) & HEAVY


def test_the_version_is_told(dcsim: Dcsim) -> None:
    done = dcsim("--version")
    assert (done.returncode, done.stdout) == (0, f"dcsim {__version__}\n")


def test_a_run_from_kept_files_needs_no_torch(tmp_path: Path) -> None:
    assert "torch" not in loaded_by("run", "lenet-300-100", folder=tmp_path)


def test_inspecting_a_file_needs_no_torch(tmp_path: Path) -> None:
    loaded = loaded_by("inspect", TRACE.with_name("huffman.dcz"), folder=tmp_path)
    assert not loaded & {"torch", "pandas", "matplotlib"}


def test_compressing_a_file_of_weights_needs_no_torch(tmp_path: Path) -> None:
    weights = ROOT / "models" / "lenet-300-100" / "dense.safetensors"
    arguments = ("compress", "--weights", weights, "--post-training", "-o", tmp_path / "w.dcz")
    assert not loaded_by(*arguments, folder=tmp_path) & {"torch", "pandas", "matplotlib"}
