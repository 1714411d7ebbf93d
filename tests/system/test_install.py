"""Does a wheel made from the source distribution, in an empty environment without torch, do all that needs no training?"""

import json
import os
import subprocess
import sys
import tarfile
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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `python -m build` makes: a source distribution, and a wheel from that alone."""
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has the built wheel, what it requires, and what reports require besides."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "env", with_pip=True)
    pip = [folder / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    (wheel,) = built.glob("*.whl")
    done = run(*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}[report]", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "env" / "bin"


def test_the_source_distribution_is_whole(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = run("git", "-C", ROOT, "ls-files", folder=built).stdout.splitlines()
    wanted = {name for name in tracked if not name.startswith(".")}
    assert wanted
    assert not wanted - held


def test_torch_is_not_there(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "python", "-c", "import torch", folder=tmp_path).returncode != 0


def test_configs_and_models_are_found_by_name(installed: Path, tmp_path: Path) -> None:
    done = run(
        installed / "dcsim", "run", "lenet-5", "--soc", "mobile45", "--budget", "phone", "--json", "-", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert [variant["fits"] for variant in json.loads(done.stdout)["variants"]] == [True] * 4


def test_a_report_is_made(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "dcsim", "run", "lenet-5", "-o", "run", folder=tmp_path).returncode == 0
    done = run(installed / "dcsim", "report", "run", "-o", "report.html", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lenet-5" in (tmp_path / "report.html").read_text()


def test_schemas_are_where_shipped_files_say(installed: Path, tmp_path: Path) -> None:
    where = "import dcsim.config as c; print(c.shipped('configs') / 'soc' / 'mobile45.yaml')"
    chip = Path(run(installed / "python", "-c", where, folder=tmp_path).stdout.strip())
    named = chip.read_text().splitlines()[0].partition("$schema=")[2]
    written = run(installed / "dcsim", "schema", "soc", folder=tmp_path).stdout
    assert (chip.parent / named).read_text() == written


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
