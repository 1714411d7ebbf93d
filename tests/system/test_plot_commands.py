"""Do `simulate` and `sweep` draw what they print, and say beforehand when they cannot?"""

from pathlib import Path

import pytest

from tests.conftest import ROOT, Dcsim

TRACE = ROOT / "models" / "lenet-300-100" / "compressed" / "default" / "huffman.parquet"
SWEEP = f"""
name: small
traces: ["{TRACE}"]
soc: mobile45
fps: 20
axes:
  - {{path: sram.capacity_kib, values: [256, 512]}}
  - {{path: clock_hz, values: [200000000, 350000000]}}
objectives: [OBJECTIVES]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP.replace("OBJECTIVES", "average_power_watts, latency_s"))
    return path


def test_a_simulation_draws_the_energy_of_its_layers(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("simulate", TRACE, "--plot", "energy.svg")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "energy.svg").read_text().startswith("<?xml")


def test_a_sweep_draws_its_front(dcsim: Dcsim, spec: Path, tmp_path: Path) -> None:
    done = dcsim("sweep", spec, "-o", "points", "--workers", 1, "--plot", "front.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("objectives", "plot", "message"),
    [
        ("average_power_watts", "front.png", "one objective"),
        ("average_power_watts, latency_s", "front.gif", "must end in .png, .svg, .pdf"),
    ],
)
def test_a_front_that_cannot_be_drawn_is_said_before_the_work(
    objectives: str, plot: str, message: str, dcsim: Dcsim, spec: Path, tmp_path: Path
) -> None:
    spec.write_text(SWEEP.replace("OBJECTIVES", objectives))
    done = dcsim("sweep", spec, "-o", "points", "--plot", plot)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "points").exists()
