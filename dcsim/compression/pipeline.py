"""The pipeline: dense weights -> four `.dcz` files, each written, read back, decoded and tested."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dcsim.artifact import VARIANTS, CompressedModel, Floats, GapBits, Variant, pack, pack_linked
from dcsim.compression import stages
from dcsim.compression.joint import Joint, compressible
from dcsim.compression.recipe import AnyRecipe, JointRecipe, Recipe
from dcsim.compression.share import Clusters
from dcsim.compression.store import Stage, write_stages
from dcsim.compression.training import Teacher, error_rate, forward
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError, NetworkError

#: stage, done, total, note: called often while training
OnProgress = Callable[[str, int, int, str], None]
OnStage = Callable[[Stage], None]


def compress(
    model: nn.Module,
    recipe: AnyRecipe,
    dataset: Dataset,
    folder: Path,
    *,
    network: str,
    key: str,
    on_progress: OnProgress = lambda stage, done, total, note: None,
    on_stage: OnStage = lambda stage: None,
    say: Callable[[str], None] = lambda message: None,
) -> tuple[Stage, ...]:
    """Run Deep Compression on `model` and leave `<variant>.dcz` and `stages.json` in `folder`.

    Args:
        model: trained classifier; changed in place, it ends with the weights of the last file.
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
    generator = torch.Generator().manual_seed(recipe.seed)

    def on_batch(stage: str) -> Callable[[int, int, float], None]:
        return lambda done, total, loss: on_progress(stage, done, total, f"loss {loss:.3f}")

    def finish(packed: CompressedModel) -> Stage:
        variant = packed.variant
        path = folder / f"{variant}.dcz"
        packed.save(path)
        stored = CompressedModel.load(path)
        load_weights(model, stored.decode())
        stage = Stage(variant, stored.file_bytes, stored.compression_ratio, error_rate(model, dataset), stored.sha256)
        on_stage(stage)
        return stage

    def packed(variant: Variant) -> CompressedModel:
        return pack(network, variant, state_weights(model), gap_bits)

    gap_bits: dict[str, GapBits] = {}
    done = [finish(packed("dense"))]
    if isinstance(recipe, JointRecipe):
        teacher = Teacher(copy.deepcopy(model), recipe.teacher_weight) if recipe.teacher_weight else None
        joint = Joint(model, dataset, recipe, generator, teacher)
        joint.prune(on_batch("prune"))
        done.append(finish(packed("pruned")))
        joint.quantise(on_batch("quantise"))
        shared = joint.share(on_batch("share"))
        linked = (shared.codebook, shared.codes, shared.scales)
        done += [finish(pack_linked(network, v, state_weights(model), *linked)) for v in VARIANTS[2:]]
    else:
        gap_bits |= {stages.tensor_name(model, name): layer.gap_bits for name, layer in recipe.layers.items()}
        stages.prune(model, dataset, recipe, generator, on_batch("prune"))
        done.append(finish(packed("pruned")))
        clusters = stages.share(model, dataset, recipe, generator, on_batch("share"))
        say(_centroids_in_use(clusters, recipe))
        done += [finish(packed(variant)) for variant in VARIANTS[2:]]
    write_stages(folder, network, recipe, key, dataset.name, torch.__version__, done)
    return tuple(done)


def _centroids_in_use(clusters: Mapping[str, Clusters], recipe: Recipe) -> str:
    """A start other than `optimal` may leave centroids without weights, in the gap that pruning leaves about zero."""
    counts = [f"{name} {len(c.centroids) - c.n_empty} of {len(c.centroids)}" for name, c in clusters.items()]
    return f"centroids in use, {recipe.centroids} start: {', '.join(counts)}"


def require_layers(recipe: AnyRecipe, model: nn.Module) -> None:
    """Refuse a recipe whose layers the model does not have. Raises ConfigError with the names there are."""
    if isinstance(recipe, JointRecipe):
        known = compressible(model)
        unknown = [layer for layer in recipe.prune.units if f"{layer}.weight" not in known]
        n_all = sum(tensor.numel() for tensor in known.values())
        if unknown:
            raise ConfigError(f"recipe {recipe.name}: units of {', '.join(unknown)}: the network has no such layer")
        if recipe.prune.n_kept > n_all:
            raise ConfigError(f"recipe {recipe.name}: n_kept is {recipe.prune.n_kept}, the network has {n_all} weights")
        return
    usable = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad and tensor.any()}
    missing = [name for name in recipe.layers if stages.tensor_name(model, name) not in usable]
    if missing:
        weights = [n.removesuffix(".weight") for n, t in usable.items() if n.endswith(".weight") and t.dim() > 1]
        raise ConfigError(
            f"recipe {recipe.name}: layers {', '.join(missing)} cannot be compressed: not in the network, without "
            f"weights, frozen or all zero; it has {', '.join(sorted(weights))}, and any other tensor by its full name"
        )
    twice = [name for name in recipe.layers if f"{name}.weight" in recipe.layers]
    if twice:
        raise ConfigError(f"recipe {recipe.name}: {twice[0]} and {twice[0]}.weight are the same tensor; name it once")


def require_data(recipe: AnyRecipe, model: nn.Module, dataset: Dataset) -> None:
    """Refuse a model and data that do not go together, before any file is written.

    Raises:
        ConfigError: the recipe shifts what is not an image.
        NetworkError: the forward fails, or its output has no score for some class.
    """
    shape = dataset.train_inputs.shape
    runs = [recipe.prune, recipe.share, *([recipe.quantise] if isinstance(recipe, JointRecipe) else [])]
    if any(run.shift_pixels for run in runs) and len(shape) != 4:
        raise ConfigError(
            f"recipe {recipe.name}: shift_pixels needs images (n, channels, height, width), the inputs are {shape}; "
            "set it to 0"
        )
    with torch.no_grad():
        scores = forward(model.eval(), torch.from_numpy(dataset.test_inputs[:1]))
    n_classes = 1 + int(max(dataset.train_labels.max(), dataset.test_labels.max()))
    if scores.dim() != 2 or scores.shape[1] < n_classes:
        raise NetworkError(
            f"the model's output for one example has shape {tuple(scores.shape)}, expected (1, {n_classes}) or more "
            f"classes for the labels of {dataset.name}"
        )


def state_weights(model: nn.Module) -> dict[str, Floats]:
    """Every floating-point tensor of the model's state, as fp32 arrays by name."""
    return {
        name: tensor.detach().float().numpy().copy()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point()
    }


def load_weights(model: nn.Module, weights: Mapping[str, Floats]) -> None:
    """Put `weights` into `model`. Raises NetworkError when names or shapes do not match."""
    state = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    found = {name: tuple(array.shape) for name, array in weights.items()}
    if expected != found:
        names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        listed = ", ".join(f"{n} (expected {expected.get(n)}, found {found.get(n)})" for n in names[:5])
        raise NetworkError(f"the weights do not fit the network: {listed}")
    model.load_state_dict({**state, **{name: torch.from_numpy(np.array(array)) for name, array in weights.items()}})
