"""The two stages that change weights: pruning with retraining, and sharing with trained centroids."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from dcsim.compression.prune import magnitude_mask, step_density
from dcsim.compression.recipe import LayerRecipe, Recipe
from dcsim.compression.share import Clusters, Initialization, kmeans, nearest
from dcsim.compression.training import Hooks, fit
from dcsim.datasets import Dataset

OnBatch = Callable[[int, int, float], None]


def prune(model: nn.Module, dataset: Dataset, recipe: Recipe, generator: torch.Generator, on_batch: OnBatch) -> None:
    """Prune step by step to each layer's density while training; pruned weights stay zero. In place."""
    weights = {name: model.get_parameter(tensor_name(model, name)) for name in recipe.layers}
    masks: dict[str, torch.Tensor] = {}
    spec = recipe.prune

    def tighten(epoch: int) -> None:
        step, rest = divmod(epoch, spec.epochs_per_step)
        if rest == 0 and step < spec.n_steps:
            for name, layer in recipe.layers.items():
                masks[name] = magnitude_mask(weights[name], step_density(layer.density, step + 1, spec.n_steps))
            apply()

    @torch.no_grad()
    def apply() -> None:
        for name, mask in masks.items():
            weights[name].mul_(mask)

    fit(model, model.parameters(), dataset, spec, generator, Hooks(tighten, after_step=apply, on_progress=on_batch))
    for name, layer in recipe.layers.items():  # also when there were fewer epochs than steps
        masks[name] = magnitude_mask(weights[name], layer.density)
    apply()
    _round_small_tensors(model, recipe)


def share(
    model: nn.Module, dataset: Dataset, recipe: Recipe, generator: torch.Generator, on_batch: OnBatch
) -> dict[str, Clusters]:
    """Replace each layer's nonzeros by trained centroids; assignments stay as k-means made them. In place.

    Returns:
        What k-means found, by layer.

    The gradient of a centroid is the sum over its members (Deep Compression, equation 3).
    """
    by_name = {
        name: _SharedTensor(model.get_parameter(tensor_name(model, name)), layer, recipe.centroids)
        for name, layer in recipe.layers.items()
    }
    layers = list(by_name.values())
    others = [p for p in model.parameters() if all(p is not layer.weight for layer in layers)]

    def gather() -> None:
        for layer in layers:
            layer.gather_gradient()

    def scatter() -> None:
        for layer in layers:
            layer.scatter_values()

    hooks = Hooks(after_backward=gather, after_step=scatter, on_progress=on_batch)
    fit(model, [*(layer.centroids for layer in layers), *others], dataset, recipe.share, generator, hooks)
    for layer in layers:
        layer.finish(recipe.codebooks == "fp16")
    _round_small_tensors(model, recipe)
    return {name: layer.clusters for name, layer in by_name.items()}


class _SharedTensor:
    """One tensor tied to a codebook. One code is left to the value zero, which fillers need."""

    def __init__(self, weight: nn.Parameter, recipe: LayerRecipe, initialization: Initialization) -> None:
        self.weight = weight
        flat = weight.detach().flatten()
        self.positions = flat.nonzero()[:, 0]
        values = flat[self.positions].numpy()
        self.clusters = kmeans(values, (1 << recipe.code_bits) - 1, initialization=initialization)
        self.codes = torch.from_numpy(nearest(values, self.clusters.centroids))
        self.centroids = nn.Parameter(torch.from_numpy(self.clusters.centroids.astype(np.float32)))
        self.scatter_values()

    def gather_gradient(self) -> None:
        assert self.weight.grad is not None
        member_gradients = self.weight.grad.flatten()[self.positions]
        self.centroids.grad = torch.zeros_like(self.centroids).index_add_(0, self.codes, member_gradients)
        self.weight.grad = None

    @torch.no_grad()
    def scatter_values(self) -> None:
        self.weight.view(-1)[self.positions] = self.centroids[self.codes]

    @torch.no_grad()
    def finish(self, half: bool) -> None:
        if half:
            self.centroids.copy_(self.centroids.half().float())
        self.scatter_values()


def tensor_name(model: nn.Module, layer: str) -> str:
    """The tensor that a recipe means by a layer's name: itself where it is one, else the layer's weights."""
    return layer if layer in dict(model.named_parameters()) else f"{layer}.weight"


@torch.no_grad()
def _round_small_tensors(model: nn.Module, recipe: Recipe) -> None:
    """Round one-dimensional tensors that are no layers of the recipe to its format, those that fit its range."""
    if recipe.small_tensors == "fp16":
        named = {tensor_name(model, layer) for layer in recipe.layers}
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            rounded = tensor.half().float() if tensor.is_floating_point() else tensor
            if tensor.dim() < 2 and name not in named and torch.isfinite(rounded).all():
                tensor.copy_(rounded)
