"""Compressing a network as a whole: pruned by saliency wherever weights matter least, one codebook for all layers.

Three runs of training (Han et al., ICLR 2016, trained one after the other too, but layer by layer):

1. prune: the weights whose loss would hurt least are removed step by step, biases among them. The estimate is
   w^2 E[g^2], the second-order damage of setting w to 0 with the Fisher information for the Hessian's diagonal
   (LeCun et al., Optimal Brain Damage, 1990; Theis et al., arXiv 1801.05787). Whole units can go first.
2. quantise: the forward pass sees weights from the codebook, gradients move the weights behind it (straight-through
   estimator, Bengio et al., arXiv 1308.3432). Codes are chosen for squared error + rate_weight x code length.
3. share: codes stay, centroids and one scale per tensor are trained; a gradient is the sum over those that share.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dcsim.artifact import Floats
from dcsim.compression.recipe import JointRecipe
from dcsim.compression.share import kmeans
from dcsim.compression.training import Hooks, Teacher, fit
from dcsim.datasets import Dataset

OnBatch = Callable[[int, int, float], None]
Tensors = dict[str, nn.Parameter]

MEMORY = 0.999  # of the mean squared gradient, as Adam's (Kingma and Ba, arXiv 1412.6980)
PRUNED_AT = (
    0.75  # of the batches of the first run all that goes is gone; the rest heals. Assumption: measured on LeNets
)
UNITS_REMOVED_AT = 0.3  # assumption: early, for what is left to take over
SHRINKING = 1.5  # how much faster weights go at first than at last; assumption: measured on LeNets
PRUNE_EVERY, REFIT_EVERY = 100, 50  # batches; assumption: often enough to follow, seldom enough to cost nothing
REFITS = 3  # rounds of codes and centroids; assumption: the fit goes on from the one before


@dataclass(frozen=True, eq=False)
class SharedNetwork:
    """What is left of a network: few values, and for each weight which of them.

    Attributes:
        codebook: ascending, exact in fp16, (n_codes,).
        codes: by tensor, its shape: 0 for zero, else the place in the codebook + 1.
        scales: by tensor, exact in fp16; its weights are the codebook's values times this.
    """

    codebook: Floats
    codes: dict[str, npt.NDArray[np.uint8]]
    scales: dict[str, float]


class Joint:
    """The three runs on one model, which is changed in place."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipe: JointRecipe,
        generator: torch.Generator,
        teacher: Teacher | None,
    ) -> None:
        self._model, self._dataset, self._recipe = model, dataset, recipe
        self._generator, self._teacher = generator, teacher
        self._weights = compressible(model)
        self._masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in self._weights.items()}
        self._squares = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
        self._codebook = _Codebook(recipe)

    def prune(self, on_batch: OnBatch) -> None:
        """Down to `n_kept` weights and biases in all."""
        spec = self._recipe.prune
        n_all = sum(weight.numel() for weight in self._weights.values())
        ever = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}

        @torch.no_grad()
        def tighten(done: int, total: int) -> None:
            if done == 0 or done % PRUNE_EVERY:
                return
            units_left = 1 - min(1.0, done / (UNITS_REMOVED_AT * total))
            for layer, n_units in spec.units.items():
                n_now = len(self._weights[f"{layer}.weight"])
                self._keep_units(layer, round(n_units * (n_now / n_units) ** units_left))
            left = 1 - min(1.0, done / (PRUNED_AT * total))
            self._keep(round(spec.n_kept * (n_all / spec.n_kept) ** (left**SHRINKING)))
            self._apply_masks()

        @torch.no_grad()
        def remember() -> None:
            for name, weight in self._weights.items():
                assert weight.grad is not None
                self._squares[name].lerp_(weight.grad**2, 1 - MEMORY)
                ever[name] += weight.grad.abs()

        def forget(epoch: int) -> None:
            for seen in ever.values():
                seen.zero_()

        hooks = Hooks(forget, tighten, remember, self._apply_masks, on_batch)
        fit(self._model, self._model.parameters(), self._dataset, spec, self._generator, hooks, self._teacher)
        self._keep(spec.n_kept)
        for name, seen in ever.items():  # no example of an epoch moved these: nothing comes in, or nothing looks
            self._masks[name] &= seen > 0
        self._apply_masks()
        round_others(self._model, self._weights)

    def quantise(self, on_batch: OnBatch) -> None:
        """Train weights that are seen through the codebook."""
        behind = {name: weight.detach().clone() for name, weight in self._weights.items()}

        @torch.no_grad()
        def look(done: int, total: int) -> None:
            if done % REFIT_EVERY == 0:
                self._codebook.fit(self._kept())
            for name, weight in self._weights.items():
                behind[name].copy_(weight)
                mask = self._masks[name]
                if mask.any():
                    weight[mask] = self._codebook.values(name, self._codebook.codes(name, weight[mask]))

        @torch.no_grad()
        def move_what_is_behind() -> None:
            for name, weight in self._weights.items():
                weight.copy_(behind[name])

        hooks = Hooks(
            before_batch=look,
            after_backward=move_what_is_behind,
            after_step=self._apply_masks,
            on_progress=on_batch,
        )
        spec = self._recipe.quantise
        fit(self._model, self._model.parameters(), self._dataset, spec, self._generator, hooks, self._teacher)

    def share(self, on_batch: OnBatch) -> SharedNetwork:
        """Train what is shared, round it to fp16, and put it in place."""
        book = self._codebook
        book.fit(self._kept())
        codes = {name: book.codes(name, weights) for name, weights in self._kept().items()}
        centroids = nn.Parameter(book.centroids.clone())
        scales = {name: nn.Parameter(book.scales[name].clone()) for name in codes}

        @torch.no_grad()
        def place() -> None:
            for name, of_weights in codes.items():
                self._weights[name][self._masks[name]] = centroids[of_weights] * scales[name]

        @torch.no_grad()
        def gather() -> None:
            centroids.grad = torch.zeros_like(centroids)
            for name, of_weights in codes.items():
                gradient = self._weights[name].grad
                assert gradient is not None
                members = gradient[self._masks[name]]
                centroids.grad.index_add_(0, of_weights, members * scales[name])
                scales[name].grad = (members * centroids[of_weights]).sum()
                self._weights[name].grad = None  # no optimiser clears it

        place()
        others = [p for p in self._model.parameters() if all(p is not weight for weight in self._weights.values())]
        hooks = Hooks(after_backward=gather, after_step=place, on_progress=on_batch)
        trained = [centroids, *scales.values(), *others]
        fit(self._model, trained, self._dataset, self._recipe.share, self._generator, hooks, self._teacher)
        return self._finished(codes, centroids.detach(), {name: scale.item() for name, scale in scales.items()})

    @torch.no_grad()
    def _finished(
        self, codes: dict[str, torch.Tensor], centroids: torch.Tensor, scales: dict[str, float]
    ) -> SharedNetwork:
        """The first tensor's scale becomes part of the codebook."""
        unit = next(iter(scales.values()))
        order = torch.argsort(centroids * unit)
        codebook = (centroids * unit)[order].half().float()
        least = np.finfo(np.float16).tiny  # or all of a tensor would be zero
        relative = {name: float(max(np.float16(scale / unit), least)) for name, scale in scales.items()}
        rank = torch.argsort(order)
        numbers = {}
        for name, weight in self._weights.items():
            mask, numbered = self._masks[name], torch.zeros(weight.shape, dtype=torch.uint8)
            if name in codes:
                weight[mask] = codebook[rank[codes[name]]] * torch.tensor(relative[name])
                numbered[mask] = (rank[codes[name]] + 1).to(torch.uint8)
            numbers[name] = numbered.numpy()
        round_others(self._model, self._weights)
        return SharedNetwork(codebook.numpy(), numbers, {name: relative.get(name, 1.0) for name in self._weights})

    def _kept(self) -> dict[str, torch.Tensor]:
        """The weights that stay, by tensor; those of which none stay are left out."""
        kept = {name: weight.detach()[self._masks[name]] for name, weight in self._weights.items()}
        return {name: weights for name, weights in kept.items() if len(weights)}

    def _saliency(self, name: str) -> torch.Tensor:
        return self._weights[name].detach() ** 2 * self._squares[name]

    def _keep(self, n_kept: int) -> None:
        """Prune all but the `n_kept` most salient of the weights that are left."""
        saliency = torch.cat(
            [torch.where(self._masks[name], self._saliency(name), -1).flatten() for name in self._masks]
        )
        least = torch.topk(saliency, n_kept).values[-1].clamp_min(0)
        for name, mask in self._masks.items():
            mask &= self._saliency(name) >= least

    def _keep_units(self, layer: str, n_units: int) -> None:
        """Prune all weights and the bias of all but the most salient output units of a layer."""
        names = [name for name in (f"{layer}.weight", f"{layer}.bias") if name in self._weights]
        saliency = torch.stack(
            [self._saliency(name).reshape(len(self._weights[name]), -1).sum(1) for name in names]
        ).sum(0)
        dead = torch.sort(saliency, descending=True, stable=True).indices[n_units:]
        for name in names:
            self._masks[name][dead] = False

    @torch.no_grad()
    def _apply_masks(self) -> None:
        for name, mask in self._masks.items():
            self._weights[name].mul_(mask)


class _Codebook:
    """Centroids for the whole network and a scale for each tensor, fitted to weights."""

    def __init__(self, recipe: JointRecipe) -> None:
        self._n_codes, self._rate_weight = recipe.n_codes, recipe.rate_weight
        self.centroids = torch.zeros(0)
        self.scales: dict[str, torch.Tensor] = {}
        self._code_bits = torch.zeros(self._n_codes)

    def codes(self, name: str, weights: torch.Tensor) -> torch.Tensor:
        """The best centroid of each weight, counting what its code costs."""
        distances = (weights[:, None] / self.scales[name] - self.centroids) ** 2
        return (distances + self._rate_weight * self._code_bits).argmin(1)

    def values(self, name: str, codes: torch.Tensor) -> torch.Tensor:
        return self.centroids[codes] * self.scales[name]

    def fit(self, kept: dict[str, torch.Tensor]) -> None:
        """Some rounds of codes, centroids and scales, by alternating least squares."""
        for name, weights in kept.items():
            self.scales.setdefault(name, weights.abs().mean())
        if not len(self.centroids):
            all_weights = torch.cat([weights / self.scales[name] for name, weights in kept.items()])
            clusters = kmeans(all_weights.numpy(), self._n_codes, initialization="optimal")
            self.centroids = torch.from_numpy(clusters.centroids.astype(np.float32))
        for _ in range(REFITS):
            sums, counts = torch.zeros(self._n_codes), torch.zeros(self._n_codes)
            for name, weights in kept.items():
                codes = self.codes(name, weights)
                sums.index_add_(0, codes, weights / self.scales[name])
                counts += torch.bincount(codes, minlength=self._n_codes)
            self.centroids = torch.where(counts > 0, sums / counts.clamp_min(1), self.centroids)
            self._code_bits = -torch.log2((counts + 0.5) / (counts.sum() + 0.5 * self._n_codes))
            for name, weights in kept.items():
                nearest = self.centroids[self.codes(name, weights)]
                self.scales[name] = ((weights * nearest).sum() / (nearest**2).sum()).clamp_min(1e-8)


def compressible(model: nn.Module) -> Tensors:
    """Weight matrices and filters, and the biases beside them; not batch norm's and the like, which stay fp16."""
    named = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    matrices = {name for name, tensor in named.items() if tensor.dim() > 1}
    beside = {f"{name.removesuffix('.weight')}.bias" for name in matrices}
    return {name: tensor for name, tensor in named.items() if name in matrices | beside}


@torch.no_grad()
def round_others(model: nn.Module, weights: Tensors) -> None:
    """Round what is not compressed to fp16, where its range does."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        rounded = tensor.half().float() if tensor.is_floating_point() else tensor
        if name not in weights and torch.isfinite(rounded).all():
            tensor.copy_(rounded)
