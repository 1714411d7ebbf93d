"""Do the codecs return every stream as it was, and are Huffman codes as short as they can be?"""

import heapq
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.codec import fixed_width, huffman, relative_index
from dcsim.codec.huffman import BLOCK_SYMBOLS, MAX_CODE_BITS
from dcsim.errors import ArtifactError
from dcsim.units import bits_to_bytes

laws = settings(max_examples=120, deadline=None)
counts = st.lists(st.integers(0, 10**6), min_size=2, max_size=300).filter(lambda values: np.count_nonzero(values) > 1)
#: a code word of 15 bits needs 16 symbols, and counts that sum to at least the 17th Fibonacci number, 1597
never_past_the_limit = st.lists(st.integers(1, 10**9), min_size=2, max_size=MAX_CODE_BITS + 1) | st.lists(
    st.integers(1, 15), min_size=2, max_size=100
)
few_symbols = st.lists(st.integers(0, 40), max_size=300)


def huffman_cost(values: list[int]) -> int:
    """Total bits of an unlimited Huffman code, by the algorithm everybody knows."""
    heap = [value for value in values if value]
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        cost += merged
        heapq.heappush(heap, merged)
    return cost


def cheapest(values: list[int], limit_bits: int) -> int:
    """Total bits of the best prefix code under a limit, by trying all lengths."""
    candidates = product(range(1, limit_bits + 1), repeat=len(values))
    allowed = (lengths for lengths in candidates if sum(2.0**-length for length in lengths) <= 1)
    return min(sum(value * length for value, length in zip(values, lengths, strict=True)) for lengths in allowed)


@laws
@given(st.data(), st.integers(1, 32))
def test_fixed_width_fields_come_back(data: st.DataObject, width_bits: int) -> None:
    symbols = data.draw(st.lists(st.integers(0, (1 << width_bits) - 1), max_size=100))
    packed = fixed_width.pack(np.array(symbols, np.uint32), width_bits)
    assert len(packed) == bits_to_bytes(len(symbols) * width_bits)
    assert fixed_width.unpack(packed, width_bits, len(symbols)).tolist() == symbols


@laws
@given(st.sets(st.integers(0, 20_000), max_size=60), st.integers(1, relative_index.MAX_GAP_BITS))
def test_positions_come_back_and_fillers_lie_between_them(chosen: set[int], gap_bits: int) -> None:
    positions = np.array(sorted(chosen), np.int64)
    gaps, entry_of = relative_index.encode(positions, gap_bits)
    decoded = relative_index.decode(gaps, 20_001)
    assert decoded[entry_of].tolist() == positions.tolist()
    assert (np.diff(decoded) > 0).all()
    assert len(gaps) == len(positions) + sum((np.diff(positions, prepend=-1) - 1) >> gap_bits)  # fillers
    assert not len(gaps) or gaps.max() < 1 << gap_bits


@laws
@given(few_symbols)
def test_huffman_streams_come_back(values: list[int]) -> None:
    symbols = np.array(values, np.uint16)
    stream = huffman.encode(symbols)
    assert huffman.decode(stream).tolist() == values
    assert len(stream.payload) == sum(bits_to_bytes(int(bits)) for bits in stream.block_bits)


@pytest.mark.parametrize("n_symbols", [BLOCK_SYMBOLS - 1, BLOCK_SYMBOLS, BLOCK_SYMBOLS + 1, 3 * BLOCK_SYMBOLS])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), n_alphabet=st.integers(1, 5000), skew=st.floats(0, 3))
def test_long_huffman_streams_come_back(n_symbols: int, seed: int, n_alphabet: int, skew: float) -> None:
    weights = np.arange(1, n_alphabet + 1) ** -skew
    symbols = np.random.default_rng(seed).choice(n_alphabet, n_symbols, p=weights / weights.sum()).astype(np.uint16)
    assert np.array_equal(huffman.decode(huffman.encode(symbols)), symbols)


@laws
@given(counts)
def test_kraft_sum_is_one_and_the_limit_holds(values: list[int]) -> None:
    lengths = huffman.code_lengths(np.array(values)).astype(np.int64)
    used = lengths[lengths > 0]
    assert np.array_equal(lengths > 0, np.array(values) > 0)
    assert used.max() <= MAX_CODE_BITS
    assert (1 << (MAX_CODE_BITS - used)).sum() == 1 << MAX_CODE_BITS
    huffman.check_lengths(lengths.astype(np.uint8), sum(values))


@laws
@given(never_past_the_limit)
def test_codes_are_optimal_where_the_limit_cannot_bind(values: list[int]) -> None:
    assert int(np.array(values) @ huffman.code_lengths(np.array(values))) == huffman_cost(values)


@laws
@given(counts)
def test_the_limit_never_makes_a_code_cheaper(values: list[int]) -> None:
    assert int(np.array(values) @ huffman.code_lengths(np.array(values))) >= huffman_cost(values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=5), st.integers(3, 4))
def test_codes_are_optimal_where_the_limit_binds(values: list[int], limit_bits: int) -> None:
    lengths = huffman.code_lengths(np.array(values), limit_bits)
    assert int(np.array(values) @ lengths) == cheapest(values, limit_bits)


@laws
@given(few_symbols.filter(bool), st.data())
def test_an_altered_stream_is_refused_or_decoded_to_known_symbols(values: list[int], data: st.DataObject) -> None:
    stream = huffman.encode(np.array(values, np.uint16))
    payload = data.draw(st.binary(min_size=len(stream.payload), max_size=len(stream.payload)))
    altered = huffman.HuffmanStream(stream.n_symbols, stream.lengths, stream.block_bits, payload)
    try:
        decoded = huffman.decode(altered)
    except ArtifactError:
        return
    assert len(decoded) == len(values)
    assert set(decoded.tolist()) <= set(values)
