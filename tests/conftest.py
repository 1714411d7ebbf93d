"""Fixtures shared by all folders: small real things, never stand-ins."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parent.parent
Dcsim = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def dcsim(tmp_path: Path) -> Dcsim:
    """Run `python -m dcsim` as a user would, in an empty folder with an empty cache for compressed files."""

    def call(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        env = os.environ | {"DCSIM_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"} | environment
        command = [sys.executable, "-m", "dcsim", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=280, check=False)

    return call


OWN_NETWORK = """
import numpy as np
import torch
from dcsim.datasets import Dataset


def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))


def data():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(4, 1, 8, 8))
    labels = generator.integers(0, 4, 600)
    inputs = (centres[labels] + 0.5 * generator.normal(size=(600, 1, 8, 8))).astype(np.float32)
    return Dataset("blobs", inputs[:500], labels[:500], inputs[500:], labels[500:])


def empty():
    return Dataset("nothing", np.zeros((0, 1, 8, 8), np.float32), np.zeros(0, np.int64),
                   np.zeros((0, 1, 8, 8), np.float32), np.zeros(0, np.int64))


def integers():
    d = data()
    return Dataset("ints", d.train_inputs, d.train_labels.astype(np.int32), d.test_inputs, d.test_labels)


def too_many_classes():
    d = data()
    return Dataset("classes", d.train_inputs, d.train_labels + 9, d.test_inputs, d.test_labels)


def flat():
    d = data()
    return Dataset("flat", d.train_inputs.reshape(-1, 64), d.train_labels, d.test_inputs.reshape(-1, 64), d.test_labels)


def frozen():
    model = build()
    model[1].weight.requires_grad = False
    return model


def zero():
    model = build()
    torch.nn.init.zeros_(model[1].weight)
    return model


class Broken(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(7, 4)

    def forward(self, x):
        return self.fc(x.flatten(1))
"""

OWN_RECIPE = """
name: own
seed: 3
small_tensors: fp16
codebooks: fp16
training: {batch_size: 50, weight_decay: 0, shift_pixels: 0, n_threads: 1}
prune: {schedule: iterative, epochs: 4, n_steps: 2, epochs_per_step: 1, learning_rate: 0.01}
share: {codebook: layer, epochs: 1, learning_rate: 0.001}
layers:
  "1": {density: 0.2, code_bits: 3, gap_bits: auto}
  "3": {density: 0.5, code_bits: 3, gap_bits: 4}
"""


@pytest.fixture
def own_network(tmp_path: Path) -> Path:
    """A folder with a user's own network, data and recipe: `own:build`, `own:data`, `own.yaml`."""
    (tmp_path / "own.py").write_text(OWN_NETWORK)
    (tmp_path / "own.yaml").write_text(OWN_RECIPE)
    return tmp_path
