"""Codebooks: a few values that the weights of a layer, or of a whole network, share, and the two runs that train them.

* quantise: the forward pass sees weights from the codebook, gradients move the weights behind it (straight-through
  estimator, Bengio et al., arXiv 1308.3432). A pull towards what is seen, growing over the run, keeps them from
  swinging between two values (Nagel et al., ICML 2022).
* share: codes stay, centroids and scales are trained; a centroid's gradient is the sum over those that share it (Deep
  Compression, equation 3).

Codes are chosen for squared error + rate_weight x code length, in squared mean magnitudes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dcsim.artifact import Floats
from dcsim.compression.recipe import Recipe
from dcsim.compression.share import Clusters, Initialization, kmeans, nearest
from dcsim.compression.structure import compressible
from dcsim.compression.training import Hooks

REFIT_EVERY = 50  # batches; assumption: often enough to follow, seldom enough to cost nothing
PULL = 1e-2  # at the end, of a weight's distance from its value, added to its gradient; chosen on held-out digits
REFITS = 3  # rounds of codes and centroids; assumption: the fit goes on from the one before
LEAST_SCALE = 1e-8  # above 0, far below any weight

Kept = dict[str, torch.Tensor]  # the weights that are not pruned, by tensor, (n_kept,)


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


class Codebook:
    """Centroids for some tensors, fitted to their weights by alternating least squares.

    Attributes:
        centroids: (n_codes,).
        scales: by tensor; its weights are about centroids times this. 1 for a codebook of one tensor.
        clusters: what k-means found at first.
    """

    def __init__(
        self, n_codes: int, rate_weight: float, initialization: Initialization, seed: int, scaled: bool
    ) -> None:
        self._n_codes, self._rate_weight = n_codes, rate_weight
        self._initialization, self._seed, self._scaled = initialization, seed, scaled
        self.centroids = torch.zeros(0)
        self.scales: dict[str, torch.Tensor] = {}
        self.clusters: Clusters | None = None
        self._code_bits = torch.zeros(n_codes)

    def codes(self, name: str, weights: torch.Tensor) -> torch.Tensor:
        """The best centroid of each weight, counting what its code costs."""
        scaled = weights / self.scales[name]
        if not self._rate_weight:
            return torch.from_numpy(nearest(scaled.numpy(), self.centroids.double().numpy()))
        unit = 1.0 if self._scaled else float(weights.abs().mean()) ** 2
        distances = (scaled[:, None] - self.centroids) ** 2
        return (distances + unit * self._rate_weight * self._code_bits).argmin(1)

    def values(self, name: str, weights: torch.Tensor) -> torch.Tensor:
        """What the codebook makes of weights."""
        return self.centroids[self.codes(name, weights)] * self.scales[name]

    def fit(self, kept: Kept) -> None:
        """Some rounds of codes, centroids and scales, from where the last fit ended, or from k-means."""
        for name, weights in kept.items():
            self.scales.setdefault(name, weights.abs().mean() if self._scaled else torch.ones(()))
        if not len(self.centroids):
            together = torch.cat([weights / self.scales[name] for name, weights in kept.items()])
            self.clusters = kmeans(
                together.numpy(), self._n_codes, initialization=self._initialization, seed=self._seed
            )
            self.centroids = torch.from_numpy(self.clusters.centroids.astype(np.float32))
            self._code_bits.fill_(1.0)  # all the same
        for _ in range(REFITS):
            self._refit(kept)

    def _refit(self, kept: Kept) -> None:
        sums, counts = torch.zeros(self._n_codes, dtype=torch.float64), torch.zeros(self._n_codes)
        for name, weights in kept.items():
            codes = self.codes(name, weights)
            sums.index_add_(0, codes, (weights / self.scales[name]).double())
            counts += torch.bincount(codes, minlength=self._n_codes)
        means = (sums / counts.clamp_min(1)).float()
        self.centroids = torch.where(counts > 0, means, self.centroids)
        self._code_bits = -torch.log2((counts + 0.5) / (counts.sum() + 0.5 * self._n_codes))
        for name, weights in kept.items() if self._scaled else ():
            found = self.centroids[self.codes(name, weights)]
            power = (found**2).sum()
            if power > 0:
                self.scales[name] = ((weights * found).sum() / power).clamp_min(LEAST_SCALE)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {"centroids": self.centroids, "scales": self.scales, "code_bits": self._code_bits}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.centroids, self.scales, self._code_bits = state["centroids"], state["scales"], state["code_bits"]


class _Codebooks(Hooks):
    """What both runs have: the tensors that share, their masks, and the codebook of each."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self._weights = compressible(model, recipe)
        self._masks = {name: weight.detach() != 0 for name, weight in self._weights.items()}
        self.books: dict[str, Codebook] = {}
        share = recipe.share
        network = Codebook(share.n_codes or 0, share.rate_weight, "optimal", recipe.seed, scaled=True)
        for name, weight in self._weights.items():
            layer = recipe.layer_of(name, weight.dim())
            if layer is None or layer.code_bits is None:
                self.books[name] = network
            else:  # one code is left to the value zero, which fillers need
                n_codes = (1 << layer.code_bits) - 1
                self.books[name] = Codebook(n_codes, share.rate_weight, recipe.centroids, recipe.seed, scaled=False)

    @property
    def distinct(self) -> dict[str, Codebook]:
        """Each codebook once, by the name of its first tensor."""
        return {
            next(n for n, b in self.books.items() if b is book): book for book in dict.fromkeys(self.books.values())
        }

    def fit(self) -> None:
        """Every codebook to the weights as they are."""
        kept = self.kept()
        for book in self.distinct.values():
            own = {name: weights for name, weights in kept.items() if self.books[name] is book}
            if own:
                book.fit(own)

    def kept(self) -> Kept:
        """The weights that stay, by tensor; those of which none stay are left out."""
        kept = {name: weight.detach()[self._masks[name]] for name, weight in self._weights.items()}
        return {name: weights for name, weights in kept.items() if len(weights)}

    def state(self) -> dict[str, Any]:
        return {"masks": self._masks, "books": {name: book.state() for name, book in self.distinct.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self._masks = state["masks"]
        for name, book in self.distinct.items():
            book.restore(state["books"][name])


class Quantising(_Codebooks):
    """Train weights that are seen through their codebooks."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        self._behind: dict[str, torch.Tensor] = {}
        self._pull = 0.0

    @torch.no_grad()
    def before_batch(self, done: int, total: int) -> None:
        self._pull = PULL * done / total
        if done % REFIT_EVERY == 0:
            self.fit()
        self._behind = {name: weight.detach().clone() for name, weight in self._weights.items()}
        for name, weights in self.kept().items():
            self._weights[name][self._masks[name]] = self.books[name].values(name, weights)

    @torch.no_grad()
    def after_backward(self) -> None:
        for name, weight in self._weights.items():
            behind = self._behind[name]
            if weight.grad is not None:
                weight.grad += self._pull * (behind - weight)
            weight.copy_(behind)

    @torch.no_grad()
    def after_step(self) -> None:
        for name, mask in self._masks.items():
            self._weights[name].mul_(mask)


class Sharing(_Codebooks):
    """Train what is shared."""

    def __init__(self, model: nn.Module, recipe: Recipe, quantised: Quantising | None) -> None:
        super().__init__(model, recipe)
        self._half = recipe.codebooks == "fp16"
        self._others = [p for p in model.parameters() if all(p is not weight for weight in self._weights.values())]
        if quantised is not None:
            for name, book in self.distinct.items():
                book.restore(quantised.distinct[name].state())
                book.clusters = quantised.distinct[name].clusters
        self.fit()
        self._codes = {name: self.books[name].codes(name, weights) for name, weights in self.kept().items()}
        self._centroids = {name: nn.Parameter(book.centroids.clone()) for name, book in self.distinct.items()}
        self._owner = {
            name: next(n for n, b in self.distinct.items() if b is book) for name, book in self.books.items()
        }
        scaled = recipe.share.codebook == "network"
        self._scales = {n: nn.Parameter(self.books[n].scales[n].clone(), requires_grad=scaled) for n in self._codes}
        self._place()

    def parameters(self) -> list[nn.Parameter]:
        """Centroids, scales, and the tensors that do not share."""
        scales = [scale for scale in self._scales.values() if scale.requires_grad]
        return [*self._centroids.values(), *scales, *self._others]

    @torch.no_grad()
    def after_backward(self) -> None:
        for centroids in self._centroids.values():
            centroids.grad = torch.zeros_like(centroids)
        for name, codes in self._codes.items():
            gradient = self._weights[name].grad
            if gradient is None:
                continue
            centroids, scale = self._centroids[self._owner[name]], self._scales[name]
            members = gradient[self._masks[name]]
            assert centroids.grad is not None
            centroids.grad.index_add_(0, codes, members * scale)
            if scale.requires_grad:
                scale.grad = (members * centroids[codes]).sum()
            self._weights[name].grad = None  # no optimiser clears it

    @torch.no_grad()
    def after_step(self) -> None:
        for scale in self._scales.values():
            scale.clamp_min_(LEAST_SCALE)  # a step may lead across zero
        self._place()

    @torch.no_grad()
    def _place(self) -> None:
        for name, codes in self._codes.items():
            centroids = self._centroids[self._owner[name]]
            self._weights[name][self._masks[name]] = centroids[codes] * self._scales[name]

    def state(self) -> dict[str, Any]:
        trained = {"centroids": dict(self._centroids), "scales": dict(self._scales)}
        return {**super().state(), "codes": self._codes, **trained}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._codes = state["codes"]
        for kind, own in (("centroids", self._centroids), ("scales", self._scales)):
            for name, parameter in own.items():
                parameter.copy_(state[kind][name])
        self._place()

    @torch.no_grad()
    def finish(self) -> SharedNetwork | None:
        """Round what is shared to what is stored, and put it in place. Of a network's codebook, the codes too."""
        if any(scale.requires_grad for scale in self._scales.values()):
            return self._finish_network()
        for centroids in self._centroids.values():
            if self._half:
                centroids.copy_(centroids.half().float())
        self._place()
        return None

    def _finish_network(self) -> SharedNetwork:
        """The first tensor's scale becomes part of the codebook."""
        centroids = next(iter(self._centroids.values())).detach()
        scales = {name: scale.item() for name, scale in self._scales.items()}
        unit = next(iter(scales.values()))
        order = torch.argsort(centroids * unit)
        codebook = (centroids * unit)[order].half().float()
        half = np.finfo(np.float16)  # a scale of 0 would make all of a tensor zero
        relative = {
            name: float(np.float16(np.clip(scale / unit, half.tiny, half.max))) for name, scale in scales.items()
        }
        rank = torch.argsort(order)
        numbers = {}
        for name, weight in self._weights.items():
            mask, numbered = self._masks[name], torch.zeros(weight.shape, dtype=torch.uint8)
            if name in self._codes:
                values = codebook[rank[self._codes[name]]] * torch.tensor(relative[name])
                weight[mask] = values
                numbered[mask] = (rank[self._codes[name]] + 1).where(values != 0, 0).to(torch.uint8)
            numbers[name] = numbered.numpy()
        return SharedNetwork(codebook.numpy(), numbers, {name: relative.get(name, 1.0) for name in self._weights})
