"""Do gaps and fillers stand for exactly the positions they were made from?"""

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.codec import relative_index
from dcsim.errors import MalformedError


def positions(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def test_the_example_of_the_paper() -> None:
    # Deep Compression, figure 2: nonzeros at 1, 4 and 15 with 3-bit differences need one filler, at 12
    gaps, entry_of = relative_index.encode(positions(1, 4, 15), 3)
    assert gaps.tolist() == [1, 2, 7, 2]
    assert entry_of.tolist() == [0, 1, 3]
    assert relative_index.decode(gaps, 16).tolist() == [1, 4, 12, 15]


@pytest.mark.parametrize("gap_bits", [1, 2, 4, 8, 12])
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_a_filler_is_needed_from_exactly_two_to_the_bits_zeros(gap_bits: int, offset: int, multiple: int) -> None:
    n_zeros = multiple * (1 << gap_bits) + offset
    gaps, entry_of = relative_index.encode(positions(n_zeros, n_zeros + 1), gap_bits)
    n_fillers = multiple - 1 if offset < 0 else multiple
    assert len(gaps) == n_fillers + 2
    assert gaps[:n_fillers].tolist() == [(1 << gap_bits) - 1] * n_fillers
    assert gaps.max() < 1 << gap_bits
    assert relative_index.decode(gaps, n_zeros + 2)[entry_of].tolist() == [n_zeros, n_zeros + 1]


def test_no_position_makes_no_entry() -> None:
    gaps, entry_of = relative_index.encode(positions(), 4)
    assert len(gaps) == len(entry_of) == len(relative_index.decode(gaps, 0)) == 0


def test_every_position_makes_gaps_of_zero() -> None:
    gaps, _ = relative_index.encode(np.arange(50), 3)
    assert gaps.tolist() == [0] * 50


def test_the_last_position_is_inside_and_the_next_is_not() -> None:
    gaps, _ = relative_index.encode(positions(0, 99), 4)
    assert relative_index.decode(gaps, 100)[-1] == 99
    with pytest.raises(MalformedError, match="reach position 99 in a tensor of 99 elements"):
        relative_index.decode(gaps, 99)
