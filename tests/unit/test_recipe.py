"""Are recipes refused that contradict themselves, and do names and globs mean the tensors they should?"""

from typing import Any

import pytest
from pydantic import ValidationError

from dcsim.compression.recipe import search_base
from tests.recipes import recipe

LAYER = {"codebook": "layer", "n_codes": None}
FULL = {"density": 0.5, "code_bits": 3}


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"prune": {"density": 0.5}}, "n_kept and density were both given"),
        ({"prune": {"n_kept": None}}, "without layers, prune needs n_kept or density"),
        ({"share": LAYER}, "without layers"),
        ({"share": {"codebook": "layer"}}, "n_codes belongs to a codebook of the network"),
        ({"share": {"n_codes": None}}, "n_codes belongs to a codebook of the network"),
        ({"prune": {"schedule": "iterative", "n_steps": 2, "epochs_per_step": 2}}, "2 steps of 2 need at least"),
        (
            {"prune": {"n_kept": None}, "share": LAYER, "layers": {"a": {"code_bits": 3}}},
            "layers.a needs a density or a",
        ),
        (
            {"prune": {"n_kept": None}, "share": LAYER, "layers": {"a": {**FULL, "quality": 1.0}}},
            "layers.a needs a density or a quality",
        ),
        ({"share": LAYER, "layers": {"a": FULL}}, "layers.a has a target of its own"),
        ({"share": LAYER, "layers": {"a": {}}}, "layers.a: code_bits belongs to a codebook of each layer"),
        ({"layers": {"a": {"code_bits": 3}}}, "layers.a: code_bits belongs to a codebook of each layer"),
        ({"layers": {"a": {"gap_bits": 4}}}, "gap_bits are chosen by size"),
        ({"prune": {"criterion": "saliency"}}, "saliency is learned while training"),
        ({"prune": {"criterion": "saliency", "schedule": "gradual", "epochs": 0}}, "an epoch at least"),
        ({"centroids": "forgy"}, "begins at the optimum"),
        ({"codebooks": "fp32"}, "the codebook of a network and its scales are fp16"),
        ({"shrink": {"units": {}, "n_steps": 1, "epochs_per_step": 1, "learning_rate": 1e-3}}, "at least 1 item"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(sections: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        recipe(**sections)


@pytest.mark.parametrize(
    ("tensor", "n_dimensions", "density"),
    [
        ("conv1.weight", 4, 0.1),  # by name
        ("block1.conv.weight", 4, 0.2),  # by glob
        ("block1.bn.weight", 1, None),  # a glob of modules means matrices and filters
        ("block1.conv.bias", 1, 0.3),  # a glob of tensors means any
        ("head.bias", 1, 0.3),
        ("head.weight", 2, None),
        ("bn.weight", 1, 0.4),  # by its own name
    ],
)
def test_the_first_pattern_that_matches_counts(tensor: str, n_dimensions: int, density: float | None) -> None:
    densities = {"conv1": 0.1, "block*": 0.2, "*.bias": 0.3, "bn": 0.4, "conv*": 0.9}
    layers = {pattern: {"density": value, "code_bits": 3} for pattern, value in densities.items()}
    found = recipe(prune={"n_kept": None}, share=LAYER, layers=layers).layer_of(tensor, n_dimensions)
    assert (found.density if found else None) == density


def test_a_recipe_to_search_around_is_whole_and_sourced() -> None:
    base = search_base("mine")
    assert base.leaves_without_source() == []
    assert base.prune.network_wide
    assert base.share.codebook == "network"
