"""How the dense weights under models/ are made: `dcsim train` by the network's training.yaml."""

from pathlib import Path

import torch
from safetensors.torch import save

from dcsim.compression.recipe import DenseTraining
from dcsim.compression.training import Hooks, OnProgress, Trainer, error_rate
from dcsim.config import load_spec
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError
from dcsim.files import is_file, write_bytes
from dcsim.zoo import Network


def dense_training(network: Network, name: str | None = None) -> DenseTraining:
    """The training.yaml of a network of models/, or its `training-<name>.yaml`. Raises ConfigError for none."""
    file = f"training-{name}.yaml" if name else "training.yaml"
    if network.folder is None or not is_file(network.folder / file):
        raise ConfigError(
            f"{network.name} has no {file}, as networks of models/ may have; train your own and bring it with --weights"
        )
    return load_spec(DenseTraining, network.folder / file)


def train_dense(network: Network, plan: DenseTraining, data: Dataset, output: Path, on_progress: OnProgress) -> float:
    """Train a network from its seed, write its weights, return its test error (wrong / all).

    Raises:
        DcsimError: the training fails, or the output cannot be written.
    """
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        model = network.build()
    generator = torch.Generator().manual_seed(plan.seed)
    trainer = Trainer(model, data, plan.training, generator, on_progress=on_progress)
    trainer.fit("train", plan.dense, model.parameters(), Hooks())
    write_bytes(output, save({name: tensor.contiguous() for name, tensor in model.state_dict().items()}))
    return error_rate(model, data)
