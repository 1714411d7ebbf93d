"""Are the files of models/strength.csv what it says, and do they reach what was asked for? Each is decoded and tested."""

import csv
from pathlib import Path
from statistics import median

import pytest
import torch

from dcsim.artifact import CompressedModel
from dcsim.compression.pipeline import load_weights
from dcsim.compression.training import error_rate
from dcsim.config import shipped
from dcsim.datasets import Dataset, load_mnist
from dcsim.zoo import find_network

MODELS = shipped("models")
with (MODELS / "strength.csv").open(newline="") as _stream:
    ROWS = list(csv.DictReader(_stream))
#: network, recipe: smallest ratio and largest error that the median of three seeds may have
ASKED = {
    ("lenet-300-100", "best"): (330, 0.019),
    ("lenet-300-100", "accurate"): (300, 0.016),
    ("lenet-300-100", "unaugmented"): (190, 0.019),
    ("lenet-5", "best"): (1000, 0.010),
    ("lenet-5", "accurate"): (700, 0.008),
}


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_mnist()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_a_file_is_worth_what_its_row_says(row: dict[str, str], mnist: Dataset) -> None:
    torch.set_num_threads(1)
    path: Path = MODELS / row["file"]
    stored = CompressedModel.load(path)
    assert (stored.file_bytes, stored.sha256) == (int(row["file_bytes"]), row["file_sha256"])
    assert stored.compression_ratio == pytest.approx(float(row["compression_ratio"]), abs=0.005)
    model = find_network(row["network"]).build()
    load_weights(model, stored.decode())
    assert error_rate(model, mnist) == pytest.approx(float(row["test_error"]), abs=1e-4)  # a digit: sums differ


@pytest.mark.parametrize(("network", "recipe"), ASKED)
def test_the_median_of_three_seeds_reaches_what_was_asked_for(network: str, recipe: str) -> None:
    rows = [
        r for r in ROWS if (r["network"], r["recipe"]) == (network, recipe) and "--prune-density" not in r["command"]
    ]
    least_ratio, largest_error = ASKED[network, recipe]
    assert sorted(row["seed"] for row in rows) == ["0", "1", "2"]
    assert median(float(row["compression_ratio"]) for row in rows) >= least_ratio
    assert median(float(row["test_error"]) for row in rows) <= largest_error
    assert all((int(row["shift_pixels"]) == 0) == (recipe == "unaugmented") for row in rows)
