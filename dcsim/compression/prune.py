"""Magnitude pruning: which weights survive at which density (Han et al., NIPS 2015)."""

import torch


def magnitude_mask(weights: torch.Tensor, density: float) -> torch.Tensor:
    """Boolean mask of the `round(density * n)` largest magnitudes, at least one; ties keep the earlier position.

    Args:
        weights: any shape.
        density: share to keep, 0..1.
    """
    n_kept = max(1, round(density * weights.numel()))
    order = torch.sort(weights.detach().abs().flatten(), descending=True, stable=True).indices
    mask = torch.zeros(weights.numel(), dtype=torch.bool)
    mask[order[:n_kept]] = True
    return mask.view(weights.shape)


def step_density(target: float, step: int, n_steps: int) -> float:
    """Density after `step` of `n_steps`: each step keeps the same share of what the one before kept."""
    return float(target ** (step / n_steps))
