"""How near a network's outputs stay to what they were, where there are no labels to judge by."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dcsim.artifact import Floats
from dcsim.compression.pipeline import load_weights
from dcsim.compression.training import forward

BATCH = 32


@dataclass(frozen=True)
class Similarity:
    """Cosine between the outputs of two networks, example by example.

    Attributes:
        mean, lowest: over the examples, 1 when outputs point the same way.
        n_same_largest: examples whose largest output is the same one: of a classifier, the class.
    """

    mean: float
    lowest: float
    n_same_largest: int
    n_examples: int


@torch.no_grad()
def output_similarity(model: nn.Module, weights: Mapping[str, Floats], inputs: npt.NDArray[np.generic]) -> Similarity:
    """Compare a model with itself with other weights, which it ends with.

    Args:
        model: any that gives one tensor, batch first.
        weights: of every floating-point tensor, by name.
        inputs: batch first.

    Raises:
        NetworkError: the forward fails, or names and shapes do not match.
    """
    model.eval()
    batches = [torch.from_numpy(inputs[first : first + BATCH]) for first in range(0, len(inputs), BATCH)]
    before = torch.cat([forward(model, batch).flatten(1) for batch in batches])
    load_weights(model, weights)
    after = torch.cat([forward(model, batch).flatten(1) for batch in batches])
    cosines = nn.functional.cosine_similarity(before.double(), after.double(), dim=1)
    n_same = int((before.argmax(1) == after.argmax(1)).sum())
    return Similarity(float(cosines.mean()), float(cosines.min()), n_same, len(inputs))
