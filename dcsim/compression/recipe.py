"""What a recipe YAML says: how a network is trained, pruned and shared."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.compression.share import Initialization
from dcsim.config import SourcedSpec, Spec, load_spec, parse_yaml

Count = Annotated[int, Field(gt=0)]


class TrainingSpec(Spec):
    """One run of the training loop: AdamW, its rate falling linearly to 1 % of `learning_rate`.

    The number of threads is part of it, because the order of floating-point sums, and so every byte, depends on it.
    """

    epochs: Annotated[int, Field(ge=0)]
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    shift_pixels: Annotated[int, Field(ge=0, le=8)]
    n_threads: Annotated[int, Field(ge=1, le=256)]


class PruneSpec(TrainingSpec):
    """Magnitude pruning while training: the kept share falls geometrically from 1 to the target in `n_steps` steps."""

    n_steps: Count
    epochs_per_step: Count

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if self.epochs < self.n_steps * self.epochs_per_step:
            raise ValueError(
                f"epochs is the total: {self.n_steps} steps of {self.epochs_per_step} need at least as many"
            )
        return self


class LayerRecipe(Spec):
    """Targets of one tensor: of a layer's weights, named as its module is, or of another by its full name."""

    density: Annotated[float, Field(gt=0, le=1)]
    code_bits: Annotated[int, Field(ge=1, le=10)]
    gap_bits: Annotated[int, Field(ge=0, le=MAX_GAP_BITS)] | Literal["auto"]


class Recipe(SourcedSpec):
    """How one network is compressed."""

    seed: Annotated[int, Field(ge=0)]
    small_tensors: Literal["fp16", "fp32"]  # those of one dimension that `layers` does not name
    codebooks: Literal["fp16", "fp32"]
    centroids: Initialization = "linear"  # where k-means begins: what Deep Compression, section 3.2, chose
    prune: PruneSpec
    share: TrainingSpec
    layers: Annotated[dict[str, LayerRecipe], Field(min_length=1)]


class GlobalPruneSpec(TrainingSpec):
    """Pruning of the network as a whole while training: the least salient weights go first, wherever they are."""

    n_kept: Count  # weights and biases that stay, at most
    units: dict[str, Count] = Field(default={})  # output units (filters, neurons) that stay at most, by layer


class JointRecipe(SourcedSpec):
    """How a network is compressed as a whole: pruned by saliency, one codebook for all layers, biases among them."""

    seed: Annotated[int, Field(ge=0)]
    n_codes: Annotated[int, Field(ge=1, le=255)]  # values of the codebook, zero not counted
    rate_weight: Annotated[float, Field(ge=0)]  # squared error that a bit of code length is worth, in mean magnitudes
    teacher_weight: Annotated[float, Field(ge=0, le=1)]  # of the dense network's answers in the loss
    prune: GlobalPruneSpec
    quantise: TrainingSpec
    share: TrainingSpec


AnyRecipe = Recipe | JointRecipe


def load_recipe_file(path: Path) -> AnyRecipe:
    """The recipe of a YAML file; one that says how to `quantise` is of the network as a whole. Raises ConfigError."""
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"), str(path))[0]
    except (OSError, UnicodeDecodeError):
        tree = None  # which load_spec explains
    if isinstance(tree, dict) and "quantise" in tree:
        return load_spec(JointRecipe, path)
    return load_spec(Recipe, path)


class DenseTraining(SourcedSpec):
    """`models/<name>/training.yaml`: how the dense weights beside it were made."""

    seed: Annotated[int, Field(ge=0)]
    training: TrainingSpec
