"""Do `dcsim fit`, `break-even` and `knobs` answer a user's question, and say by their exit code whether they could?"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Dcsim
from tests.system.test_startup import HEAVY, loaded_by

LENET = ROOT / "models" / "lenet-5" / "compressed" / "default"
TRACE = LENET / "huffman.parquet"


def write(path: Path, **limits: float) -> Path:
    path.write_text(f"name: {path.stem}\nlimits: {json.dumps(limits)}\n")
    return path


def answer(done: "subprocess.CompletedProcess[str]", code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stdout + done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    assert content["schema"] == 1
    return content


# --- fit -------------------------------------------------------------------------------------------------------------


def test_the_smallest_sram_at_which_compressed_lenet_5_meets_a_phone(dcsim: Dcsim) -> None:
    started = time.monotonic()
    done = dcsim("fit", TRACE, "--smallest", "sram.capacity_kib", "--budget", "phone", "--soc", "mobile45")
    assert time.monotonic() - started < 60  # seconds on an idle machine; this one is shared
    assert done.returncode == 0, done.stderr
    # four buffers of 16 KiB, two of them for expanded weights, are the least that the chip works with
    assert "smallest sram.capacity_kib within phone: 64" in done.stdout
    assert "63 does not fit: mobile45: the working buffers take 65536 bytes" in done.stdout
    assert "cannot be" in done.stdout  # beyond the table of SRAMs


def test_the_smallest_sram_by_a_limit_on_energy_is_the_one_that_holds_the_network(dcsim: Dcsim, tmp_path: Path) -> None:
    """Dense, at 700 fps: 240 uJ a frame with 1,500 KiB, and 74 uJ with the 1,773 KiB that hold all of it."""
    run = ("fit", "lenet-5", "--variant", "dense", "--smallest", "sram.capacity_kib", "--fps", 700, "--json", "-")
    limited = write(tmp_path / "frugal.yaml", energy_pj_per_frame=7.36e7)
    found = answer(dcsim(*run, "--budget", limited))
    assert (found["value"], found["beyond"]["value"]) == (1773, 1772)
    assert found["beyond"]["check"]["name"] == "energy_pj_per_frame"
    assert found["beyond"]["check"]["found"] > 7.36e7 >= found["found"]["check"]["found"]


def test_alexnet_s_highest_frame_rate_under_two_watts(dcsim: Dcsim, tmp_path: Path) -> None:
    limited = write(tmp_path / "two-watts.yaml", average_power_watts=2)
    run = ("fit", "alexnet", "--largest", "fps", "--soc", "phone7nm", "--budget", limited, "--json", "-")
    dense, huffman = (answer(dcsim(*run, "--variant", variant)) for variant in ("dense", "huffman"))
    for found in (dense, huffman):
        assert (found["synthetic"], found["monotone"], found["fps"]) == (True, True, None)
        assert found["found"]["engine"] == found["beyond"]["engine"] == "event"
        assert found["value"] < found["beyond"]["value"] < found["value"] * 1.0011
        assert len(found["trail"]) > 30
    # dense is stopped by its watts, compressed by what the array can do
    assert dense["beyond"]["check"]["name"] == "average_power_watts"
    assert huffman["beyond"]["check"]["name"] == "sustainable_fps"
    assert huffman["value"] > 5 * dense["value"]


def test_the_slowest_clock_and_its_trail(dcsim: Dcsim) -> None:
    done = dcsim("fit", TRACE, "--smallest", "clock_hz", "--trail")
    assert done.returncode == 0, done.stderr
    assert "smallest clock_hz within phone: 9,706,000" in done.stdout
    assert "tightest limit, or why not" in done.stdout
    assert "9,705,000 does not fit: sustainable_fps: 19.999 fps, at least 20.000 fps" in done.stdout
    assert done.stdout.count("analytic") > 30
    assert done.stdout.count(" event ") == 2


def test_out_of_reach_is_exit_code_1_with_the_nearest_miss(dcsim: Dcsim, tmp_path: Path) -> None:
    limited = write(tmp_path / "frugal.yaml", average_power_watts=1e-6)
    done = dcsim("fit", TRACE, "--smallest", "sram.capacity_kib", "--budget", limited)
    assert done.returncode == 1
    assert "no sram.capacity_kib from 8 to 32,768 fits frugal" in done.stdout
    assert "nearest miss 159: average_power_watts: 5.9647 mW, at most 1.0000 µW" in done.stdout
    found = answer(dcsim("fit", TRACE, "--smallest", "sram.capacity_kib", "--budget", limited, "--json", "-"), 1)
    assert (found["value"], found["found"], found["beyond"]) == (None, None, None)
    assert found["nearest"]["value"] == 159


def test_the_largest_variant_that_a_microcontroller_runs(dcsim: Dcsim) -> None:
    done = dcsim("fit", "lenet-5", "--largest", "variant", "--soc", "mcu")
    assert done.returncode == 0, done.stderr
    assert "largest variant within phone: pruned" in done.stdout
    assert "dense does not fit" in done.stdout


def test_the_fewest_bits_that_keep_an_error(dcsim: Dcsim, own_network: Path) -> None:
    limited = write(own_network / "accurate.yaml", test_error=0.02)
    run = ("fit", "own:build_trained", "--data", "own:data", "--smallest", "codebook_bits", "--budget", limited)
    source = (own_network / "own.py").read_text()
    (own_network / "own.py").write_text(source + TRAINED)
    found = answer(dcsim(*run, "--json", "-"))
    assert 1 <= found["value"] <= 4
    errors = {attempt["value"]: attempt["check"] for attempt in found["trail"]}
    assert errors[found["value"]]["found"] <= 0.02
    assert set(errors) >= {1, 4, 7, 10}
    if found["beyond"]:
        assert found["beyond"]["check"]["found"] > 0.02


TRAINED = """

def build_trained():
    model, d = build(), data()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        output = model(torch.from_numpy(d.train_inputs))
        torch.nn.functional.cross_entropy(output, torch.from_numpy(d.train_labels)).backward()
        optimizer.step()
    return model
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((TRACE,), "--smallest KNOB or --largest KNOB"),
        ((TRACE, "--smallest", "fps", "--largest", "fps"), "--smallest KNOB or --largest KNOB"),
        ((TRACE, "--smallest", "sram.capacity"), "did you mean sram.capacity_kib"),
        ((TRACE, "--smallest", "clock_hz", "--from", 10, "--to", 5), "the second above the first"),
        ((TRACE, "--smallest", "clock_hz", "--budget", "fone"), "did you mean phone"),
        ((TRACE, "--smallest", "clock_hz", "--soc", "mobile54"), "did you mean mobile45"),
        ((TRACE, "--smallest", "variant"), "a trace of one variant"),
        ((TRACE, "--smallest", "clock_hz", "--variant", "dense"), "a trace of one variant"),
        (("nowhere.parquet", "--smallest", "clock_hz"), "nowhere.parquet"),
        (("lenet-50", "--smallest", "clock_hz"), "did you mean lenet-5"),
        ((TRACE, "--smallest", "clock_hz", "--json", "."), "it is a folder"),
    ],
)
def test_bad_input_is_exit_code_2(dcsim: Dcsim, arguments: tuple[str, ...], said: str) -> None:
    done = dcsim("fit", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)


def test_evidence_that_is_missing_is_exit_code_2(dcsim: Dcsim, tmp_path: Path) -> None:
    limited = write(tmp_path / "accurate.yaml", test_error=0.02)
    done = dcsim("fit", "one-billion", "--soc", "paper45", "--largest", "fps", "--budget", limited)
    assert done.returncode == 2
    assert "evidence is missing" in done.stderr
    assert "the test error was not measured" in done.stderr
    limited = write(tmp_path / "lossless.yaml", accuracy_loss=0.001)
    done = dcsim("fit", TRACE, "--smallest", "sram.capacity_kib", "--budget", limited)
    assert (done.returncode, done.stdout) == (2, "")
    assert "evidence is missing for lossless: accuracy_loss (there is no trace of the dense variant" in done.stderr


# --- break-even and knobs ----------------------------------------------------------------------------------------------


def test_break_even_points_of_lenet_5(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("break-even", "lenet-5", "--json", "points.json")
    assert done.returncode == 0, done.stderr
    assert "from 66.5" in done.stdout
    assert "variant    less power     compared at    its power    power of dense    max fps" in done.stdout
    assert "DRAM traffic with 1 KiB less" in done.stdout
    assert "powers are those at the rate they are compared at" in done.stdout
    found = json.loads((tmp_path / "points.json").read_text())
    assert [each["ahead"] for each in found["storage"]] == ["always"] * 3
    assert [each["capacity_kib"] for each in found["on_chip"]] == [1773, 293, 166, 160]
    assert all(each["dram_bytes_before"] > 0 for each in found["on_chip"])
    assert [each["ahead"] for each in found["moving"]] == ["from", "always", "always", "always"]


def test_break_even_of_saved_traces_on_a_chip_without_dram(dcsim: Dcsim) -> None:
    done = dcsim("break-even", LENET / "dense.parquet", TRACE, "--soc", "mcu")
    assert done.returncode == 0, done.stderr
    assert "dense does not run: lenet-5, dense: mcu has no DRAM" in done.stdout
    assert "1,745 KiB" in done.stdout
    mixed = dcsim("break-even", TRACE, ROOT / "models" / "lenet-300-100" / "compressed" / "default" / "dense.parquet")
    assert mixed.returncode == 2
    assert "expected traces of one network" in mixed.stderr


def test_the_knobs_of_a_chip(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("knobs", TRACE, "--figure", "latency_s", "--json", "knobs.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "knobs.json").read_text())
    assert found["knobs"][0]["knob"] == "clock_hz"
    assert found["knobs"][0]["elasticity"] == pytest.approx(-1, rel=1e-4)
    assert "others move it by less than" in done.stdout
    watts = answer(dcsim("knobs", TRACE, "--figure", "average_power_watts", "--fps", 700, "--json", "-"))
    assert watts["knobs"][0]["knob"] in {"fps", "sram.capacity_kib"}


@pytest.mark.parametrize("command", ["fit", "break-even", "knobs"])
def test_help_loads_nothing_heavy(command: str, tmp_path: Path) -> None:
    assert not loaded_by(command, "--help", folder=tmp_path) & (HEAVY | {"numpy"})


def test_a_fit_of_a_saved_trace_needs_no_torch(tmp_path: Path) -> None:
    loaded = loaded_by("fit", TRACE, "--smallest", "clock_hz", "--json", "-", folder=tmp_path)
    assert not loaded & {"torch", "pandas", "matplotlib"}
