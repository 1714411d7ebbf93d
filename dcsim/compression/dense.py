"""How the dense weights under models/ are made: `dcsim train` by the network's training.yaml."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save

from dcsim.compression.recipe import DenseTraining
from dcsim.compression.training import Hooks, error_rate, fit
from dcsim.config import load_spec
from dcsim.datasets import load_mnist
from dcsim.errors import ConfigError
from dcsim.files import write_bytes
from dcsim.zoo import find_network


def train_dense(
    network: str, output: Path, on_progress: Callable[[str, int, int, str], None], say: Callable[[str], None]
) -> float:
    """Train a network of models/ from its seed, write its weights, return its test error (wrong / all).

    Raises:
        DcsimError: the network has no training.yaml, no data, or the output cannot be written.
    """
    found = find_network(network)
    if found.folder is None or not (found.folder / "training.yaml").is_file():
        raise ConfigError(
            f"{network} has no training.yaml, as networks of models/ have; train your own and bring it with --weights"
        )
    plan = load_spec(DenseTraining, found.folder / "training.yaml")
    data = load_mnist(say)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        model = found.build()
    generator = torch.Generator().manual_seed(plan.seed)
    hooks = Hooks(on_progress=lambda done, total, loss: on_progress("train", done, total, f"loss {loss:.3f}"))
    fit(model, model.parameters(), data, plan.training, generator, hooks)
    write_bytes(output, save({name: tensor.contiguous() for name, tensor in model.state_dict().items()}))
    return error_rate(model, data)
