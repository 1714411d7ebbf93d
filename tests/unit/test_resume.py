"""Does a job that was killed go on where it was, to the same bytes?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dcsim.compression import training
from dcsim.compression.pipeline import compress
from dcsim.compression.recipe import Recipe
from dcsim.compression.store import CHECKPOINT_FILE, STAGES_FILE
from dcsim.datasets import Dataset
from tests.recipes import recipe

JOINT = recipe(
    training={"teacher_weight": 0.5, "shift_pixels": 1},
    shrink={"units": {"3": 8}, "n_steps": 2, "epochs_per_step": 2, "learning_rate": 1e-2},
    prune={"schedule": "gradual", "criterion": "saliency", "n_kept": 120, "epochs": 4},
    quantise={"epochs": 3, "learning_rate": 1e-3},
    share={"n_codes": 5, "rate_weight": 0.02, "epochs": 3},
)
BY_LAYER = recipe(
    prune={"n_kept": None, "schedule": "iterative", "n_steps": 3, "epochs": 4, "regrow": True},
    share={"codebook": "layer", "n_codes": None, "epochs": 3},
    layers={"*": {"density": 0.3, "code_bits": 3}},
)
RUNS = {"joint": ("shrink 1", "shrink 2", "prune", "quantise", "share"), "by layer": ("prune", "share")}


class KilledError(Exception):
    """As by a signal."""


def network() -> nn.Module:
    torch.manual_seed(1)
    front = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
    model = nn.Sequential(*front, nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    model.register_buffer("not_stored", torch.full((3,), 1 / 3), persistent=False)
    return model


def digits() -> Dataset:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 400)
    centres = generator.normal(size=(3, 1, 6, 6))
    images = (centres[labels] + generator.normal(size=(400, 1, 6, 6))).astype(np.float32)
    return Dataset("clouds", images[:300], labels[:300], images[300:], labels[300:])


def job(plan: Recipe, folder: Path, kill: tuple[str, int] | None = None, key: str = "key") -> list[str]:
    """Run a compression, killed at a batch of a run; what was said, and the runs there were."""
    said: list[str] = []

    def progress(run: str, done: int, total: int, note: str) -> None:
        if not said or said[-1] != run:
            said.append(run)
        if kill == (run, done):
            raise KilledError

    compress(network(), plan, digits(), folder, network="n", key=key, on_progress=progress, say=said.append)
    return said


def content(folder: Path) -> dict[str, Any]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(autouse=True)
def at_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", -1.0)


@pytest.mark.parametrize(("name", "plan"), [("joint", JOINT), ("by layer", BY_LAYER)])
def test_a_killed_job_ends_in_the_same_bytes(name: str, plan: Recipe, tmp_path: Path) -> None:
    job(plan, tmp_path / "whole")
    assert not (tmp_path / "whole" / CHECKPOINT_FILE).exists()
    for run in RUNS[name]:
        folder = tmp_path / run
        with pytest.raises(KilledError):
            job(plan, folder, kill=(run, 9))  # in the second epoch of six batches
        assert (folder / CHECKPOINT_FILE).exists()
        assert not (folder / STAGES_FILE).exists()
        said = job(plan, folder)
        assert said[0] == f"going on in {run} after epoch 1"
        assert [word for word in said if word in RUNS[name]] == list(RUNS[name][RUNS[name].index(run) :])
        assert content(folder) == content(tmp_path / "whole")


def test_dropout_draws_by_the_seed_of_the_recipe_and_leaves_the_program_s_own_alone(tmp_path: Path) -> None:
    for name in ("first", "second"):
        torch.manual_seed(len(name))
        before = torch.get_rng_state()
        job(BY_LAYER, tmp_path / name)
        torch.manual_seed(1)  # as building the network did
        network()
        expected = torch.get_rng_state()
        torch.set_rng_state(before)
        job(BY_LAYER, tmp_path / "again")
        assert torch.equal(torch.get_rng_state(), expected)
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_one_killed_between_two_runs_does_the_end_of_the_first_again(tmp_path: Path) -> None:
    job(JOINT, tmp_path / "whole")
    with pytest.raises(KilledError):
        job(JOINT, tmp_path / "cut", kill=("quantise", 1))
    assert job(JOINT, tmp_path / "cut")[0] == "going on in prune after epoch 3"
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_another_job_or_a_damaged_file_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        job(JOINT, tmp_path, kill=("prune", 9))
    with pytest.raises(KilledError):
        job(JOINT, tmp_path, kill=("shrink 1", 1), key="another")
    assert not (tmp_path / CHECKPOINT_FILE).exists()  # or the first job would take up the files of the second
    assert job(JOINT, tmp_path, key="another")[0] == "shrink 1"
    with pytest.raises(KilledError):
        job(JOINT, tmp_path, kill=("prune", 9))
    checkpoint = tmp_path / CHECKPOINT_FILE
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert job(JOINT, tmp_path)[0] == "shrink 1"
