"""How much each layer minds being pruned or shared, alone and without retraining (Han et al., NIPS 2015, figure 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from dcsim.compression.prune import magnitude_mask
from dcsim.compression.share import kmeans, nearest
from dcsim.compression.training import error_rate
from dcsim.datasets import Dataset
from dcsim.errors import NetworkError

DENSITIES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
CODE_BITS = (8, 6, 5, 4, 3, 2, 1)


@dataclass(frozen=True)
class Sensitivity:
    """The error with one layer changed.

    Attributes:
        n_weights: of the layer.
        change: `density`, pruned to `value` by magnitude, or `code_bits`, shared by codes of `value` bits.
        error: wrong / all, of the network with only this layer changed.
    """

    layer: str
    n_weights: int
    change: Literal["density", "code_bits"]
    value: float
    error: float


@torch.no_grad()
def scan(
    model: nn.Module,
    dataset: Dataset,
    *,
    densities: Sequence[float] = DENSITIES,
    code_bits: Sequence[int] = CODE_BITS,
    on_progress: Callable[[str, int, int, str], None] = lambda layer, done, total, note: None,
) -> tuple[float, tuple[Sensitivity, ...]]:
    """Prune and share every layer with a matrix or filters, one at a time; the model is left as it was.

    Args:
        dataset: errors are those of its test part; held-out training examples keep the test set untouched.
        densities: shares to keep, 0 to 1.
        code_bits: widths of codes; 2^bits - 1 centroids from a start at the optimum, since a code is left to zero.

    Returns:
        The error of the model as it is, and one row for each layer and change.

    Raises:
        NetworkError: there is no such layer, or the forward fails.
    """
    layers = {name: tensor for name, tensor in model.named_parameters() if tensor.dim() > 1 and tensor.any()}
    if not layers:
        raise NetworkError("the network has no matrix and no filters to prune")
    before = error_rate(model, dataset)
    rows: list[Sensitivity] = []
    total = len(densities) + len(code_bits)
    for name, weight in layers.items():
        dense = weight.clone()
        layer = name.removesuffix(".weight")
        for done, density in enumerate(densities, 1):
            weight.copy_(dense * magnitude_mask(dense, density))
            rows.append(Sensitivity(layer, dense.numel(), "density", density, error_rate(model, dataset)))
            on_progress(layer, done, total, f"density {density:g}: error {100 * rows[-1].error:.2f} %")
        for done, bits in enumerate(code_bits, 1 + len(densities)):
            weight.copy_(_shared(dense, bits))
            rows.append(Sensitivity(layer, dense.numel(), "code_bits", bits, error_rate(model, dataset)))
            on_progress(layer, done, total, f"{bits} bits: error {100 * rows[-1].error:.2f} %")
        weight.copy_(dense)
    return before, tuple(rows)


def _shared(weights: torch.Tensor, code_bits: int) -> torch.Tensor:
    shared, places = weights.clone(), weights != 0
    values = weights[places].numpy()
    centroids = kmeans(values, (1 << code_bits) - 1, initialization="optimal").centroids
    shared[places] = torch.from_numpy(centroids[nearest(values, centroids)]).float()
    return shared
