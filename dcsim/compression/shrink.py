"""Structured pruning: filters and neurons go first, so that what is retrained afterwards is small and fast."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from dcsim.compression.prune import MEMORY, largest_mask
from dcsim.compression.recipe import RunSpec, ShrinkSpec
from dcsim.compression.structure import find_units, keep_units, unit_saliency
from dcsim.compression.training import Hooks, Trainer


def shrink(trainer: Trainer, spec: ShrinkSpec, n_units: Mapping[str, int]) -> None:
    """Remove units of the trainer's model step by step, the least salient first. In place.

    Args:
        n_units: how many each layer of `spec.units` had at first.
    """
    run = RunSpec(epochs=spec.epochs_per_step, learning_rate=spec.learning_rate)
    for step in range(1, spec.n_steps + 1):
        name = f"shrink {step}"
        if trainer.skips(name):
            continue
        squares = _Squares(trainer.model)
        trainer.fit(name, run, trainer.model.parameters(), squares)
        found = find_units(trainer.model)
        kept = {}
        for layer, n_left in spec.units.items():
            n_now = round(n_units[layer] * (n_left / n_units[layer]) ** (step / spec.n_steps))
            saliency = unit_saliency(trainer.model, found[layer], squares.means)
            kept[layer] = largest_mask(saliency, n_now).nonzero()[:, 0]
        for layer, places in kept.items():
            keep_units(trainer.model, found[layer], places)


class _Squares(Hooks):
    """Mean squared gradients of every parameter."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = dict(model.named_parameters())
        self.means = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}

    @torch.no_grad()
    def after_backward(self) -> None:
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                self.means[name].lerp_(parameter.grad**2, 1 - MEMORY)

    def state(self) -> dict[str, Any]:
        return {"means": self.means}

    def restore(self, state: dict[str, Any]) -> None:
        self.means = state["means"]
