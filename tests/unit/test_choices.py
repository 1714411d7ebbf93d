"""Do scans and searches find what they look for, and leave a recipe that can be run?"""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from dcsim.compression.recipe import Recipe
from dcsim.compression.search import PRECISION, Search, Trial
from dcsim.compression.sensitivity import scan
from dcsim.config import parse_spec
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError, NetworkError
from dcsim.report.choices import recipe_text, sensitivity_figure, write_rows
from tests.recipes import recipe


def clouds() -> Dataset:
    """Four classes, told apart by the first two of 16 inputs alone."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 600)
    inputs = generator.normal(size=(600, 16)).astype(np.float32)
    inputs[:, 0] += 6 * (labels % 2) - 3
    inputs[:, 1] += 6 * (labels // 2) - 3
    return Dataset("clouds", inputs[:400], labels[:400], inputs[400:], labels[400:])


def network() -> nn.Sequential:
    """Reads the two inputs; the second layer is the one that matters, the first has room to spare."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 4))
    with torch.no_grad():
        model[0].weight.mul_(1e-3)  # type: ignore[operator]
        model[0].weight[:16, :16] += torch.eye(16)  # type: ignore[index, operator]
        model[1].weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]) @ torch.eye(2, 16))  # type: ignore[union-attr, operator]
        model[1].bias.zero_()  # type: ignore[union-attr, operator]
    return model


def test_a_scan_changes_one_layer_at_a_time_and_puts_it_back() -> None:
    model, data = network(), clouds()
    before_weights = [tensor.clone() for tensor in model.parameters()]
    before, rows = scan(model, data, densities=(1.0, 0.1, 0.02), code_bits=(4, 1))
    assert [(row.layer, row.change, row.value) for row in rows] == [
        (layer, change, value)
        for layer in ("0", "1")
        for change, value in (("density", 1), ("density", 0.1), ("density", 0.02), ("code_bits", 4), ("code_bits", 1))
    ]
    by = {(row.layer, row.change, row.value): row.error for row in rows}
    assert before < 0.02
    assert by["0", "density", 1.0] == by["1", "density", 1.0] == before
    assert by["0", "density", 0.1] == pytest.approx(before, abs=0.01)  # the diagonal is what is used
    assert by["1", "density", 0.02] > 0.4  # one weight of eight is left
    assert by["1", "code_bits", 1] > 0.6  # one value, one answer
    assert all(torch.equal(a, b) for a, b in zip(before_weights, model.parameters(), strict=True))
    with pytest.raises(NetworkError, match="no matrix"):
        scan(nn.ReLU(), data)


def test_zeros_stay_zero_when_a_layer_is_shared() -> None:
    """All weights of the pruned layer are one value: shared by codes of one bit it is what it was."""
    model = network()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(16))  # type: ignore[operator]
    before, rows = scan(model, clouds(), densities=(), code_bits=(1,))
    assert rows[0].error == before


def test_a_scan_is_written_and_drawn(tmp_path: Path) -> None:
    before, rows = scan(network(), clouds(), densities=(0.5, 0.1), code_bits=(4,))
    write_rows(rows, tmp_path / "scan.csv")
    with (tmp_path / "scan.csv").open() as stream:
        read = list(csv.DictReader(stream))
    assert [float(row["error"]) for row in read] == [row.error for row in rows]
    assert list(read[0]) == ["layer", "n_weights", "change", "value", "error"]
    left, right = sensitivity_figure("own", before, rows).axes
    assert [line.get_label() for line in right.get_lines()[:2]] == ["0", "1"]
    assert left.get_lines()[0].get_xdata().tolist() == [50, 10]  # type: ignore[union-attr]


BASE = recipe(
    prune={"schedule": "gradual", "criterion": "saliency", "epochs": 3},
    share={"n_codes": 8, "epochs": 1},
    quantise={"epochs": 1, "learning_rate": 1e-3},
)


class Imagined(Search):
    """Trials by formula: an error that falls, bytes that grow with weights and codes."""

    def _try(self, n_kept: int, n_codes: int) -> Trial:
        error = 2.0 / n_kept + {4: 0.05, 8: 0.01, 16: 0.008}[n_codes]
        trial = Trial(n_kept, n_codes, n_kept * {4: 3, 8: 4, 16: 6}[n_codes], error)
        self.trials.append(trial)
        return trial


@pytest.mark.parametrize("max_error", [0.02, 0.03, 0.1, 0.3])
def test_a_search_ends_within_its_precision_of_the_fewest_weights(max_error: float, tmp_path: Path) -> None:
    search = Imagined("n", "operators", network(), BASE, clouds(), tmp_path)
    best = search.smallest(max_error)
    assert best.error <= max_error
    possible = [
        n_kept * price
        for price, floor in ((3, 0.05), (4, 0.01), (6, 0.008))
        for n_kept in range(1, 341)
        if 2.0 / n_kept + floor <= max_error
    ]
    assert best.file_bytes <= min(possible) * PRECISION * 1.1 + 4
    assert len(search.trials) == len({(trial.n_kept, trial.n_codes) for trial in search.trials})
    assert len(search.trials) < 20


def test_what_is_out_of_reach_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"an error of 1.00 % is out of reach: with all 340 weights"):
        Imagined("n", "operators", network(), BASE, clouds(), tmp_path).smallest(0.01)


def test_a_search_needs_one_codebook(tmp_path: Path) -> None:
    by_layer = recipe(share={"codebook": "layer", "n_codes": None}, layers={"*": {"code_bits": 3}})
    densities = recipe(prune={"n_kept": None}, layers={"*": {"density": 0.5}})
    for base in (by_layer, densities):
        with pytest.raises(ConfigError, match="needs a target of the whole network"):
            Search("n", "operators", network(), base, clouds(), tmp_path)


def test_a_search_is_not_made_twice_and_its_recipe_can_be_read(tmp_path: Path) -> None:
    data = clouds().held_out()
    assert (len(data.train_labels), len(data.test_labels)) == (334, 66)
    seen: list[Trial] = []
    search = Search("n", "operators", network(), BASE, data, tmp_path, on_trial=seen.append)
    best = search.smallest(0.05)
    assert best.error <= 0.05
    assert best.n_kept <= 24
    runs: list[str] = []
    again = Search("n", "operators", network(), BASE, data, tmp_path, on_progress=lambda run, *_: runs.append(run))
    assert again.smallest(0.05) == best
    assert again.trials == seen
    assert runs == []
    text = recipe_text(search.recipe(best.n_kept, best.n_codes), best, 0.05)
    read = parse_spec(Recipe, text, "auto.yaml")
    assert (read.prune.n_kept, read.share.n_codes) == (best.n_kept, best.n_codes)
    assert read.prune.criterion == "saliency"
    assert str(best.file_bytes) in yaml.safe_load(text)["sources"]["prune.n_kept"]
