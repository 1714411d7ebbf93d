"""Does pruning keep the largest weights, as many as asked for?"""

from itertools import pairwise

import pytest
import torch

from dcsim.compression.prune import magnitude_mask, step_density


@pytest.mark.parametrize(
    ("values", "density", "kept"),
    [
        ([1, -5, 3, 0], 0.5, [False, True, True, False]),
        ([2, -2, 2, -2], 0.5, [True, True, False, False]),  # ties keep the earlier position
        ([1, 2, 3, 4], 0, [False, False, False, True]),  # never none
        ([1, 2, 3, 4], 0.6, [False, False, True, True]),
        ([1, 2, 3, 4], 0.9, [True, True, True, True]),
        ([0, 0, 1], 1, [True, True, True]),
    ],
)
def test_mask(values: list[float], density: float, kept: list[bool]) -> None:
    assert magnitude_mask(torch.tensor(values).float(), density).tolist() == kept


def test_a_mask_has_the_shape_of_its_weights_and_leaves_them_alone() -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 4).requires_grad_()
    mask = magnitude_mask(tensor, 0.25)
    assert (mask.shape, mask.dtype, int(mask.sum())) == (tensor.shape, torch.bool, 6)
    assert tensor.detach().flatten().tolist() == list(range(24))


def test_ties_among_many_keep_the_earlier_positions() -> None:
    assert magnitude_mask(torch.ones(1000), 0.3).tolist() == [True] * 300 + [False] * 700


def test_each_step_keeps_the_same_share_of_the_one_before() -> None:
    densities = [step_density(0.08, step, 8) for step in range(9)]
    assert densities[0] == 1
    assert densities[-1] == 0.08
    assert [after / before for before, after in pairwise(densities)] == pytest.approx([0.08**0.125] * 8)
