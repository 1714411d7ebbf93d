"""Does a mask keep the largest weights, and a denser one all that a sparser one keeps, whatever the weights?"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.compression.prune import magnitude_mask

weights = st.lists(st.integers(-9, 9), min_size=1, max_size=60).map(lambda values: torch.tensor(values).float())
densities = st.floats(0, 1)
laws = settings(max_examples=100, deadline=None)


@laws
@given(weights, densities)
def test_as_many_are_kept_as_asked_for_and_none_is_smaller_than_one_that_is_not(
    tensor: torch.Tensor, density: float
) -> None:
    mask = magnitude_mask(tensor, density)
    assert int(mask.sum()) == max(1, round(density * len(tensor)))
    if not mask.all():
        assert tensor[mask].abs().min() >= tensor[~mask].abs().max()


@laws
@given(weights, densities, densities)
def test_a_lower_density_keeps_a_part_of_what_a_higher_one_keeps(
    tensor: torch.Tensor, first: float, second: float
) -> None:
    low, high = sorted([first, second])
    assert not (magnitude_mask(tensor, low) & ~magnitude_mask(tensor, high)).any()
