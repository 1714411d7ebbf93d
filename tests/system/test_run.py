"""Does the main job work for a user, with exit codes and output that scripts can rely on?"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dcsim.artifact import CompressedModel
from tests.conftest import Dcsim

OWN = ("run", "own:build", "--data", "own:data", "--recipe", "own.yaml")
KEYS = {
    "variant",
    "file_bytes",
    "compression_ratio",
    "test_error",
    "dram_bytes_per_frame",
    "energy_pj_per_frame",
    "energy_pj_by_component",
    "average_power_watts",
    "latency_s",
    "sustainable_fps",
    "fits",
    "checks",
}


def test_run_answers_for_a_shipped_network(dcsim: Dcsim) -> None:
    done = dcsim("run", "lenet-300-100", "--soc", "mobile45", "--fps", 20, "--budget", "phone")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[2:6]] == ["dense", "pruned", "shared", "huffman"]
    assert all("yes," in line for line in lines[2:6])


def test_json_on_stdout_is_all_there_is_and_follows_the_schema(dcsim: Dcsim) -> None:
    done = dcsim("run", "lenet-300-100", "--budget", "phone", "--json", "-")
    document = json.loads(done.stdout)
    assert document["schema"] == 3
    assert (document["network"], document["soc"], document["fps"]) == ("lenet-300-100", "mobile45", 20)
    assert (document["budget"], document["synthetic"]) == ("phone", False)
    for variant in document["variants"]:
        assert variant.keys() >= KEYS
        assert {"name", "limit", "found", "unit", "headroom", "ok", "status"} <= variant["checks"][0].keys()
        assert sum(variant["energy_pj_by_component"].values()) == pytest.approx(variant["energy_pj_per_frame"])
        assert variant["average_power_watts"] == pytest.approx(variant["energy_pj_per_frame"] * 20e-12)


def test_one_billion_shows_12_8_watts_for_dram_exactly(dcsim: Dcsim, tmp_path: Path) -> None:
    done = dcsim("run", "one-billion", "--soc", "paper45", "--fps", 20, "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert "12.8 W" in done.stdout
    document = json.loads((tmp_path / "out.json").read_text())
    dense, *_, huffman = document["variants"]
    assert dense["energy_pj_by_component"]["dram"] * 20 / 1e12 == 12.8
    assert huffman["energy_pj_by_component"]["dram"] < dense["energy_pj_by_component"]["dram"] / 35


MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "dcsim", "run", "one-billion", "--soc", "paper45"], check=True, stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def test_one_billion_is_never_materialised(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, cwd=tmp_path, check=True)
    cpu_s, peak_kib = map(float, done.stdout.split())
    assert cpu_s < 5
    assert peak_kib < 1 << 20


def test_over_budget_exits_1_and_the_gate_decides(dcsim: Dcsim) -> None:
    arguments = ("run", "one-billion", "--soc", "paper45", "--budget", "phone")
    assert dcsim(*arguments).returncode == 0
    over = dcsim(*arguments, "--gate", "dense")
    assert over.returncode == 1
    assert "no, 436 % of power" in over.stdout


def test_a_frame_rate_that_cannot_be_kept_does_not_fit(dcsim: Dcsim) -> None:
    done = dcsim("run", "one-billion", "--soc", "paper45", "--fps", 1000, "--budget", "phone", "--json", "-")
    assert done.returncode == 1
    huffman = json.loads(done.stdout)["variants"][-1]
    assert huffman["fits"] is False
    assert huffman["latency_s"] is None
    assert next(check for check in huffman["checks"] if check["name"] == "sustainable_fps")["ok"] is False


def test_without_budget_there_is_no_verdict(dcsim: Dcsim) -> None:
    variants = json.loads(dcsim("run", "one-billion", "--soc", "paper45", "--json", "-").stdout)["variants"]
    assert [variant["fits"] for variant in variants] == [None] * 4
    assert all(variant["test_error"] is None for variant in variants)


def test_variant_limits_what_is_run(dcsim: Dcsim) -> None:
    done = dcsim(
        "run", "one-billion", "--soc", "mobile45", "--variant", "huffman", "--variant", "shared", "--json", "-"
    )
    assert [v["variant"] for v in json.loads(done.stdout)["variants"]] == ["shared", "huffman"]


def test_own_network_goes_through_the_whole_job_and_is_reused(dcsim: Dcsim, own_network: Path) -> None:
    first = dcsim(*OWN, "--budget", "phone", "--plot", "energy.png", "--json", "first.json")
    assert first.returncode == 0, first.stderr
    assert "compressing own:build by recipe own" in first.stderr
    for variant in ("dense", "pruned", "shared", "huffman"):
        assert variant in first.stderr
    assert (own_network / "energy.png").read_bytes()[:4] == b"\x89PNG"
    again = dcsim(*OWN, "--budget", "phone", "--json", "again.json")
    assert "compressing" not in again.stderr
    assert (own_network / "first.json").read_bytes() == (own_network / "again.json").read_bytes()


@pytest.mark.slow
def test_fresh_compresses_again_to_the_same_bytes(dcsim: Dcsim, own_network: Path) -> None:
    dcsim(*OWN, "--json", "first.json")
    fresh = dcsim(*OWN, "--fresh", "--json", "fresh.json")
    assert "compressing own:build" in fresh.stderr
    assert (own_network / "first.json").read_bytes() == (own_network / "fresh.json").read_bytes()


@pytest.mark.slow
def test_steps_one_by_one_agree_with_run(dcsim: Dcsim, own_network: Path) -> None:
    own = ("own:build", "--data", "own:data")
    assert dcsim("compress", *own, "--recipe", "own.yaml", "-o", "out").returncode == 0
    traced = dcsim("trace", *own, "--file", "out/huffman.dcz", "-o", "t.parquet")
    assert traced.returncode == 0, traced.stderr
    simulated = dcsim("simulate", "t.parquet", "--json", "s.json", "--ledger", "ledger.csv")
    assert simulated.returncode == 0, simulated.stderr
    assert dcsim("check", "t.parquet", "--budget", "phone", "--json", "c.json").returncode == 0
    dcsim(*OWN, "--json", "run.json", "--budget", "phone")
    expected = json.loads((own_network / "run.json").read_text())["variants"][-1]
    assert json.loads((own_network / "c.json").read_text())["variants"] == [expected]
    rows = (own_network / "ledger.csv").read_text().splitlines()[1:]
    energy_pj = 0.0
    for row in rows:
        energy_pj += float(row.rsplit(",", 1)[1])
    assert energy_pj == expected["energy_pj_per_frame"]


@pytest.mark.slow
def test_a_recipe_prunes_and_shares_a_bias_that_it_names(dcsim: Dcsim, own_network: Path) -> None:
    recipe = (own_network / "own.yaml").read_text()
    (own_network / "bias.yaml").write_text(recipe + '  "1.bias": {density: 0.25, code_bits: 2, gap_bits: auto}\n')
    done = dcsim("compress", "own:build", "--data", "own:data", "--recipe", "bias.yaml", "-o", "out")
    assert done.returncode == 0, done.stderr
    biases = {
        name: CompressedModel.load(own_network / "out" / f"{name}.dcz").decode()["1.bias"]
        for name in ("dense", "pruned", "shared", "huffman")
    }
    n_kept = round(0.25 * biases["dense"].size)
    assert np.count_nonzero(biases["dense"]) > n_kept
    assert [np.count_nonzero(biases[name]) for name in ("pruned", "shared", "huffman")] == [n_kept] * 3
    assert len(np.unique(biases["shared"])) <= 4
    (own_network / "bias.yaml").write_text(recipe + '  "1.weight": {density: 1, code_bits: 2, gap_bits: auto}\n')
    twice = dcsim("compress", "own:build", "--data", "own:data", "--recipe", "bias.yaml", "-o", "out")
    assert twice.returncode == 2
    assert "layers 1.weight cannot be compressed" in twice.stderr
    assert "named before" in twice.stderr


JOINT = """
name: joint
seed: 3
training: {batch_size: 50, weight_decay: 0, shift_pixels: 0, n_threads: 1, teacher_weight: 0.5}
shrink: {units: {"1": 16}, n_steps: 2, epochs_per_step: 2, learning_rate: 0.01}
prune: {criterion: saliency, schedule: gradual, n_kept: 200, epochs: 40, learning_rate: 0.01}
quantise: {epochs: 6, learning_rate: 0.003}
share: {codebook: network, n_codes: 5, rate_weight: 0.02, epochs: 3, learning_rate: 0.001}
"""


@pytest.mark.slow
def test_a_network_is_compressed_as_a_whole(dcsim: Dcsim, own_network: Path) -> None:
    """At most 200 of 2,212 weights and biases stay, 16 of 32 hidden units, and 5 values but for a scale a tensor."""
    (own_network / "joint.yaml").write_text(JOINT)
    own = ("own:build", "--data", "own:data", "--recipe", "joint.yaml")
    done = dcsim("run", *own, "--json", "run.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((own_network / "run.json").read_text())["variants"]
    assert rows[-1]["test_error"] <= rows[0]["test_error"] + 0.02
    assert rows[-1]["compression_ratio"] > 15
    assert dcsim("compress", *own, "-o", "out").returncode == 0
    decoded = CompressedModel.load(own_network / "out" / "huffman.dcz").decode()
    assert sum(np.count_nonzero(values) for values in decoded.values()) <= 200
    assert np.count_nonzero(decoded["1.weight"].any(axis=1) | (decoded["1.bias"] != 0)) <= 16
    for name, values in decoded.items():
        assert len(np.unique(values[values != 0])) <= 5, name
    shared = CompressedModel.load(own_network / "out" / "shared.dcz").decode()
    assert all(np.array_equal(shared[name], values) for name, values in decoded.items())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('units: {"1": 16}', 'units: {"7": 16}', "units of 7 cannot be removed: no such layer"),
        ('units: {"1": 16}', 'units: {"3": 2}', "units of 3 cannot be removed"),
        ('units: {"1": 16}', 'units: {"1": 33}', "1 cannot keep 33 units, it has 32"),
        ("n_kept: 200", "n_kept: 3000", "n_kept is 3000, the network has 2212 weights"),
        ("n_codes: 5", "n_codes: 300", "n_codes"),
        ("quantise: {epochs: 6", "quantise: {epochs: -1", "quantise.epochs"),
    ],
)
def test_a_recipe_for_a_whole_network_that_cannot_be_is_explained(
    dcsim: Dcsim, own_network: Path, old: str, new: str, reason: str
) -> None:
    (own_network / "joint.yaml").write_text(JOINT.replace(old, new))
    done = dcsim("compress", "own:build", "--data", "own:data", "--recipe", "joint.yaml", "-o", "out")
    assert done.returncode == 2
    assert reason in done.stderr


def test_figures_for_each_layer_do_not_go_with_a_recipe_for_all(dcsim: Dcsim, own_network: Path) -> None:
    (own_network / "joint.yaml").write_text(JOINT)
    own = ("own:build", "--data", "own:data", "--recipe", "joint.yaml")
    done = dcsim("compress", *own, "--codebook-bits", "4")
    assert done.returncode == 2
    assert "recipe joint has one codebook for all layers" in done.stderr


@pytest.mark.slow
def test_a_changed_network_is_not_taken_for_the_old_one(dcsim: Dcsim, own_network: Path) -> None:
    dcsim(*OWN)
    own = (own_network / "own.py").read_text()
    (own_network / "own.py").write_text(own.replace("torch.nn.ReLU()", "torch.nn.Tanh()"))
    assert "compressing own:build" in dcsim(*OWN).stderr


def test_batch_of_numbers_only_costs_its_inferences(dcsim: Dcsim) -> None:
    arguments = ("run", "one-billion", "--soc", "paper45", "--variant", "dense", "--json", "-")
    one, three = (json.loads(dcsim(*arguments, "--batch", n).stdout)["variants"][0] for n in (1, 3))
    assert three["dram_bytes_per_frame"] == one["dram_bytes_per_frame"]
    assert three["energy_pj_by_component"]["array"] == pytest.approx(3 * one["energy_pj_by_component"]["array"])
    assert three["energy_pj_by_component"]["dram"] * 20 / 3 / 1e12 == pytest.approx(12.8 / 3)


@pytest.mark.slow
def test_a_file_is_traced_as_another_variant(dcsim: Dcsim, own_network: Path) -> None:
    own = ("own:build", "--data", "own:data")
    dcsim("compress", *own, "--recipe", "own.yaml", "-o", "out")
    for variant in ("pruned", "huffman"):
        done = dcsim("trace", *own, "--file", "out/huffman.dcz", "--variant", variant, "-o", f"{variant}.parquet")
        assert f"own:build, {variant}" in done.stdout


@pytest.mark.slow
def test_batch_makes_one_frame_of_several_examples(dcsim: Dcsim, own_network: Path) -> None:
    one = json.loads(dcsim(*OWN, "--json", "-").stdout)["variants"][0]
    four = json.loads(dcsim(*OWN, "--batch", "4", "--json", "-").stdout)["variants"][0]
    assert four["dram_bytes_per_frame"] == one["dram_bytes_per_frame"]
    assert four["energy_pj_by_component"]["array"] == 4 * one["energy_pj_by_component"]["array"]


def test_ctrl_c_leaves_no_finished_looking_compression(own_network: Path) -> None:
    recipe = (own_network / "own.yaml").read_text().replace("epochs: 4,", "epochs: 100000,")
    (own_network / "own.yaml").write_text(recipe)
    command = [sys.executable, "-m", "dcsim", "compress", "own:build", "--data", "own:data", "--recipe", "own.yaml"]
    running = subprocess.Popen([*command, "-o", "out"], cwd=own_network, stderr=subprocess.DEVNULL)
    dense = own_network / "out" / "dense.dcz"
    while not dense.exists():
        assert running.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) == 130
    assert sorted(path.name for path in dense.parent.iterdir()) == ["dense.dcz"]
