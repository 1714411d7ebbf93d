"""Are figures given for one run taken over, alone or in place of a recipe's, and impossible ones refused?"""

from typing import Any

import pytest

from dcsim.compression.plan import MAX_CODE_BITS, AsIs, Overrides, PostTraining, gap_bits_from
from dcsim.compression.recipe import Recipe
from dcsim.errors import ConfigError
from dcsim.prepare import load_recipe
from dcsim.zoo import find_network
from tests.recipes import recipe as plain

EVERYTHING: dict[str, Any] = {"density": 0.3, "code_bits": 6, "gap_bits": 5, "centroids": "density"}


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe(find_network("lenet-300-100"), None)


def test_nothing_given_is_the_default() -> None:
    assert Overrides().post_training() == PostTraining(None, None, 8, "auto", "linear")
    assert Overrides().packing() == AsIs("auto")


def test_what_is_given_takes_the_place_of_the_default() -> None:
    assert Overrides(**EVERYTHING).post_training() == PostTraining(0.3, None, 6, 5, "density")
    assert Overrides(threshold=0.01).post_training() == PostTraining(threshold=0.01)
    assert Overrides(gap_bits=0).post_training().gap_bits == 0
    assert Overrides(gap_bits=0).packing() == AsIs(0)


@pytest.mark.parametrize("density", [0, -0.1, 1.0001, 10, float("nan"), float("inf")])
def test_a_density_that_is_none_is_refused(density: float) -> None:
    with pytest.raises(ConfigError, match=f"density {density} is not possible: expected above 0, at most 1"):
        Overrides(density=density)


@pytest.mark.parametrize("threshold", [0, -0.1, float("nan"), float("inf"), 1e39])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match=r"threshold .* is not possible: expected a positive number that fp32 holds"):
        Overrides(threshold=threshold)


@pytest.mark.parametrize("code_bits", [0, -1, MAX_CODE_BITS + 1])
def test_code_bits_out_of_range_are_refused(code_bits: int) -> None:
    with pytest.raises(ConfigError, match=f"codes of {code_bits} bits are not possible: expected 1 to 10"):
        Overrides(code_bits=code_bits)


@pytest.mark.parametrize("gap_bits", [-1, 17])
def test_gap_bits_out_of_range_are_refused(gap_bits: int) -> None:
    with pytest.raises(ConfigError, match=f"gaps of {gap_bits} bits are not possible: 0 to 16, or auto"):
        Overrides(gap_bits=gap_bits)


def test_the_ends_of_every_range_are_possible() -> None:
    for given in (
        {"density": 1e-9},
        {"density": 1},
        {"threshold": 1e-60},
        {"code_bits": 1},
        {"code_bits": 10},
        {"gap_bits": 16},
    ):
        Overrides(**given)


def test_density_and_threshold_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="a density and a threshold were both given: give one"):
        Overrides(density=0.1, threshold=0.1)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"density": 0.5}, "--prune-density"),
        ({"threshold": 0.5}, "--prune-threshold"),
        ({"code_bits": 8}, "--codebook-bits"),
        ({"centroids": "linear"}, "--centroids"),
        (EVERYTHING, "--prune-density, --codebook-bits, --centroids"),
    ],
)
def test_what_would_change_weights_cannot_be_asked_of_as_is(given: dict[str, Any], options: str) -> None:
    with pytest.raises(ConfigError, match=f"--as-is changes no weight, so {options} cannot be given with it"):
        Overrides(**given).packing()


@pytest.mark.parametrize("name", EVERYTHING)
def test_one_figure_changes_one_figure_of_every_layer_and_no_other(recipe: Recipe, name: str) -> None:
    changed = Overrides(**{name: EVERYTHING[name]}).of_recipe(recipe)
    before, after = recipe.model_dump(), changed.model_dump()
    if name == "centroids":
        assert (before.pop(name), after.pop(name)) == ("linear", "density")
    else:
        assert all(layer.pop(name) == EVERYTHING[name] for layer in after["layers"].values())
        assert all(layer.pop(name) != EVERYTHING[name] for layer in before["layers"].values())
    assert after == before
    assert len(after["layers"]) == 3


def test_a_seed_and_the_share_of_a_whole_network_are_taken_over() -> None:
    whole = plain(prune={"n_kept": 20})
    changed = Overrides(seed=7, density=0.25).of_recipe(whole)
    assert (changed.seed, changed.prune.n_kept, changed.prune.density) == (7, None, 0.25)
    by_quality = plain(
        prune={"n_kept": None},
        share={"codebook": "layer", "n_codes": None},
        layers={"*": {"quality": 1.0, "code_bits": 3}},
    )
    layer = Overrides(density=0.25).of_recipe(by_quality).layers["*"]
    assert (layer.density, layer.quality) == (0.25, None)
    with pytest.raises(ConfigError, match="recipe plain has one codebook for all layers"):
        Overrides(code_bits=4).of_recipe(whole)
    for without_training in (Overrides(seed=1).post_training, Overrides(seed=1).packing):
        with pytest.raises(ConfigError, match="a seed is for a recipe"):
            without_training()


def test_a_recipe_is_left_as_it_was(recipe: Recipe) -> None:
    before = recipe.model_dump()
    assert Overrides().of_recipe(recipe).model_dump() == before
    Overrides(**EVERYTHING).of_recipe(recipe)
    assert recipe.model_dump() == before


def test_a_recipe_knows_no_threshold(recipe: Recipe) -> None:
    with pytest.raises(ConfigError, match="a threshold is for --post-training; a recipe prunes to a density"):
        Overrides(threshold=0.1).of_recipe(recipe)


@pytest.mark.parametrize(("text", "expected"), [(None, None), ("auto", "auto"), ("0", 0), ("16", 16), ("-1", -1)])
def test_gap_bits_are_read_as_a_person_writes_them(text: str | None, expected: object) -> None:
    assert gap_bits_from(text) == expected


@pytest.mark.parametrize("text", ["", "4.0", "four", "AUTO", "0x4"])
def test_gap_bits_that_are_no_number_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"gap bits '{text}': expected a number from 0 to 16, or auto"):
        gap_bits_from(text)
