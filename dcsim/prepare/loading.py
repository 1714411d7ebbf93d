"""What a job begins with: its recipe, its network with dense weights, its data, and who is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.compression.recipe import Recipe
from dcsim.compression.store import Stage
from dcsim.config import load_spec
from dcsim.datasets import Dataset, load_mnist
from dcsim.errors import ConfigError, NetworkError
from dcsim.files import is_file
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, call, dense_weights, find_network, resolve

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch


@dataclass(frozen=True)
class Listener:
    """Who is told what while a job runs.

    Attributes:
        progress: (stage, done, total, note), called after every batch of training.
        stage: called with every stage whose file has been written, read back and tested.
        say: one line about what is being done.
    """

    progress: Callable[[str, int, int, str], None] = lambda stage, done, total, note: None
    stage: Callable[[Stage], None] = lambda stage: None
    say: Callable[[str], None] = lambda message: None


SILENT = Listener()


def load_recipe(network: Network, recipe: str | None) -> Recipe:
    """The recipe by name, by path, or the network's default.

    Raises:
        ConfigError: there is none.
        NetworkError: there is no such network of one's own either, which is then the first thing to say.
    """
    if recipe and (recipe.endswith((".yaml", ".yml")) or "/" in recipe):
        return load_spec(Recipe, Path(recipe))
    if network.folder is None:
        resolve(network.builder)
        raise ConfigError(f"{network.name} needs a recipe: give one with --recipe FILE.yaml")
    path = network.folder / (f"recipe-{recipe}.yaml" if recipe and recipe != "default" else "recipe.yaml")
    if not is_file(path):
        known = sorted(p.stem.removeprefix("recipe-") for p in network.folder.glob("recipe-*.yaml"))
        raise ConfigError(f"{network.name} has no recipe {recipe!r}; known: default, {', '.join(known)}")
    return load_spec(Recipe, path)


def load_trace(path: Path | str) -> Trace:
    """A trace that `dcsim trace` or `Trace.save` wrote. Raises TraceError."""
    return Trace.load(path)


def load_dataset(network: Network, listener: Listener = SILENT) -> Dataset:
    """The data a network is trained and tested on. Raises DatasetError or ConfigError."""
    if network.dataset == "mnist":
        return load_mnist(listener.say)
    if ":" not in network.dataset:
        raise ConfigError(f"{network.name} needs data: give --data mnist or --data module:callable")
    data = call(network.dataset)
    if not isinstance(data, Dataset):
        raise ConfigError(f"{network.dataset} returned {type(data).__name__}, expected a dcsim.datasets.Dataset")
    return data


def load_trained(
    network: str, weights: Path | None, dataset: str, listener: Listener
) -> "tuple[Network, torch.nn.Module, Dataset]":
    """A network with its dense weights, and its data. Raises DcsimError for bad input of any kind."""
    from dcsim.compression import pipeline

    found = find_network(network, dataset)
    if found.synthetic:
        raise NetworkError(f"{network} is given by numbers only, it has no weights to try")
    model, data = found.build(), load_dataset(found, listener)
    dense = dense_weights(found, weights)
    if dense is not None:
        pipeline.load_weights(model, dense)
    return found, model, data


def load_examples(network: Network, listener: Listener) -> "Dataset | npt.NDArray[np.generic]":
    """What a network is judged by: labelled examples, or inputs alone, batch first. Raises DcsimError."""
    if ":" in network.dataset:
        import numpy as np

        found = call(network.dataset)
        if isinstance(found, np.ndarray) and found.ndim > 1 and len(found):
            return found
        if not isinstance(found, Dataset):
            raise ConfigError(
                f"{network.dataset} returned {type(found).__name__}, expected a dcsim.datasets.Dataset or a numpy "
                "array of inputs, batch first"
            )
        return found
    return load_dataset(network, listener)
