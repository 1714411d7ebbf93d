"""Do gaps and fillers stand for exactly the positions they were made from?"""

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.codec import huffman, relative_index
from dcsim.codec.relative_index import MAX_GAP_BITS, Floats, Nonzeros
from dcsim.errors import MalformedError
from tests import networks


def skips_of(*values: int) -> npt.NDArray[np.uint32]:
    return np.array(values, np.uint32)


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def placed(
    gaps: list[int],
    symbols: list[float],
    gap_bits: int,
    slice_elements: list[int],
    n_per_slice: list[int] | None = None,
    codebook: list[float] | None = None,
) -> list[float]:
    return networks.placed(
        np.array(gaps, np.uint8 if gap_bits <= 8 else np.uint16),
        np.array(symbols, np.float32 if codebook is None else np.uint8),
        None if codebook is None else np.array(codebook, np.float32),
        gap_bits,
        np.array(n_per_slice or [len(gaps)], np.int64),
        np.array(slice_elements, np.int64),
    ).tolist()


def back(nonzeros: Nonzeros, gap_bits: int, slice_elements: npt.NDArray[np.int64]) -> Floats:
    """What `place` makes of what `encode` makes of some nonzeros."""
    gaps, stored = relative_index.encode(nonzeros.skips, nonzeros.values, gap_bits)
    n_per_slice = relative_index.entries_per_slice(nonzeros, gap_bits)
    return networks.placed(gaps, stored, None, gap_bits, n_per_slice, slice_elements)


# find


def test_nonzeros_and_the_zeros_before_them() -> None:
    found = relative_index.find(floats(0, 1.5, 0, 0, -2, 3, 0))
    assert found.values.tolist() == [1.5, -2, 3]
    assert found.skips.tolist() == [1, 2, 0]
    assert found.n_per_slice.tolist() == [3]
    assert (found.values.dtype, found.skips.dtype) == (np.float32, np.uint32)


def test_skips_start_anew_in_every_slice() -> None:
    flat = floats(0, 1, 0, 0, 2, 0, 3, 0, 0, 4)
    found = relative_index.find(flat, np.array([6, 0, 4, 0]))
    assert found.skips.tolist() == [1, 2, 0, 2]
    assert found.n_per_slice.tolist() == [2, 0, 2, 0]
    assert relative_index.find(flat, np.array([5, 5])).skips.tolist() == [1, 2, 1, 2]
    assert relative_index.find(flat, np.ones(10, np.int64)).skips.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("flat", [floats(), floats(0, 0, 0), floats(-0.0)])
def test_nothing_is_found_where_all_is_zero(flat: Floats) -> None:
    found = relative_index.find(flat)
    assert (len(found.values), len(found.skips), found.n_per_slice.tolist()) == (0, 0, [0])


def test_all_is_found_where_nothing_is_zero() -> None:
    flat = np.arange(1, 10_001, dtype=np.float32)
    found = relative_index.find(flat)
    assert np.array_equal(found.values, flat)
    assert not found.skips.any()


def test_the_smallest_and_the_largest_floats_are_kept_bit_for_bit() -> None:
    denormal, largest = np.float32(2.0**-149), np.finfo(np.float32).max
    found = relative_index.find(np.array([0, denormal, -denormal, -0.0, largest, -largest], np.float32))
    assert found.values.tolist() == [2.0**-149, -(2.0**-149), largest, -largest]
    assert found.skips.tolist() == [1, 0, 1, 0]


def test_a_threshold_is_a_magnitude_that_is_kept() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    found = relative_index.find(np.array([0.5, below, -0.5, -below, 0.6, 0, -7], np.float32), threshold=0.5)
    assert found.values.tolist() == [0.5, -0.5, np.float32(0.6), -7]
    assert found.skips.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -np.nan])
@pytest.mark.parametrize("at", [0, 63, 4095, 4096, 9999])
def test_what_is_not_finite_is_an_error_of_the_caller(value: float, at: int) -> None:
    flat = np.zeros(10_000, np.float32)
    flat[at] = value
    for threshold in (1.0, relative_index.SMALLEST_MAGNITUDE):
        with pytest.raises(ValueError, match="not finite"):
            relative_index.find(flat, np.array([4000, 6000]), threshold)


@pytest.mark.parametrize("n_elements", [1, 63, 64, 65, 4095, 4096, 4097, 8192, 8200])
@pytest.mark.parametrize("at", [0, -1])
def test_the_first_and_the_last_element_are_found(n_elements: int, at: int) -> None:
    flat = np.zeros(2 * n_elements, np.float32)
    flat[[at % n_elements, n_elements + at % n_elements]] = 1, 2
    found = relative_index.find(flat, np.array([n_elements, n_elements]))
    assert found.values.tolist() == [1, 2]
    assert found.skips.tolist() == [at % n_elements] * 2
    assert found.n_per_slice.tolist() == [1, 1]


@pytest.mark.parametrize("first", [0, 1, 64, 100, 4032, 4095])
@pytest.mark.parametrize("n_kept", [63, 64, 65, 128, 200, 4096, 5000])
def test_a_row_of_nonzeros_is_found_wherever_it_starts(first: int, n_kept: int) -> None:
    flat = np.zeros(10_000, np.float32)
    flat[first : first + n_kept] = np.arange(1, n_kept + 1)
    flat[-1] = -1
    found = relative_index.find(flat)
    assert found.values.tolist() == [*range(1, n_kept + 1), -1]
    assert found.skips.tolist() == [first, *[0] * (n_kept - 1), 9_999 - first - n_kept]


# encode


def test_the_example_of_the_paper() -> None:
    # Deep Compression, figure 2: nonzeros at 1, 4 and 15 with 3-bit differences need one filler, at 12
    flat = np.zeros(16, np.float32)
    flat[[1, 4, 15]] = 3.4, 0.9, 1.7
    found = relative_index.find(flat)
    gaps, stored = relative_index.encode(found.skips, found.values, 3)
    assert gaps.tolist() == [1, 2, 7, 2]
    assert stored.tolist() == floats(3.4, 0.9, 0, 1.7).tolist()
    assert np.array_equal(back(found, 3, np.array([16])), flat)


@pytest.mark.parametrize(
    ("skips", "gap_bits", "gaps", "stored"),
    [
        ([], 4, [], []),
        ([0, 0, 0], 4, [0, 0, 0], [5, 6, 7]),
        ([3, 0, 2], 2, [3, 0, 2], [5, 6, 7]),  # three zeros still fit
        ([4, 0, 2], 2, [3, 0, 0, 2], [0, 5, 6, 7]),  # four are a filler
        ([4, 7, 8], 2, [3, 0, 3, 3, 3, 3, 0], [0, 5, 0, 6, 0, 0, 7]),
        ([0, 1, 3], 1, [0, 1, 1, 1], [5, 6, 0, 7]),
        ([1, 0, 3], 0, [0, 0, 0, 0, 0, 0, 0], [0, 5, 6, 0, 0, 0, 7]),  # every element up to the last
    ],
)
def test_gaps_and_fillers(skips: list[int], gap_bits: int, gaps: list[int], stored: list[int]) -> None:
    symbols = np.array([5, 6, 7][: len(skips)], np.uint8)
    found, with_fillers = relative_index.encode(skips_of(*skips), symbols, gap_bits)
    assert (found.tolist(), with_fillers.tolist()) == (gaps, stored)
    assert relative_index.n_entries(skips_of(*skips), gap_bits) == len(gaps)
    assert with_fillers.dtype == np.uint8


@pytest.mark.parametrize("gap_bits", range(MAX_GAP_BITS + 1))
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_a_filler_is_needed_from_exactly_two_to_the_bits_zeros(gap_bits: int, offset: int, multiple: int) -> None:
    n_zeros = multiple * (1 << gap_bits) + offset
    n_fillers = n_zeros // (1 << gap_bits)
    largest = (1 << gap_bits) - 1
    gaps, stored = relative_index.encode(skips_of(n_zeros, 0), floats(1, 2), gap_bits)
    assert gaps.tolist() == [largest] * n_fillers + [n_zeros - n_fillers * (largest + 1), 0]
    assert stored.tolist() == [0] * n_fillers + [1, 2]
    flat = np.zeros(n_zeros + 5, np.float32)
    flat[[n_zeros, n_zeros + 1]] = 1, 2
    assert np.array_equal(back(relative_index.find(flat), gap_bits, np.array([len(flat)])), flat)


@pytest.mark.parametrize(("gap_bits", "kind"), [(0, np.uint8), (1, np.uint8), (8, np.uint8), (9, np.uint16)])
@pytest.mark.parametrize("skip", [0, 600])
def test_gaps_are_as_narrow_as_their_width(gap_bits: int, kind: type, skip: int) -> None:
    gaps, stored = relative_index.encode(skips_of(skip, 0), np.array([1, 2], np.uint16), gap_bits)
    assert (gaps.dtype, stored.dtype) == (kind, np.uint16)


@pytest.mark.parametrize("at", [0, 4095, 4096, 9999])
def test_one_filler_among_many_nonzeros_moves_those_behind_it(at: int) -> None:
    skips = np.arange(10_000, dtype=np.uint32) % 16
    skips[at] = 17
    symbols = np.arange(1, 10_001, dtype=np.uint16)
    gaps, stored = relative_index.encode(skips, symbols, 4)
    assert gaps.tolist() == [*skips[:at], 15, 1, *skips[at + 1 :]]
    assert stored.tolist() == [*symbols[:at], 0, *symbols[at:]]


@pytest.mark.parametrize(
    ("gap_bits", "n_entries"),
    [
        (0, [10, 0, 6, 1]),  # all elements up to the last nonzero
        (1, [5, 0, 4, 1]),  # 3 fillers for a skip of 7, 2 for one of 4
        (2, [3, 0, 3, 1]),
        (3, [2, 0, 2, 1]),
    ],
)
def test_entries_of_every_slice(gap_bits: int, n_entries: list[int]) -> None:
    # nonzeros at 7 and 9 of the first slice, none in the second, at 0 and 5 of the third, at 0 of the last
    nonzeros = Nonzeros(floats(1, 2, 3, 4, 5), skips_of(7, 1, 0, 4, 0), np.array([2, 0, 2, 1]))
    assert relative_index.entries_per_slice(nonzeros, gap_bits).tolist() == n_entries


def test_entries_of_no_slices() -> None:
    assert (
        relative_index.entries_per_slice(Nonzeros(floats(), skips_of(), np.zeros(3, np.int64)), 4).tolist() == [0] * 3
    )
    assert relative_index.entries_per_slice(Nonzeros(floats(), skips_of(), np.zeros(0, np.int64)), 4).tolist() == []


# place


def test_values_are_placed_after_their_gaps() -> None:
    assert placed([1, 0, 3], [1.5, -2, 7], 2, [8]) == [0, 1.5, -2, 0, 0, 0, 7, 0]


def test_codes_are_looked_up_in_their_codebook() -> None:
    assert placed([1, 0, 3], [2, 1, 2], 2, [7], codebook=[0, 0.5, -1]) == [0, -1, 0.5, 0, 0, 0, -1]


def test_slices_are_placed_one_behind_the_other() -> None:
    assert placed([1, 0, 2], [1, 2, 3], 2, [3, 2, 4], [2, 0, 1]) == [0, 1, 2, 0, 0, 0, 0, 3, 0]


def test_no_entries_make_zeros() -> None:
    assert placed([], [], 4, [3]) == [0, 0, 0]
    assert placed([], [], 4, []) == []
    assert placed([], [], 4, [2, 0, 1], [0, 0, 0]) == [0, 0, 0]


def test_the_last_position_is_inside_and_the_next_is_not() -> None:
    assert placed([0, 3], [1, 2], 2, [5]) == [1, 0, 0, 0, 2]
    with pytest.raises(MalformedError, match="a gap runs past the end"):
        placed([0, 3], [1, 2], 2, [4])


@pytest.mark.parametrize(
    ("gaps", "symbols", "n_per_slice", "reason"),
    [
        ([3], [1], [1, 0], "a gap runs past the end"),  # into the second slice, which has room
        ([0, 0, 0, 0], [1, 2, 3, 4], [4, 0], "a gap runs past the end"),
        ([0, 2, 2], [1, 2, 3], [1, 2], "a gap runs past the end"),
        ([3], [0], [1, 0], "a gap runs past the end"),  # a filler too
        ([1], [1], [0, 1], None),
        ([0, 0], [0, 1], [2, 0], "an entry of value zero is no filler"),
        ([2], [0], [1, 0], "an entry of value zero is no filler"),
        ([0, 2], [-0.0, 1], [2, 0], "an entry of value zero is no filler"),
        ([0, 3], [1, 0], [0, 2], "zeros after the last nonzero"),
        ([3, 0], [0, 1], [0, 2], None),  # a filler in its place
        ([3], [0], [0, 1], "zeros after the last nonzero"),
    ],
)
def test_entries_that_fit_no_slice_are_refused(
    gaps: list[int], symbols: list[float], n_per_slice: list[int], reason: str | None
) -> None:
    if reason is None:
        assert sum(placed(gaps, symbols, 2, [3, 5], n_per_slice)) == 1
        return
    with pytest.raises(MalformedError, match=reason):
        placed(gaps, symbols, 2, [3, 5], n_per_slice)


def test_zeros_after_the_last_nonzero_are_refused_in_every_slice() -> None:
    with pytest.raises(MalformedError, match="zeros after the last nonzero"):
        placed([1, 3, 0], [1, 0, 2], 2, [8, 8], [2, 1])
    assert placed([1, 3, 0], [1, 0, 2], 2, [8, 8], [1, 2])[8:] == [0, 0, 0, 0, 2, 0, 0, 0]


def test_the_code_of_a_zero_is_a_filler_whatever_its_number() -> None:
    with pytest.raises(MalformedError, match="an entry of value zero is no filler"):
        placed([0, 0], [2, 1], 2, [4], codebook=[0, 1, 0])


def test_without_gap_bits_zeros_stand_for_themselves() -> None:
    assert placed([0] * 4, [0, 5, 0, 6], 0, [6]) == [0, 5, 0, 6, 0, 0]
    with pytest.raises(MalformedError, match="zeros after the last nonzero"):
        placed([0] * 5, [0, 5, 0, 6, 0], 0, [6])
    with pytest.raises(MalformedError, match="a gap runs past the end"):
        placed([0] * 3, [1, 2, 3], 0, [2])


@pytest.mark.parametrize("gap_bits", range(MAX_GAP_BITS + 1))
@pytest.mark.parametrize("density", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("slice_elements", [[70_000], [0, 1, 4096, 0, 65_903], [100] * 700])
def test_tensors_come_back_at_every_width(gap_bits: int, density: float, slice_elements: list[int]) -> None:
    generator = np.random.default_rng(0)
    flat = generator.normal(size=70_000).astype(np.float32)
    flat[generator.random(70_000) >= density] = 0
    sizes = np.array(slice_elements)
    found = relative_index.find(flat, sizes)
    assert len(found.values) == np.count_nonzero(flat)
    assert np.array_equal(back(found, gap_bits, sizes), flat)


# the best width


def encoded_bits(skips: npt.NDArray[np.uint32], codes: npt.NDArray[np.uint8], n_codes: int, gap_bits: int) -> int:
    """Both Huffman streams and their tables, by encoding the entries."""
    gaps, stored = relative_index.encode(skips, codes, gap_bits)
    gap_counts = np.bincount(gaps, minlength=1 << gap_bits)
    return huffman.size_bits(gap_counts) + huffman.size_bits(np.bincount(stored, minlength=n_codes))


@pytest.mark.parametrize("density", [0.001, 0.003, 0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("n_nonzeros", [1, 10, 1000, 10_000])
def test_the_smallest_width_is_the_smallest_of_all_when_encoded(density: float, n_nonzeros: int) -> None:
    generator = np.random.default_rng(n_nonzeros)
    skips = (generator.geometric(density, n_nonzeros) - 1).astype(np.uint32)
    codes = generator.integers(1, 32, n_nonzeros, np.uint8)
    n_bits = [encoded_bits(skips, codes, 32, gap_bits) for gap_bits in range(MAX_GAP_BITS + 1)]
    chosen = relative_index.smallest_gap_bits(skips, np.bincount(codes, minlength=32))
    assert chosen == n_bits.index(min(n_bits))


def test_skips_longer_than_any_gap_count_too() -> None:
    skips = skips_of(*[3] * 500, 70_000, 1 << 20, *[2] * 500, 200_000)
    codes = np.ones(len(skips), np.uint8)
    n_bits = [encoded_bits(skips, codes, 2, gap_bits) for gap_bits in range(MAX_GAP_BITS + 1)]
    chosen = relative_index.smallest_gap_bits(skips, np.bincount(codes, minlength=2))
    assert chosen == n_bits.index(min(n_bits)) == 16


@pytest.mark.parametrize(
    ("skips", "code_counts", "gap_bits"),
    [
        ([], [0, 0], 0),
        ([0, 0, 0, 0], [0, 4], 0),  # no gap is needed
        # one filler makes two kinds of codes of one, 11 bits; a gap is a bit for each of ten
        ([0] * 9 + [1], [0, 10], 1),
        # one filler makes 30 bits of 24, while gaps would take a bit for each of twelve
        ([0] * 11 + [1], [0, 3, 3, 3, 3], 0),
        # with every gap 1, gaps take no bits
        ([1] * 10, [0, 10], 1),
        # the same for every gap 2, which two bits hold
        ([2] * 10, [0, 10], 2),
    ],
)
def test_the_smallest_width_by_hand(skips: list[int], code_counts: list[int], gap_bits: int) -> None:
    counts = np.array(code_counts)
    assert relative_index.smallest_gap_bits(skips_of(*skips), counts) == gap_bits
    assert counts.tolist() == code_counts
