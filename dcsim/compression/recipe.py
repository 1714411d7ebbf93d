"""What a recipe YAML says: how a network is shrunk, pruned, quantised and shared."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.compression.share import Initialization
from dcsim.config import SourcedSpec, Spec

Count = Annotated[int, Field(gt=0)]
Density = Annotated[float, Field(gt=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class TrainingSpec(Spec):
    """What every run of the training loop has in common.

    Attributes:
        batch_size: training examples in a step.
        weight_decay: AdamW's, of tensors of two and more dimensions.
        shift_pixels: images are moved by up to so many pixels each way.
        n_threads: part of the recipe, because the order of floating-point sums, and so every byte, depends on it.
        teacher_weight: share of the dense network's own answers in the loss.
    """

    batch_size: Count
    weight_decay: NotNegative
    shift_pixels: Annotated[int, Field(ge=0, le=8)]
    n_threads: Annotated[int, Field(ge=1, le=256)]
    teacher_weight: Annotated[float, Field(ge=0, le=1)] = 0.0


class RunSpec(Spec):
    """One run: AdamW, its rate falling linearly to 1 % of `learning_rate`.

    Attributes:
        epochs: passes over the training set.
        learning_rate: at the start.
    """

    epochs: Annotated[int, Field(ge=0)]
    learning_rate: Annotated[float, Field(gt=0)]


class ShrinkSpec(Spec):
    """Whole units (filters, neurons) go, the least salient first, and the network is physically smaller afterwards.

    Each step is a run of its own: train, then remove; the count falls geometrically. Files keep the original shapes.

    Attributes:
        units: how many filters or neurons stay, by layer.
        n_steps: runs.
        epochs_per_step: passes over the training set in each.
        learning_rate: at the start of each.
    """

    units: Annotated[dict[str, Count], Field(min_length=1)]
    n_steps: Count
    epochs_per_step: Count
    learning_rate: Annotated[float, Field(gt=0)]


class PruneSpec(RunSpec):
    """Pruning while training. What stays is a count or a share of the whole network, or is said of each layer.

    Attributes:
        criterion: `magnitude`, or `saliency`, w^2 E[g^2].
        schedule: `one-shot` before the first batch; `iterative` in `n_steps` steps, each keeping the same share of what
            the one before kept; `gradual` every hundred batches.
        n_steps: of `iterative`.
        epochs_per_step: of `iterative`; what is left of `epochs` comes after the last step.
        n_kept: weights of the whole network that stay.
        density: share of the weights of the whole network that stays.
        regrow: pruned weights go on learning and may come back.
        l1_weight: of the sum of magnitudes in the loss.
        l2_weight: of the sum of squares in the loss.
    """

    criterion: Literal["magnitude", "saliency"] = "magnitude"
    schedule: Literal["one-shot", "iterative", "gradual"]
    n_steps: Count = 1
    epochs_per_step: Count = 1
    n_kept: Count | None = None
    density: Density | None = None
    regrow: bool = False
    l1_weight: NotNegative = 0.0
    l2_weight: NotNegative = 0.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.schedule == "iterative" and self.epochs < self.n_steps * self.epochs_per_step:
            raise ValueError(
                f"epochs is the total: {self.n_steps} steps of {self.epochs_per_step} need at least as many"
            )
        if self.criterion == "saliency" and (self.schedule != "gradual" or not self.epochs):
            raise ValueError("saliency is learned while training: it needs schedule: gradual and an epoch at least")
        if self.n_kept is not None and self.density is not None:
            raise ValueError("n_kept and density were both given: give one, or neither and one for each layer")
        return self

    @property
    def network_wide(self) -> bool:
        """Whether one target is said of the whole network."""
        return self.n_kept is not None or self.density is not None


class ShareSpec(RunSpec):
    """Sharing: codes stay, centroids are trained by the summed gradients of those that share them.

    Attributes:
        codebook: `layer`, one for each, or `network`, one for all and a scale for each tensor.
        n_codes: values of the network's codebook, zero not counted.
        rate_weight: squared error that a bit of code length is worth, in squared mean magnitudes; above 0 a code of
            fewer bits may be chosen over a nearer value.
    """

    codebook: Literal["layer", "network"]
    n_codes: Annotated[int, Field(ge=1, le=255)] | None = None
    rate_weight: NotNegative = 0.0

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.codebook == "network") != (self.n_codes is not None):
            raise ValueError("n_codes belongs to a codebook of the network; those of layers have code_bits")
        return self


class LayerRecipe(Spec):
    """Targets of the tensors that a name or glob means: of a layer's weights, or of any tensor by its full name.

    Attributes:
        density: share of the weights that stays.
        quality: the threshold of Han et al. (NIPS 2015), in standard deviations of the layer's dense weights.
        code_bits: width of a code before Huffman coding.
        gap_bits: width of a gap before Huffman coding; `auto` makes the file smallest.
    """

    density: Density | None = None
    quality: NotNegative | None = None
    code_bits: Annotated[int, Field(ge=1, le=10)] | None = None
    gap_bits: Annotated[int, Field(ge=0, le=MAX_GAP_BITS)] | Literal["auto"] = "auto"


class Recipe(SourcedSpec):
    """How one network is compressed: a chain of runs, shrink, prune, quantise, share.

    Attributes:
        seed: of everything random.
        training: what all runs have in common.
        shrink: optional: units that go before weights do.
        prune: which weights stay.
        quantise: optional: a run in which weights learn while the network sees them through the codebook.
        share: how weights come to share values.
        layers: by name or glob; the first that matches counts. None: all matrices and their biases.
        small_tensors: format of those that `layers` does not name.
        codebooks: format of their values.
        centroids: where k-means begins; linear is what Deep Compression, section 3.2, chose.
    """

    seed: Annotated[int, Field(ge=0)]
    training: TrainingSpec
    shrink: ShrinkSpec | None = None
    prune: PruneSpec
    quantise: RunSpec | None = None
    share: ShareSpec
    layers: dict[str, LayerRecipe] = Field(default={})
    small_tensors: Literal["fp16", "fp32"] = "fp16"
    codebooks: Literal["fp16", "fp32"] = "fp16"
    centroids: Initialization = "linear"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        per_layer = not self.prune.network_wide
        if (per_layer or self.share.codebook == "layer") and not self.layers:
            raise ValueError("without layers, prune needs n_kept or density, and share codebook: network with n_codes")
        for name, layer in self.layers.items():
            if per_layer and (layer.density is None) == (layer.quality is None):
                raise ValueError(f"layers.{name} needs a density or a quality")
            if not per_layer and (layer.density is not None or layer.quality is not None):
                raise ValueError(f"layers.{name} has a target of its own, but prune has one for the network")
            if (self.share.codebook == "layer") != (layer.code_bits is not None):
                raise ValueError(f"layers.{name}: code_bits belongs to a codebook of each layer, and is needed there")
        together = self.share.codebook == "network"
        if together and self.codebooks != "fp16":
            raise ValueError("the codebook of a network and its scales are fp16")
        if together and self.centroids != "linear":
            raise ValueError("the codebook of a network begins at the optimum: leave centroids out")
        if together and any(layer.gap_bits != "auto" for layer in self.layers.values()):
            raise ValueError("with a codebook of the network, gap_bits are chosen by size: leave them out")
        return self

    def layer_of(self, tensor: str, n_dimensions: int) -> LayerRecipe | None:
        """What `layers` says of a tensor.

        The first pattern that matches counts. A glob means matrices and filters by their module's name, or, ending in
        a plain `.bias` or the like, any tensors.
        """
        module, _, part = tensor.rpartition(".")
        for pattern, layer in self.layers.items():
            if pattern == tensor or (pattern.endswith(f".{part}") and fnmatchcase(tensor, pattern)):
                return layer
            if part == "weight" and (pattern == module or (n_dimensions > 1 and fnmatchcase(module, pattern))):
                return layer
        return None


def search_base(name: str) -> Recipe:
    """A recipe for any network, to search around: global saliency, one codebook, the dense network as teacher."""
    assumed = "assumption: what did well on the LeNets"
    return Recipe(
        name=name,
        seed=0,
        training=TrainingSpec(batch_size=128, weight_decay=0.0, shift_pixels=0, n_threads=1, teacher_weight=0.5),
        prune=PruneSpec(criterion="saliency", schedule="gradual", n_kept=1, epochs=24, learning_rate=4e-3),
        quantise=RunSpec(epochs=10, learning_rate=1e-3),
        share=ShareSpec(codebook="network", n_codes=8, rate_weight=0.02, epochs=2, learning_rate=3e-4),
        sources=dict.fromkeys(("seed", "training", "prune", "quantise", "share"), assumed),
    )


class DenseTraining(SourcedSpec):
    """`models/<name>/training.yaml`: how the dense weights beside it were made.

    Attributes:
        seed: of everything random.
        training: what all runs have in common.
        dense: the run.
    """

    seed: Annotated[int, Field(ge=0)]
    training: TrainingSpec
    dense: RunSpec
