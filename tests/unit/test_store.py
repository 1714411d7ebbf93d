"""Are finished compressions found again by exactly what they depend on, and unfinished or damaged ones not?"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.artifact import VARIANTS, Floats, pack
from dcsim.compression.recipe import Recipe
from dcsim.compression.store import STAGES_FILE, Stage, cache_key, cache_path, read_stages, shipped_path, write_stages
from dcsim.config import load_spec, shipped
from dcsim.prepare import compress
from tests.conftest import OWN_NETWORK, OWN_RECIPE

RECIPE = load_spec(Recipe, shipped("models") / "lenet-300-100" / "recipe.yaml")
WEIGHTS: dict[str, Floats] = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(3, np.float32)}
DATA = "the fingerprint of a data set"
KEY = cache_key(RECIPE, WEIGHTS, DATA, "operators")


def changed(**fields: Any) -> Recipe:
    """The recipe with some fields replaced; `fc1` replaces fields of that layer."""
    content = RECIPE.model_dump()
    content["layers"]["fc1"] |= fields.pop("fc1", {})
    content["prune"] |= fields.pop("prune", {})
    return Recipe.model_validate_json(json.dumps(content | fields))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished compression."""
    stages = []
    for variant in VARIANTS:
        model = pack("net", variant, WEIGHTS)
        model.save(tmp_path / f"{variant}.dcz")
        stages.append(Stage(variant, model.file_bytes, model.compression_ratio, 0.0125, model.sha256))
    write_stages(tmp_path, "net", RECIPE, KEY, "mnist", "2.6.0", stages)
    return tmp_path


@pytest.mark.parametrize(
    "recipe",
    [
        changed(seed=1),
        changed(codebooks="fp32"),
        changed(fc1={"density": 0.0801}),
        changed(fc1={"gap_bits": 5}),
        changed(prune={"epochs": 99}),
    ],
)
def test_another_recipe_has_another_key(recipe: Recipe) -> None:
    assert cache_key(recipe, WEIGHTS, DATA, "operators") != KEY


@pytest.mark.parametrize(
    "weights",
    [
        {**WEIGHTS, "b": np.float32([0, 0, 1e-30])},
        {**WEIGHTS, "b": np.float32([0, 0, -0.0])},
        {**WEIGHTS, "w": WEIGHTS["w"].reshape(3, 2)},
        {"w": WEIGHTS["w"]},
        {"w": WEIGHTS["w"], "bias": WEIGHTS["b"]},
        {**WEIGHTS, "extra": np.zeros(0, np.float32)},
    ],
)
def test_other_weights_have_another_key(weights: dict[str, Floats]) -> None:
    assert cache_key(RECIPE, weights, DATA, "operators") != KEY


def test_another_data_set_has_another_key() -> None:
    assert cache_key(RECIPE, WEIGHTS, "the fingerprint of another", "operators") != KEY


def test_other_operators_have_another_key() -> None:
    assert cache_key(RECIPE, WEIGHTS, DATA, "others") != KEY


def test_prose_and_the_order_of_tensors_do_not_change_the_key() -> None:
    assert cache_key(changed(description="better words", sources={"seed": "dice"}), WEIGHTS, DATA, "operators") == KEY
    assert cache_key(RECIPE, dict(reversed(WEIGHTS.items())), DATA, "operators") == KEY


def test_a_finished_compression_is_read_back(folder: Path) -> None:
    stages = read_stages(folder, KEY)
    assert stages is not None
    assert tuple(stage.variant for stage in stages) == VARIANTS
    for stage in stages:
        assert stage.file_bytes == (folder / f"{stage.variant}.dcz").stat().st_size
        assert stage.test_error == 0.0125


def test_what_was_compressed_is_written_down(folder: Path) -> None:
    about = json.loads((folder / STAGES_FILE).read_text())
    expected = {
        "network": "net",
        "recipe": "default",
        "key": KEY,
        "seed": 0,
        "dataset": "mnist",
        "torch_version": "2.6.0",
    }
    assert about | expected == about


def test_a_compression_of_another_key_is_not_taken(folder: Path) -> None:
    assert read_stages(folder, cache_key(changed(seed=1), WEIGHTS, DATA, "operators")) is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_compression_with_a_damaged_or_missing_file_is_not_taken(folder: Path, variant: str) -> None:
    path = folder / f"{variant}.dcz"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert read_stages(folder, KEY) is None
    path.unlink()
    assert read_stages(folder, KEY) is None
    path.write_bytes(content)
    assert read_stages(folder, KEY) is not None


def test_an_unfinished_compression_is_not_taken(folder: Path) -> None:
    (folder / STAGES_FILE).unlink()
    assert read_stages(folder, KEY) is None
    assert read_stages(folder / "nowhere", KEY) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"stages": [null]}',
        b'{"stages": [{}]}',
        b'{"stages": [{"variant": "dense"}]}',
    ],
)
def test_a_list_of_stages_that_makes_no_sense_is_not_taken(folder: Path, content: bytes) -> None:
    (folder / STAGES_FILE).write_bytes(content)
    assert read_stages(folder, KEY) is None


@pytest.mark.parametrize("change", ["schema", "order", "fewer", "more fields"])
def test_a_list_of_stages_of_another_kind_is_not_taken(folder: Path, change: str) -> None:
    about = json.loads((folder / STAGES_FILE).read_text())
    if change == "schema":
        about["schema"] += 1
    elif change == "order":
        about["stages"].reverse()
    elif change == "fewer":
        about["stages"].pop()
    else:
        about["stages"][0]["colour"] = "red"
    (folder / STAGES_FILE).write_text(json.dumps(about))
    assert read_stages(folder, KEY) is None


TWO_DATA_SETS = (
    OWN_NETWORK
    + """
def shuffled():
    d = data()
    return Dataset("shuffled", d.train_inputs, d.train_labels, d.test_inputs, d.test_labels[::-1].copy())
"""
)


def test_a_compression_on_another_data_set_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store_own.py").write_text(TWO_DATA_SETS)
    (tmp_path / "own.yaml").write_text(OWN_RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("DCSIM_CACHE", str(tmp_path / "cache"))
    first, again, other = (
        compress("store_own:build", "./own.yaml", dataset=f"store_own:{name}") for name in ("data", "data", "shuffled")
    )
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert first.stages[-1].test_error < 0.2 < other.stages[-1].test_error  # the test labels are shuffled


@pytest.mark.parametrize("network", ["lenet-5", "own.nets:build", "../../etc", "a/b", "größe:bau", ".."])
def test_every_network_has_its_own_folder_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    monkeypatch.setenv("DCSIM_CACHE", str(tmp_path))
    path = cache_path(network, KEY)
    assert path.resolve().parent == tmp_path.resolve() / "compressed"
    assert path.name.endswith(KEY[:16])
    assert path != cache_path(network, cache_key(changed(seed=1), WEIGHTS, DATA, "operators"))


def test_files_that_ship_lie_beside_their_network() -> None:
    assert shipped_path("lenet-5", "default") == shipped("models") / "lenet-5" / "compressed" / "default"
