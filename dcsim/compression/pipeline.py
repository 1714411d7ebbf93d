"""The pipeline: dense weights -> four `.dcz` files, each written, read back, decoded and tested."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dcsim.artifact import CompressedModel, Floats, Variant, pack
from dcsim.compression import stages
from dcsim.compression.recipe import Recipe
from dcsim.compression.store import Stage, cache_key, write_stages
from dcsim.compression.training import error_rate, forward
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError, NetworkError

#: stage, done, total, note: called often while training
OnProgress = Callable[[str, int, int, str], None]
OnStage = Callable[[Stage], None]


def compress(
    model: nn.Module,
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    *,
    network: str,
    on_progress: OnProgress = lambda stage, done, total, note: None,
    on_stage: OnStage = lambda stage: None,
) -> tuple[Stage, ...]:
    """Run Deep Compression on `model` and leave `<variant>.dcz` and `stages.json` in `folder`.

    Args:
        model: trained classifier; changed in place, it ends with the weights of the last file.
        network: name to record.
        on_progress: called after every batch of training.
        on_stage: called when a stage's file has been tested.

    Raises:
        ConfigError: the recipe names a layer that is not there.
        NetworkError: the model fails on the data.
        OutputError: the folder cannot be written.
    """
    require_layers(recipe, model)
    with torch.no_grad():
        forward(model.eval(), torch.from_numpy(dataset.test_inputs[:1]))  # a model that cannot run leaves no file
    key = cache_key(recipe, state_weights(model), dataset.fingerprint)
    generator = torch.Generator().manual_seed(recipe.seed)
    gap_bits = {f"{name}.weight": layer.gap_bits for name, layer in recipe.layers.items()}

    def on_batch(stage: str) -> Callable[[int, int, float], None]:
        return lambda done, total, loss: on_progress(stage, done, total, f"loss {loss:.3f}")

    def finish(variant: Variant) -> Stage:
        path = folder / f"{variant}.dcz"
        pack(network, variant, state_weights(model), gap_bits).save(path)
        stored = CompressedModel.load(path)
        load_weights(model, stored.decode())
        stage = Stage(variant, stored.file_bytes, stored.compression_ratio, error_rate(model, dataset), stored.sha256)
        on_stage(stage)
        return stage

    done = [finish("dense")]
    stages.prune(model, dataset, recipe, generator, on_batch("prune"))
    done.append(finish("pruned"))
    stages.share(model, dataset, recipe, generator, on_batch("share"))
    done += [finish("shared"), finish("huffman")]
    write_stages(folder, network, recipe, key, dataset.name, torch.__version__, done)
    return tuple(done)


def require_layers(recipe: Recipe, model: nn.Module) -> None:
    """Refuse a recipe whose layers the model does not have. Raises ConfigError with the names there are."""
    known = sorted(
        name.removesuffix(".weight")
        for name, tensor in model.named_parameters()
        if name.endswith(".weight") and tensor.dim() >= 2
    )
    missing = [name for name in recipe.layers if name not in known]
    if missing:
        raise ConfigError(
            f"recipe {recipe.name}: layers {', '.join(missing)} are not in the network; it has {', '.join(known)}"
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
