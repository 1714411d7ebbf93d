"""The pipeline: dense weights -> four `.dcz` files, each written, read back, decoded and tested.

    shrink -> prune -> quantise -> share

Runs of training change one model in place; where units were removed it is smaller than the one that a file describes.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dcsim.artifact import VARIANTS, CompressedModel, Floats, GapBits, Variant, pack, pack_linked
from dcsim.compression.codebooks import Quantising, Sharing
from dcsim.compression.prune import Pruning
from dcsim.compression.recipe import Recipe
from dcsim.compression.shrink import shrink
from dcsim.compression.store import CHECKPOINT_FILE, Stage, write_stages
from dcsim.compression.structure import (
    compressible,
    drop_dead_units,
    find_units,
    in_full_shape,
    n_compressible,
    set_shapes,
)
from dcsim.compression.training import Checkpoint, OnProgress, Teacher, Trainer, error_rate, forward, in_threads
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError, NetworkError

OnStage = Callable[[Stage], None]


def compress(
    model: nn.Module,
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    *,
    network: str,
    key: str,
    on_progress: OnProgress = lambda run, done, total, note: None,
    on_stage: OnStage = lambda stage: None,
    say: Callable[[str], None] = lambda message: None,
) -> tuple[Stage, ...]:
    """Run Deep Compression on `model` and leave `<variant>.dcz` and `stages.json` in `folder`.

    A job that was killed leaves a checkpoint there, and the next one with the same key goes on from it.

    Args:
        model: trained classifier; changed in place.
        network: name to record.
        key: fingerprint of all that the files depend on, to find them again.
        on_progress: called after every batch of training.
        on_stage: called when a stage's file has been tested.
        say: told what k-means made of the centroids.

    Raises:
        ConfigError: the recipe names a layer that is not there.
        NetworkError: the model fails on the data.
        OutputError: the folder cannot be written.
    """
    require_layers(recipe, model)
    require_data(recipe, model, dataset)
    recipe = counted(recipe, model)
    files = _Files(folder, network, copy.deepcopy(model), dataset, on_stage)
    checkpoint = Checkpoint(folder / CHECKPOINT_FILE, key)
    saved = checkpoint.load()
    if saved is None:
        checkpoint.remove()  # of another job, whose files this one replaces
    generator = torch.Generator().manual_seed(recipe.seed)
    teacher = Teacher(copy.deepcopy(model), recipe.training.teacher_weight) if recipe.training.teacher_weight else None
    trainer = Trainer(model, dataset, recipe.training, generator, teacher, on_progress, checkpoint, saved)
    with in_threads(recipe.training.n_threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        files.add("dense", pack(network, "dense", state_weights(model)))
        if saved:
            say(f"going on in {saved['run']} after epoch {saved['epoch']}")
            set_shapes(model, saved["model"])
            model.load_state_dict(saved["model"])
        _prune(trainer, recipe, files)
        _share(trainer, recipe, files, say)
    write_stages(folder, network, recipe, key, dataset.name, torch.__version__, files.stages)
    checkpoint.remove()
    return tuple(files.stages)


def _prune(trainer: Trainer, recipe: Recipe, files: "_Files") -> None:
    """Shrink and prune, and leave the `pruned` file; it is there when the job was killed later."""
    model = trainer.model
    if recipe.shrink:
        shrink(trainer, recipe.shrink, {layer: files.shapes[f"{layer}.weight"][0] for layer in recipe.shrink.units})
    if trainer.skips("prune"):
        files.keep("pruned")
        return
    pruning = Pruning(model, recipe)
    trainer.fit("prune", recipe.prune, model.parameters(), pruning)
    pruning.finish()
    if recipe.prune.network_wide:
        drop_dead_units(model)
    _round_small_tensors(model, recipe)
    files.add("pruned", pack(files.network, "pruned", files.full(model), _gap_bits(recipe, model)))


def _share(trainer: Trainer, recipe: Recipe, files: "_Files", say: Callable[[str], None]) -> None:
    """Quantise and share, and leave the `shared` and the `huffman` file."""
    model, quantising = trainer.model, None
    if recipe.quantise and not trainer.skips("quantise"):
        quantising = Quantising(model, recipe)
        trainer.fit("quantise", recipe.quantise, model.parameters(), quantising)
    sharing = Sharing(model, recipe, quantising)
    trainer.fit("share", recipe.share, sharing.parameters(), sharing)
    shared = sharing.finish()
    _round_small_tensors(model, recipe)
    weights = files.full(model)
    if shared is None:
        say(_centroids_in_use(sharing, recipe))
    for variant in VARIANTS[2:]:
        if shared is None:
            files.add(variant, pack(files.network, variant, weights, _gap_bits(recipe, model)))
        else:
            codes = in_full_shape(shared.codes, files.shapes)
            files.add(variant, pack_linked(files.network, variant, weights, shared.codebook, codes, shared.scales))


class _Files:
    """The folder of a job: every file is written, read back, decoded into the original architecture and tested.

    Attributes:
        network: name to record.
        shapes: of every floating-point tensor of the original, by name.
        stages: what was added.
    """

    def __init__(self, folder: Path, network: str, original: nn.Module, dataset: Dataset, on_stage: OnStage) -> None:
        self.network = network
        self._folder, self._original, self._dataset, self._on_stage = folder, original, dataset, on_stage
        self.shapes = {name: values.shape for name, values in state_weights(original).items()}
        self.stages: list[Stage] = []

    def full(self, model: nn.Module) -> dict[str, Floats]:
        """The weights of `model` in the shapes of the original."""
        return in_full_shape(state_weights(model), self.shapes)

    def add(self, variant: Variant, packed: CompressedModel) -> None:
        """Write a file and test it."""
        packed.save(self._folder / f"{variant}.dcz")
        self.keep(variant)

    def keep(self, variant: Variant) -> None:
        """Test a file that is there."""
        stored = CompressedModel.load(self._folder / f"{variant}.dcz")
        load_weights(self._original, stored.decode())
        test_error = error_rate(self._original, self._dataset)
        self.stages.append(Stage(variant, stored.file_bytes, stored.compression_ratio, test_error, stored.sha256))
        self._on_stage(self.stages[-1])


def counted(recipe: Recipe, model: nn.Module) -> Recipe:
    """A share of the network as a count, which stays the same when units are removed."""
    if recipe.prune.density is None:
        return recipe
    n_all = n_compressible(model, recipe)
    n_kept = max(1, round(recipe.prune.density * n_all))
    return recipe.model_copy(update={"prune": recipe.prune.model_copy(update={"n_kept": n_kept, "density": None})})


def _gap_bits(recipe: Recipe, model: nn.Module) -> dict[str, GapBits]:
    layers = {name: recipe.layer_of(name, tensor.dim()) for name, tensor in compressible(model, recipe).items()}
    return {name: layer.gap_bits for name, layer in layers.items() if layer}


def _centroids_in_use(sharing: Sharing, recipe: Recipe) -> str:
    """A start other than `optimal` may leave centroids without weights, in the gap that pruning leaves about zero."""
    found = {name.removesuffix(".weight"): book.clusters for name, book in sharing.distinct.items()}
    counts = [f"{name} {len(c.centroids) - c.n_empty} of {len(c.centroids)}" for name, c in found.items() if c]
    return f"centroids in use, {recipe.centroids} start: {', '.join(counts)}"


@torch.no_grad()
def _round_small_tensors(model: nn.Module, recipe: Recipe) -> None:
    """Round one-dimensional tensors that the recipe does not compress to its format, those that fit its range."""
    if recipe.small_tensors == "fp16":
        named = compressible(model, recipe)
        for name, tensor in model.state_dict().items():
            rounded = tensor.half().float() if tensor.is_floating_point() else tensor
            if tensor.dim() < 2 and name not in named and torch.isfinite(rounded).all():
                tensor.copy_(rounded)


def require_layers(recipe: Recipe, model: nn.Module) -> None:
    """Refuse a recipe whose layers the model does not have. Raises ConfigError with the names there are."""
    usable = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad and tensor.any()}
    matched = [recipe.layer_of(name, tensor.dim()) for name, tensor in usable.items()]
    idle = [pattern for pattern, layer in recipe.layers.items() if all(layer is not found for found in matched)]
    if idle:
        weights = [n.removesuffix(".weight") for n, t in usable.items() if n.endswith(".weight") and t.dim() > 1]
        raise ConfigError(
            f"recipe {recipe.name}: layers {', '.join(idle)} cannot be compressed: not in the network, named before, "
            f"without weights, frozen or all zero; it has {', '.join(sorted(weights))}, and any other tensor by its "
            "full name"
        )
    n_all = n_compressible(model, recipe)
    if not n_all:
        raise ConfigError(f"recipe {recipe.name}: the network has no weights that can be trained and compressed")
    if recipe.prune.n_kept is not None and recipe.prune.n_kept > n_all:
        raise ConfigError(f"recipe {recipe.name}: n_kept is {recipe.prune.n_kept}, the network has {n_all} weights")
    found = find_units(model) if recipe.shrink else {}
    for layer, n_units in (recipe.shrink.units if recipe.shrink else {}).items():
        if layer not in found:
            raise ConfigError(
                f"recipe {recipe.name}: units of {layer} cannot be removed: no such layer, or what it gives is added "
                "to or joined with another's, or is the network's output; those of these layers can: "
                + (", ".join(found) or "none")
            )
        n_now = len(model.get_parameter(f"{layer}.weight"))
        if n_units > n_now:
            raise ConfigError(f"recipe {recipe.name}: {layer} cannot keep {n_units} units, it has {n_now}")


def require_data(recipe: Recipe, model: nn.Module, dataset: Dataset) -> None:
    """Refuse a model and data that do not go together, before any file is written.

    Raises:
        ConfigError: the recipe shifts what is not an image.
        NetworkError: the forward fails, or its output has no score for some class.
    """
    shape = dataset.train_inputs.shape
    if recipe.training.shift_pixels and len(shape) != 4:
        raise ConfigError(
            f"recipe {recipe.name}: shift_pixels needs images (n, channels, height, width), the inputs are {shape}; "
            "set it to 0"
        )
    require_scores(model, dataset)


def require_scores(model: nn.Module, dataset: Dataset) -> None:
    """Refuse a model that gives no score for some class, or does not compute in fp32. Raises NetworkError."""
    other = [name for name, p in model.named_parameters() if p.is_floating_point() and p.dtype != torch.float32]
    if other:
        raise NetworkError(f"{other[0]} is {model.get_parameter(other[0]).dtype}, expected fp32: build with .float()")
    with torch.no_grad():
        scores = forward(model.eval(), torch.from_numpy(dataset.test_inputs[:1]))
    n_classes = 1 + int(max(dataset.train_labels.max(), dataset.test_labels.max()))
    if scores.dim() != 2 or scores.shape[1] < n_classes:
        raise NetworkError(
            f"the model's output for one example has shape {tuple(scores.shape)}, expected (1, {n_classes}) or more "
            f"classes for the labels of {dataset.name}"
        )


def state_weights(model: nn.Module) -> dict[str, Floats]:
    """Every floating-point tensor of the model's state, as fp32 arrays by name; a tied one by its first name."""
    return {name: tensor.detach().float().numpy().copy() for name, tensor in state_floats(model).items()}


def state_floats(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every floating-point tensor of the model's state by name; a tied one by its first name."""
    found: dict[str, torch.Tensor] = {}
    seen = set()
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            continue  # what a quantised module packs
        if tensor.layout != torch.strided or tensor.is_meta:
            kind = "has no values, only a shape" if tensor.is_meta else f"has the layout {tensor.layout}"
            raise NetworkError(f"{name} {kind}: expected a dense tensor with values")
        place = (tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        if tensor.is_floating_point() and place not in seen:
            seen.add(place)
            found[name] = tensor
    return found


def fill_weights(model: nn.Module, stored: CompressedModel) -> None:
    """Put the tensors of a file into `model`, one after the other; it keeps its own where the file has none.

    Raises:
        NetworkError: the file has one that the model has not, or of another shape.
    """
    floats = state_floats(model)
    for tensor in stored.tensors:
        target = floats.get(tensor.name)
        if target is None or tuple(target.shape) != tensor.shape:
            expected = "none of that name" if target is None else f"shape {tuple(target.shape)}"
            raise NetworkError(f"the file does not fit the network: {tensor.name}, {tensor.shape}; expected {expected}")
        target.copy_(torch.from_numpy(tensor.decode()))


def load_weights(model: nn.Module, weights: Mapping[str, Floats]) -> None:
    """Put `weights` into `model`. Raises NetworkError when names or shapes do not match."""
    state = state_floats(model)
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    found = {name: tuple(array.shape) for name, array in weights.items()}
    if expected != found:
        names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        listed = ", ".join(f"{n} (expected {expected.get(n)}, found {found.get(n)})" for n in names[:5])
        raise NetworkError(f"the weights do not fit the network: {listed}")
    for name, tensor in state.items():
        tensor.copy_(torch.from_numpy(np.array(weights[name])))
