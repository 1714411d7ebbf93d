"""What a person may ask of a compression for one run, with a recipe or without."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.artifact import GapBits
from dcsim.artifact.packing import require_gap_bits
from dcsim.compression.recipe import LayerRecipe, Recipe
from dcsim.compression.share import Initialization
from dcsim.errors import ArtifactError, ConfigError

MAX_CODE_BITS = 10
MAX_THRESHOLD = float(np.finfo(np.float32).max)
#: what changes weights, and its option on the command line
CHANGES_WEIGHTS = {
    "density": "--prune-density",
    "threshold": "--prune-threshold",
    "code_bits": "--codebook-bits",
    "centroids": "--centroids",
}


@dataclass(frozen=True)
class PostTraining:
    """How to compress what will not be trained again.

    Attributes:
        density: share of each tensor's weights to keep, the largest magnitudes; None keeps all that are not zero.
        threshold: instead, the smallest magnitude to keep.
        code_bits: width of a code before Huffman coding; one code is left to the value zero. 8 by default, as Deep
            Compression used in convolutions: no training mends what sharing breaks.
        gap_bits: width of the relative index, or the one that makes the file smallest.
        centroids: where k-means begins.
    """

    density: float | None = None
    threshold: float | None = None
    code_bits: int = 8
    gap_bits: GapBits = "auto"
    centroids: Initialization = "linear"


@dataclass(frozen=True)
class AsIs:
    """Change nothing, pack each tensor bit for bit."""

    gap_bits: GapBits = "auto"


@dataclass(frozen=True)
class Overrides:
    """What replaces a recipe's figures, or the defaults where there is none. None leaves them.

    Raises:
        ConfigError: a figure is not possible.
    """

    density: float | None = None
    threshold: float | None = None
    code_bits: int | None = None
    gap_bits: GapBits | None = None
    centroids: Initialization | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.density is not None and not 0 < self.density <= 1:
            raise ConfigError(f"density {self.density} is not possible: expected above 0, at most 1")
        if self.threshold is not None and not 0 < self.threshold <= MAX_THRESHOLD:
            raise ConfigError(f"threshold {self.threshold} is not possible: expected a positive number that fp32 holds")
        if self.density is not None and self.threshold is not None:
            raise ConfigError("a density and a threshold were both given: give one")
        if self.code_bits is not None and not 1 <= self.code_bits <= MAX_CODE_BITS:
            raise ConfigError(f"codes of {self.code_bits} bits are not possible: expected 1 to {MAX_CODE_BITS}")
        try:
            require_gap_bits(self.gap_bits or "auto")
        except ArtifactError as error:
            raise ConfigError(str(error)) from error

    def post_training(self) -> PostTraining:
        """The defaults with these in their place."""
        self._require_no_seed()
        given = {name: value for name, value in vars(self).items() if value is not None}
        return PostTraining(**given)

    def packing(self) -> AsIs:
        """What can be asked of weights that stay as they are. Raises ConfigError for anything but gap bits."""
        self._require_no_seed()
        changed = [option for name, option in CHANGES_WEIGHTS.items() if getattr(self, name) is not None]
        if changed:
            raise ConfigError(f"--as-is changes no weight, so {', '.join(changed)} cannot be given with it")
        return AsIs("auto" if self.gap_bits is None else self.gap_bits)

    def _require_no_seed(self) -> None:
        if self.seed is not None:
            raise ConfigError("a seed is for a recipe: nothing is drawn without training")

    def of_recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with these in every layer. Raises ConfigError for what the recipe does not have."""
        if self.threshold is not None:
            raise ConfigError("a threshold is for --post-training; a recipe prunes to a density")
        update: dict[str, Any] = {}
        if self.seed is not None:
            update["seed"] = self.seed
        if self.centroids is not None:
            update["centroids"] = self.centroids
        given = {"density": self.density, "code_bits": self.code_bits, "gap_bits": self.gap_bits}
        of_layers: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if recipe.prune.network_wide and "density" in of_layers:
            density = of_layers.pop("density")
            update["prune"] = recipe.prune.model_copy(update={"density": density, "n_kept": None})
        elif "density" in of_layers:
            of_layers["quality"] = None
        if (of_layers or self.centroids is not None) and recipe.share.codebook == "network":
            raise ConfigError(f"recipe {recipe.name} has one codebook for all layers: edit a copy of it instead")
        if of_layers:
            layers = recipe.layers.items()
            update["layers"] = {n: LayerRecipe.model_validate(layer.model_dump() | of_layers) for n, layer in layers}
        return recipe.model_copy(update=update)


def gap_bits_from(text: str | None) -> GapBits | None:
    """A number of bits or `auto`, as a person writes it. Raises ConfigError."""
    if text is None:
        return None
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"gap bits {text!r}: expected a number from 0 to 16, or auto") from error
