"""Does a wheel in an empty environment, without torch, do all that needs no training?"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.xdist_group("install"), pytest.mark.slow]  # one environment serves them all


def run(*command: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DCSIM"))}
    environment["DCSIM_CACHE"] = str(folder / "cache")
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has the built wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, folder=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    venv.create(folder / "env", with_pip=True)
    pip = [folder / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    (wheel,) = folder.glob("*.whl")
    done = run(*pip, "--constraint", ROOT / "constraints.txt", wheel, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "env" / "bin"


def test_torch_is_not_there(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "python", "-c", "import torch", folder=tmp_path).returncode != 0


def test_configs_and_models_are_found_by_name(installed: Path, tmp_path: Path) -> None:
    done = run(
        installed / "dcsim", "run", "lenet-5", "--soc", "mobile45", "--budget", "phone", "--json", "-", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert [variant["fits"] for variant in json.loads(done.stdout)["variants"]] == [True] * 4


def test_traces_are_made_simulated_and_checked(installed: Path, tmp_path: Path) -> None:
    dcsim = installed / "dcsim"
    assert run(dcsim, "trace", "one-billion", "-o", "t.parquet", folder=tmp_path).returncode == 0
    assert run(dcsim, "simulate", "t.parquet", "--soc", "paper45", folder=tmp_path).returncode == 0
    assert run(dcsim, "check", "t.parquet", "--soc", "paper45", folder=tmp_path).returncode == 0


def test_what_needs_torch_says_so(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "dcsim", "compress", "lenet-5", "--fresh", folder=tmp_path)
    assert done.returncode == 2
    assert "dcsim[torch]" in done.stderr
    assert "Traceback" not in done.stderr
