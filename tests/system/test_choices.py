"""Do the commands that help to choose a recipe, and those that compress without training, work for a user?"""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dcsim.artifact import CompressedModel
from tests.conftest import Dcsim

OWN = ("own:build", "--data", "own:data")
BASE = """
name: base
seed: 3
training: {batch_size: 50, weight_decay: 0, shift_pixels: 0, n_threads: 1}
prune: {criterion: saliency, schedule: gradual, n_kept: 1, epochs: 20, learning_rate: 0.01}
share: {codebook: network, n_codes: 8, epochs: 2, learning_rate: 0.001}
"""
UNTRAINED = """
name: untrained
seed: 3
training: {batch_size: 50, weight_decay: 0, shift_pixels: 0, n_threads: 1}
prune: {schedule: one-shot, n_kept: 1, epochs: 0, learning_rate: 0.01}
share: {codebook: network, n_codes: 8, epochs: 0, learning_rate: 0.001}
"""


def test_a_scan_gives_a_table_and_a_picture(dcsim: Dcsim, own_network: Path) -> None:
    done = dcsim("sensitivity", *OWN, "-o", "scan.csv", "--plot", "scan.png")
    assert done.returncode == 0, done.stderr
    with (own_network / "scan.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["layer"] for row in rows} == {"1", "3"}
    assert {row["change"] for row in rows} == {"density", "code_bits"}
    assert (own_network / "scan.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_recipe_is_found_and_compresses_what_it_was_found_for(dcsim: Dcsim, own_network: Path) -> None:
    (own_network / "base.yaml").write_text(BASE)
    search = ("recipe", "auto", *OWN, "--recipe", "base.yaml", "--max-error", 0.05, "-o", "found.yaml")
    done = dcsim(*search)
    assert done.returncode == 0, done.stderr
    recipe = (own_network / "found.yaml").read_bytes()
    again = dcsim(*search)
    assert again.stdout == done.stdout
    assert (own_network / "found.yaml").read_bytes() == recipe
    with (own_network / "found.trials" / "trials.csv").open() as stream:
        trials = list(csv.DictReader(stream))
    smallest = min(int(trial["file_bytes"]) for trial in trials if float(trial["error"]) <= 0.05)
    assert f"{smallest:,} bytes" in done.stdout
    compressed = dcsim("compress", *OWN, "--recipe", "found.yaml", "-o", "out")
    assert compressed.returncode == 0, compressed.stderr
    assert CompressedModel.load(own_network / "out" / "huffman.dcz").compression_ratio > 10


def test_an_error_out_of_reach_is_explained(dcsim: Dcsim, own_network: Path) -> None:
    (own_network / "base.yaml").write_text(UNTRAINED)
    source = (own_network / "own.py").read_text()
    (own_network / "own.py").write_text(
        source
        + "\n\ndef shuffled():\n    d = data()\n    return Dataset('s', d.train_inputs, d.train_labels[::-1].copy(), d.test_inputs, d.test_labels)\n"
    )
    done = dcsim(
        "recipe",
        "auto",
        "own:build",
        "--data",
        "own:shuffled",
        "--recipe",
        "base.yaml",
        "--max-error",
        0,
        "-o",
        "x.yaml",
    )
    assert done.returncode == 2
    assert "out of reach" in done.stderr
    assert not (own_network / "x.yaml").exists()


UNLABELLED = """

def inputs():
    return data().test_inputs

def words():
    return "no inputs"
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "own:data"), "test error"),
        (("--data", "own:inputs"), "outputs: cosine"),
        ((), ".dcz: "),
    ],
)
def test_a_network_is_compressed_without_training(
    dcsim: Dcsim, own_network: Path, arguments: tuple[str, ...], said: str
) -> None:
    (own_network / "own.py").write_text((own_network / "own.py").read_text() + UNLABELLED)
    done = dcsim("compress", "own:build", "--post-training", "--codebook-bits", 6, *arguments, "-o", "own.dcz")
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    if arguments:
        cosine = float(done.stdout.split("cosine ")[1].split(",")[0])
        assert 0.99 < cosine <= 1


def test_inputs_that_are_none_are_refused(dcsim: Dcsim, own_network: Path) -> None:
    (own_network / "own.py").write_text((own_network / "own.py").read_text() + UNLABELLED)
    done = dcsim("compress", "own:build", "--post-training", "--data", "own:words", "-o", "own.dcz")
    assert done.returncode == 2
    assert "own:words returned str, expected a dcsim.datasets.Dataset or a numpy array of inputs" in done.stderr
    assert not (own_network / "own.dcz").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_a_job_that_is_killed_goes_on_to_the_same_bytes(dcsim: Dcsim, own_network: Path) -> None:
    """By a signal that no program can answer, as when memory runs out."""
    recipe = (own_network / "own.yaml").read_text().replace("epochs: 4,", "epochs: 400,")
    (own_network / "own.yaml").write_text(recipe)
    program = (
        "from dcsim.compression import training; training.CHECKPOINT_EVERY_S = 0.0\nfrom dcsim.cli import main; main()"
    )
    command = ["compress", *OWN, "--recipe", "own.yaml", "-o"]
    running = subprocess.Popen(
        [sys.executable, "-c", program, *command, "cut"], cwd=own_network, stderr=subprocess.DEVNULL
    )
    checkpoint = own_network / "cut" / "checkpoint.pt"
    deadline = time.monotonic() + 60
    while not checkpoint.exists():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (own_network / "cut" / "stages.json").exists()
    again, whole = dcsim(*command, "cut"), dcsim(*command, "whole")
    assert "going on in prune after epoch" in again.stderr
    assert "going on" not in whole.stderr
    names = sorted(path.name for path in (own_network / "whole").iterdir())
    assert names == sorted(path.name for path in (own_network / "cut").iterdir() if path.suffix != ".tmp")
    for name in names:
        assert (own_network / "whole" / name).read_bytes() == (own_network / "cut" / name).read_bytes(), name
