"""Pruning: which weights survive, by magnitude (Han et al., NIPS 2015) or by what their loss would cost.

*saliency* is w^2 E[g^2]: the second-order damage of setting w to 0 (LeCun et al., Optimal Brain Damage, 1990), with
the Fisher information for the Hessian's diagonal (Theis et al., arXiv 1801.05787), estimated from gradients of
batches. It compares weights of different layers, so pruned over a whole network it lets units die. With *regrow*,
pruned weights go on learning and may come back, as in Dynamic Network Surgery (Guo et al., NIPS 2016).
"""

from typing import Any

import torch
from torch import nn

from dcsim.compression.recipe import Recipe
from dcsim.compression.structure import compressible
from dcsim.compression.training import DROPOUTS, Hooks

MEMORY = 0.999  # of the mean squared gradient, as Adam's (Kingma and Ba, arXiv 1412.6980)
GRADUAL_UNTIL = 0.75  # of the run all that goes is gone; the rest heals. Assumption: measured on LeNets
GRADUAL_SHRINKING = 1.5  # how much faster weights go at first than at last; assumption: measured on LeNets
GRADUAL_EVERY = 100  # batches; assumption: often enough to follow, seldom enough to cost nothing
GRADUAL_STEPS = 20  # in a run of fewer batches; assumption

_Dropout = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d


def largest_mask(scores: torch.Tensor, n_kept: int) -> torch.Tensor:
    """Boolean mask of the `n_kept` largest scores, of their shape; ties keep the earlier position."""
    order = torch.sort(scores.detach().flatten(), descending=True, stable=True).indices
    mask = torch.zeros(scores.numel(), dtype=torch.bool)
    mask[order[:n_kept]] = True
    return mask.view(scores.shape)


def magnitude_mask(weights: torch.Tensor, density: float) -> torch.Tensor:
    """Boolean mask of the `round(density * n)` largest magnitudes, at least one; ties keep the earlier position.

    Args:
        weights: any shape.
        density: share to keep, 0..1.
    """
    return largest_mask(weights.abs(), max(1, round(density * weights.numel())))


def quality_density(weights: torch.Tensor, quality: float) -> float:
    """Share of weights whose magnitude is at least `quality` standard deviations (Han et al., NIPS 2015, section 3).

    At least one weight's share.
    """
    n_kept = int((weights.abs() >= quality * weights.std(correction=0)).sum())
    return max(1, n_kept) / weights.numel()


def retrained_dropout(original: float, density: float) -> float:
    """Dropout rate of a pruned layer: D_o sqrt(C_r / C_o) (Han et al., NIPS 2015, equation 2).

    Args:
        original: D_o, 0..1.
        density: C_r / C_o, the share of the layer's connections that stay.
    """
    return float(original * density**0.5)


class Pruning(Hooks):
    """Masks over the tensors that a recipe compresses, tightened as its schedule says."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self._model, self._spec = model, recipe.prune
        self._weights = compressible(model, recipe)
        # What is zero stays zero, but for a tensor that is nothing else, as a fresh bias is.
        self._masks = {name: w.detach().ne(0) | ~w.detach().any() for name, w in self._weights.items()}
        self._target = target_densities(self._weights, recipe)
        self._squares = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
        self._moved = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
        self._behind: dict[str, torch.Tensor] = {}
        self._dropouts = _dropouts(model)

    def before_epoch(self, epoch: int) -> None:
        for moved in self._moved.values():
            moved.zero_()
        step, rest = divmod(epoch, self._spec.epochs_per_step)
        if self._spec.schedule == "iterative" and rest == 0 and step < self._spec.n_steps:
            self._tighten((step + 1) / self._spec.n_steps)

    @torch.no_grad()
    def before_batch(self, done: int, total: int) -> None:
        if self._spec.schedule == "one-shot" and done == 0:
            self._tighten(1.0)
        every = max(1, min(GRADUAL_EVERY, total // GRADUAL_STEPS))
        if self._spec.schedule == "gradual" and done and done % every == 0:
            left = 1 - min(1.0, done / (GRADUAL_UNTIL * total))
            self._tighten(1 - left**GRADUAL_SHRINKING)
        if self._spec.regrow:
            self._behind = {name: weight.detach().clone() for name, weight in self._weights.items()}
            self._apply()

    @torch.no_grad()
    def after_backward(self) -> None:
        for name, weight in self._weights.items():
            if self._spec.regrow:
                weight.copy_(self._behind[name])
            if weight.grad is None:
                continue
            if self._spec.criterion == "saliency":
                self._squares[name].lerp_(weight.grad**2, 1 - MEMORY)
            self._moved[name] += weight.grad.abs()
            if self._spec.l1_weight:
                weight.grad += self._spec.l1_weight * weight.sign()
            if self._spec.l2_weight:
                weight.grad += 2 * self._spec.l2_weight * weight

    def after_step(self) -> None:
        if not self._spec.regrow:
            self._apply()

    def finish(self) -> None:
        """Down to the target, whatever the run came to. Of a whole network, what no example moves goes too."""
        self._tighten(1.0)
        if self._spec.network_wide and any(moved.any() for moved in self._moved.values()):
            for name, mask in self._masks.items():  # in the last epoch: nothing comes in, or nothing looks
                mask &= self._moved[name] > 0
        self._apply()

    def state(self) -> dict[str, Any]:
        return {"masks": self._masks, "squares": self._squares, "target": self._target}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        self._masks, self._squares, self._target = state["masks"], state["squares"], state["target"]
        self._rescale_dropouts()

    @torch.no_grad()
    def _tighten(self, progress: float) -> None:
        """Masks at `progress` from 0, everything stays, to 1, the target; the kept share falls geometrically."""
        scores = {name: self._score(name) for name in self._weights}
        if isinstance(self._target, float):
            sizes = [score.numel() for score in scores.values()]
            n_kept = max(1, round(self._target**progress * sum(sizes)))
            together = largest_mask(torch.cat([score.flatten() for score in scores.values()]), n_kept)
            masks = dict(zip(scores, torch.split(together, sizes), strict=True))
        else:
            masks = {
                name: largest_mask(scores[name], max(1, round(target**progress * scores[name].numel())))
                for name, target in self._target.items()
            }
        for name, mask in masks.items():
            found = mask.view_as(scores[name])
            self._masks[name] = found if self._spec.regrow else found & self._masks[name]
        if not self._spec.regrow:
            self._apply()
        self._rescale_dropouts()

    def _score(self, name: str) -> torch.Tensor:
        weight = self._weights[name].detach()
        score = weight.abs() if self._spec.criterion == "magnitude" else weight**2 * self._squares[name]
        return score if self._spec.regrow else torch.where(self._masks[name], score, -1)

    @torch.no_grad()
    def _apply(self) -> None:
        for name, mask in self._masks.items():
            self._weights[name].mul_(mask)

    def _rescale_dropouts(self) -> None:
        for dropout, original, layer in self._dropouts:
            mask = self._masks.get(f"{layer}.weight")
            if mask is not None:
                dropout.p = retrained_dropout(original, float(mask.float().mean()))


def target_densities(weights: dict[str, nn.Parameter], recipe: Recipe) -> float | dict[str, float]:
    """The share that stays: of all weights together, or of each tensor by name.

    Args:
        weights: what the recipe compresses, before pruning.
        recipe: `density` of the network already counted as `n_kept`.
    """
    n_all = sum(weight.numel() for weight in weights.values())
    if recipe.prune.n_kept is not None:
        return min(1.0, recipe.prune.n_kept / n_all)
    targets = {}
    for name, weight in weights.items():
        layer = recipe.layer_of(name, weight.dim())
        assert layer is not None
        assert layer.density is not None or layer.quality is not None
        targets[name] = layer.density or quality_density(weight.detach(), layer.quality or 0.0)
    return targets


def _dropouts(model: nn.Module) -> list[tuple[_Dropout, float, str]]:
    """Every dropout with its rate and the layer with weights that precedes it, in the order of the modules."""
    found: list[tuple[_Dropout, float, str]] = []
    layer = ""
    for name, module in model.named_modules():
        if isinstance(module, DROPOUTS):
            found.append((module, module.p, layer))
        elif isinstance(getattr(module, "weight", None), nn.Parameter) and module.weight.dim() > 1:
            layer = name
    return found
