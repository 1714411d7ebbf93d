"""Are Huffman streams as the format says: canonical, limited, in blocks, and refused when they are not?"""

from dataclasses import replace

import numpy as np
import pytest

from dcsim.codec import huffman
from dcsim.codec.huffman import BLOCK_SYMBOLS, MAX_CODE_BITS, HuffmanStream
from dcsim.errors import ArtifactError, MalformedError, TruncatedError
from dcsim.units import bits_to_bytes


def stream_of(n_symbols: int) -> tuple[huffman.Symbols, HuffmanStream]:
    symbols = np.random.default_rng(0).choice(5, n_symbols, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(np.uint16)
    symbols[:5] = np.arange(min(5, n_symbols))  # all of the alphabet
    return symbols, huffman.encode(symbols)


def fibonacci(n: int) -> list[int]:
    counts = [1, 1]
    while len(counts) < n:
        counts.append(counts[-1] + counts[-2])
    return counts


def test_an_empty_stream_has_no_code() -> None:
    stream = huffman.encode(np.zeros(0, np.uint16))
    assert (stream.n_symbols, len(stream.lengths), len(stream.block_bits), stream.payload) == (0, 0, 0, b"")
    assert len(huffman.decode(stream)) == 0


@pytest.mark.parametrize("symbol", [0, 3, 65535])
def test_one_distinct_symbol_takes_no_bits(symbol: int) -> None:
    stream = huffman.encode(np.full(BLOCK_SYMBOLS + 1, symbol, np.uint16))
    assert (stream.payload, stream.block_bits.tolist()) == (b"", [0, 0])
    assert stream.lengths.tolist() == [0] * symbol + [1]
    assert huffman.decode(stream).tolist() == [symbol] * (BLOCK_SYMBOLS + 1)


def test_two_distinct_symbols_take_a_bit_each() -> None:
    symbols = np.array([7, 2, 2, 7, 7], np.uint16)
    stream = huffman.encode(symbols)
    assert (stream.block_bits.tolist(), stream.payload) == ([5], b"\x19")  # 2 is 0, 7 is 1
    assert huffman.decode(stream).tolist() == symbols.tolist()


def test_codes_are_canonical_and_written_lowest_bit_first() -> None:
    stream = huffman.encode(np.array([0, 0, 0, 0, 1, 1, 2], np.uint16))
    assert stream.lengths.tolist() == [1, 2, 2]  # 0: 0, 1: 10, 2: 11
    assert stream.block_bits.tolist() == [10]
    assert stream.payload == bytes([0b0101_0000, 0b11])


def test_lengths_of_a_textbook_example() -> None:
    # Cormen, Leiserson, Rivest and Stein, Introduction to Algorithms, figure 16.3
    assert huffman.code_lengths(np.array([45, 13, 12, 16, 9, 5])).tolist() == [1, 3, 3, 3, 4, 4]


def test_symbols_that_do_not_occur_have_no_code() -> None:
    assert huffman.code_lengths(np.array([0, 5, 0, 0, 1, 1, 0])).tolist() == [0, 1, 0, 0, 2, 2, 0]


def test_the_limit_holds_for_counts_that_want_longer_codes() -> None:
    lengths = huffman.code_lengths(np.array(fibonacci(30)))  # unlimited, the rarest would take 29 bits
    assert lengths.max() == MAX_CODE_BITS
    assert sum(2.0 ** -lengths.astype(float)) == 1


@pytest.mark.parametrize("limit_bits", [3, 4, 5, 7])
def test_a_tighter_limit_is_respected_and_never_cheaper(limit_bits: int) -> None:
    counts = np.array(fibonacci(8))
    tight, loose = huffman.code_lengths(counts, limit_bits), huffman.code_lengths(counts, limit_bits + 1)
    assert tight.max() <= limit_bits
    assert counts @ tight >= counts @ loose


def test_a_full_alphabet_gets_codes_of_the_limit_and_one_more_symbol_none() -> None:
    full = np.ones(1 << MAX_CODE_BITS, np.int64)
    assert set(huffman.code_lengths(full).tolist()) == {MAX_CODE_BITS}
    with pytest.raises(ValueError, match="16385 symbols need codes longer than 14 bits"):
        huffman.code_lengths(np.append(full, 1))


def test_codes_of_the_longest_kind_come_back() -> None:
    counts = fibonacci(20)
    symbols = np.random.default_rng(0).permutation(np.repeat(np.arange(20), counts)).astype(np.uint16)
    stream = huffman.encode(symbols)
    assert stream.lengths.max() == MAX_CODE_BITS
    assert np.array_equal(huffman.decode(stream), symbols)


@pytest.mark.parametrize(
    ("n_symbols", "n_blocks"),
    [
        (6, 1),
        (BLOCK_SYMBOLS - 1, 1),
        (BLOCK_SYMBOLS, 1),
        (BLOCK_SYMBOLS + 1, 2),
        (3 * BLOCK_SYMBOLS, 3),
        (3 * BLOCK_SYMBOLS + 5, 4),
    ],
)
def test_blocks_start_on_bytes_and_can_be_decoded_alone(n_symbols: int, n_blocks: int) -> None:
    symbols, stream = stream_of(n_symbols)
    assert np.array_equal(huffman.decode(stream), symbols)
    assert len(stream.block_bits) == n_blocks
    start = 0
    for block, n_bits in enumerate(stream.block_bits):
        expected = symbols[block * BLOCK_SYMBOLS : (block + 1) * BLOCK_SYMBOLS]
        end = start + bits_to_bytes(int(n_bits))
        alone = HuffmanStream(
            len(expected), stream.lengths, stream.block_bits[block : block + 1], stream.payload[start:end]
        )
        assert np.array_equal(huffman.decode(alone), expected)
        assert n_bits == stream.lengths[expected].sum()
        start = end
    assert start == len(stream.payload)


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ([], "empty code table"),
        ([0, 0, 0], "empty code table"),
        ([0, 2], "a lone symbol must have code length 1"),
        ([1, 2], "Kraft"),  # incomplete: 11 is no code
        ([1, 1, 1], "Kraft"),  # too many
        ([1, 2, 3, 3, 14], "Kraft"),
        ([1, 15, 15], "Kraft"),  # longer than allowed
        ([255, 255], "Kraft"),
    ],
)
def test_a_code_table_that_is_no_complete_prefix_code_is_refused(lengths: list[int], reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        huffman.decode(HuffmanStream(4, np.array(lengths, np.uint8), np.array([4]), b"\x00\x00\x00\x00"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ([1, 0], MalformedError),
        ([-1, 0], MalformedError),
        ([0, 1], MalformedError),
        ([0, -1], MalformedError),
        ([8, -8], MalformedError),
        ([-(10**6), 0], TruncatedError),
        ([10**9, 0], TruncatedError),
    ],
)
def test_a_block_that_does_not_end_where_it_says_is_refused(change: list[int], fault: type[ArtifactError]) -> None:
    _, stream = stream_of(BLOCK_SYMBOLS + 100)
    with pytest.raises(fault):
        huffman.decode(replace(stream, block_bits=stream.block_bits + np.array(change)))


@pytest.mark.parametrize("n_blocks", [0, 1, 3])
def test_a_wrong_number_of_blocks_is_refused(n_blocks: int) -> None:
    _, stream = stream_of(BLOCK_SYMBOLS + 100)
    with pytest.raises(MalformedError, match=f"do not make {n_blocks} blocks"):
        huffman.decode(replace(stream, block_bits=np.resize(stream.block_bits, n_blocks)))


def test_a_payload_one_byte_short_is_refused() -> None:
    _, stream = stream_of(1000)
    with pytest.raises(TruncatedError, match="Huffman blocks need"):
        huffman.decode(replace(stream, payload=stream.payload[:-1]))


def test_bits_for_a_stream_that_needs_none_are_refused() -> None:
    stream = huffman.encode(np.full(10, 4, np.uint16))
    with pytest.raises(MalformedError, match="has no bits"):
        huffman.decode(replace(stream, block_bits=np.array([8]), payload=b"\x00"))


@pytest.mark.parametrize("n_alphabet", [0, 1, 2, 7, 16])
def test_a_code_table_comes_back_from_four_bits_a_length(n_alphabet: int) -> None:
    lengths = (np.arange(n_alphabet) % (MAX_CODE_BITS + 1)).astype(np.uint8)
    packed = huffman.pack_lengths(lengths)
    assert len(packed) == huffman.packed_lengths_bytes(n_alphabet) == (n_alphabet + 1) // 2
    assert huffman.unpack_lengths(packed, n_alphabet).tolist() == lengths.tolist()
