"""The smallest file at a permitted error: how many weights stay, and how many values they share, by trying.

Every trial is a whole compression of a part of the training examples, judged on the rest of them; the test set is not
looked at. A trial leaves its files in a folder of its own, so that a search that was stopped goes on where it was.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dcsim.compression import pipeline
from dcsim.compression.recipe import Recipe
from dcsim.compression.store import cache_key, read_stages
from dcsim.compression.structure import n_compressible
from dcsim.compression.training import OnProgress
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError

N_CODES = (8, 16, 4)  # in this order: 8 is mostly best, 16 where the error is tight
FIRST_DENSITY = 1 / 32  # where the search begins; assumption
PRECISION = 1.1  # two counts of weights nearer than this factor are taken as one; assumption: a tenth of the bytes


@dataclass(frozen=True)
class Trial:
    """What one recipe came to.

    Attributes:
        file_bytes: of its huffman file.
        error: wrong / all of that file on the held-out examples.
    """

    n_kept: int
    n_codes: int
    file_bytes: int
    error: float


class Search:
    """Trials of one network around a recipe, each made once.

    Args:
        architecture: what tells this network's operators from any other's.
        base: whose `n_kept` and `n_codes` are varied.
        folder: of the trials.
    """

    def __init__(
        self,
        network: str,
        architecture: str,
        model: nn.Module,
        base: Recipe,
        dataset: Dataset,
        folder: Path,
        on_progress: OnProgress = lambda run, done, total, note: None,
        on_trial: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        if base.share.codebook != "network" or not base.prune.network_wide:
            raise ConfigError(
                f"recipe {base.name}: a search needs a target of the whole network (prune n_kept or density) and share "
                "codebook: network"
            )
        self._network, self._architecture, self._model = network, architecture, model
        self._base, self._dataset = base, dataset
        self._folder, self._on_progress, self._on_trial = folder, on_progress, on_trial
        self._weights = pipeline.state_weights(model)
        self._n_all = n_compressible(model, base)
        self.trials: list[Trial] = []

    def recipe(self, n_kept: int, n_codes: int) -> Recipe:
        """The base with other counts."""
        prune = self._base.prune.model_copy(update={"n_kept": n_kept, "density": None})
        share = self._base.share.model_copy(update={"n_codes": n_codes})
        return self._base.model_copy(update={"prune": prune, "share": share})

    def smallest(self, max_error: float) -> Trial:
        """The trial of the fewest bytes whose error is at most `max_error`.

        For 8 codes the count of weights is bracketed by doubling and halving, then bisected; other numbers of codes
        begin at what was found and move on while their files get smaller.

        Raises:
            ConfigError: not even with all weights is the error permitted.
        """
        first, *others = N_CODES
        best = self._bisect(first, max(1, round(FIRST_DENSITY * self._n_all)), max_error)
        if best is None:
            raise ConfigError(
                f"an error of {100 * max_error:.2f} % is out of reach: with all {self._n_all} weights and {first} "
                f"values it is {100 * self.trials[-1].error:.2f} % on held-out examples; permit more, or train longer"
            )
        for n_codes in others:
            found = self._bisect(n_codes, best.n_kept, max_error, beat=best.file_bytes)
            if found is not None and found.file_bytes < best.file_bytes:
                best = found
        return best

    def _bisect(self, n_codes: int, start: int, max_error: float, beat: int | None = None) -> Trial | None:
        """The fewest weights that are enough with `n_codes` values; None when all are not, or no file beats `beat`."""
        enough, too_few, n_kept = None, 0, start
        while enough is None or (enough.n_kept > PRECISION * too_few and enough.n_kept > 1):
            trial = self._try(n_kept, n_codes)
            if trial.error <= max_error:
                enough = trial
            elif n_kept == self._n_all or (beat is not None and trial.file_bytes >= beat):
                return enough
            else:
                too_few = n_kept
            n_kept = self._next(enough.n_kept if enough else None, too_few)
            if enough and n_kept in (enough.n_kept, too_few):
                break
        return enough

    def _next(self, enough: int | None, too_few: int) -> int:
        if enough is None:
            return min(self._n_all, 2 * too_few)
        return max(1, enough // 2) if too_few == 0 else round((enough * too_few) ** 0.5)

    def _try(self, n_kept: int, n_codes: int) -> Trial:
        recipe = self.recipe(n_kept, n_codes)
        folder = self._folder / f"kept-{n_kept}-codes-{n_codes}"
        key = cache_key(recipe, self._weights, self._dataset.fingerprint, self._architecture)
        stages = read_stages(folder, key) or pipeline.compress(
            copy.deepcopy(self._model),
            recipe,
            self._dataset,
            folder,
            network=self._network,
            key=key,
            on_progress=lambda run, done, total, note: self._on_progress(
                f"{n_kept} weights, {n_codes} values: {run}", done, total, note
            ),
        )
        trial = Trial(n_kept, n_codes, stages[-1].file_bytes, stages[-1].test_error)
        self.trials.append(trial)
        self._on_trial(trial)
        return trial
