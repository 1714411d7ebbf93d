"""What a recipe YAML says: how a network is trained, pruned and shared."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.compression.share import Initialization
from dcsim.config import SourcedSpec, Spec

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


class DenseTraining(SourcedSpec):
    """`models/<name>/training.yaml`: how the dense weights beside it were made."""

    seed: Annotated[int, Field(ge=0)]
    training: TrainingSpec
