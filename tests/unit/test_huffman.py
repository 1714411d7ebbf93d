"""Are Huffman streams as the format says: canonical, limited, in runs of blocks, and refused when they are not?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bitarray.util import canonical_huffman

from dcsim.codec import huffman, huffman_kernels
from dcsim.codec.huffman import BLOCK_SYMBOLS, MAX_CODE_BITS, HuffmanStream, Symbols
from dcsim.errors import ArtifactError, MalformedError, TruncatedError

RUN_SYMBOLS = BLOCK_SYMBOLS // huffman.N_STREAMS
#: streams for each way of decoding: the distribution, and the kernel that decodes its full blocks
PATHS = {
    "several symbols a look-up": ("narrow", "decode_multi"),
    "one symbol a look-up": ("wide", "decode_single"),
    "run by run, 16 bits": ("gaps", "decode_runs"),
    "run by run, long codes": ("long", "decode_runs"),
}


def some_symbols(kind: str, n_symbols: int) -> Symbols:
    """Symbols of a few distributions, each the same every time."""
    generator = np.random.default_rng(0)
    if kind == "narrow":  # about 2 bits a symbol
        return generator.choice(5, n_symbols, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(np.uint8)
    if kind == "wide":  # about 7 bits a symbol
        return generator.normal(128, 35, n_symbols).clip(0, 255).astype(np.uint8)
    if kind == "gaps":  # an alphabet above 256
        return (generator.geometric(0.02, n_symbols) - 1).astype(np.uint16)
    assert kind == "long"  # 8-bit symbols whose rarest have codes of 15 bits
    return generator.permutation(np.resize(np.repeat(np.arange(18), fibonacci(18)), n_symbols)).astype(np.uint8)


def encoded(kind: str, n_symbols: int) -> tuple[Symbols, HuffmanStream]:
    symbols = some_symbols(kind, n_symbols)
    return symbols, huffman.encode(symbols, limit_bits=MAX_CODE_BITS if kind == "long" else None)


def fibonacci(n: int) -> list[int]:
    counts = [1, 1]
    while len(counts) < n:
        counts.append(counts[-1] + counts[-2])
    return counts


def hand_made(n_symbols: int, lengths: list[int], payload: list[int], run_bytes: list[int]) -> HuffmanStream:
    return HuffmanStream(
        n_symbols, np.array(lengths, np.uint8), np.array(run_bytes, np.int64), np.array(payload, np.uint8)
    )


@pytest.fixture
def kernels_used(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kernels that decode streams while a test runs."""
    used: set[str] = set()

    def recorder(name: str, kernel: Callable[..., int]) -> Callable[..., int]:
        def call(payload: Any, ends: Any, run: int, single: Any, other: Any, *more: Any) -> int:
            of_blocks = name == "decode_blocks"  # which takes a table of several symbols, or an empty one
            used.add(name if not of_blocks else "decode_multi" if len(other) else "decode_single")
            return kernel(payload, ends, run, single, other, *more)

        return call

    for name in ("decode_blocks", "decode_runs"):
        monkeypatch.setattr(huffman_kernels, name, recorder(name, getattr(huffman_kernels, name)))
    return used


# streams worked out by hand


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_empty_stream_has_no_code(kind: type) -> None:
    stream = huffman.encode(np.zeros(0, kind))
    assert (stream.n_symbols, len(stream.lengths), len(stream.run_bytes), len(stream.payload)) == (0, 0, 0, 0)
    assert len(huffman.decode(stream)) == 0


def test_an_empty_stream_may_have_an_alphabet() -> None:
    stream = huffman.encode(np.zeros(0, np.uint8), n_alphabet=4)
    assert stream.lengths.tolist() == [0, 0, 0, 0]
    assert len(huffman.decode(stream)) == 0


@pytest.mark.parametrize(("symbol", "kind"), [(0, np.uint8), (3, np.uint8), (255, np.uint16), (65535, np.uint16)])
def test_one_distinct_symbol_takes_no_bits(symbol: int, kind: type) -> None:
    stream = huffman.encode(np.full(BLOCK_SYMBOLS + 1, symbol, kind))
    assert (len(stream.payload), stream.run_bytes.tolist()) == (0, [0] * 9)
    assert stream.lengths.tolist() == [0] * symbol + [1]
    assert huffman.decode(stream).tolist() == [symbol] * (BLOCK_SYMBOLS + 1)
    assert huffman.decode(stream, 1, 1).tolist() == [symbol]


def test_two_distinct_symbols_take_a_bit_each() -> None:
    symbols = np.array([7, 2, 2, 7, 7], np.uint16)
    stream = huffman.encode(symbols)
    assert (stream.run_bytes.tolist(), stream.payload.tolist()) == ([1], [0b11001])  # 2 is 0, 7 is 1
    assert huffman.decode(stream).tolist() == symbols.tolist()


def test_codes_are_canonical_and_written_lowest_bit_first() -> None:
    stream = huffman.encode(np.array([0, 0, 0, 0, 1, 1, 2], np.uint8))
    assert stream.lengths.tolist() == [1, 2, 2]  # 0: 0, 1: 10, 2: 11
    assert stream.run_bytes.tolist() == [2]
    assert stream.payload.tolist() == [0b0101_0000, 0b11]


def test_shorter_codes_come_first_whatever_their_symbol() -> None:
    stream = huffman.encode(np.array([3, 3, 0, 2], np.uint8), n_alphabet=6)
    assert stream.lengths.tolist() == [2, 0, 2, 1, 0, 0]  # 3: 0, 0: 10, 2: 11
    assert stream.payload.tolist() == [0b110100]
    assert huffman.decode(stream).tolist() == [3, 3, 0, 2]


def test_every_code_of_a_textbook_example() -> None:
    # Cormen, Leiserson, Rivest and Stein, Introduction to Algorithms, figure 16.3
    counts = [45, 13, 12, 16, 9, 5]
    lengths = huffman.code_lengths(np.array(counts)).tolist()
    assert lengths == [1, 3, 3, 3, 4, 4]
    # canonical: 0 | 100 | 101 | 110 | 1110 | 1111, read from the lowest bit of each byte on
    assert huffman.decode(hand_made(6, lengths, [0b11010010, 0b11011101, 0b11], [3])).tolist() == [0, 1, 2, 3, 4, 5]
    every = huffman.encode(np.repeat(np.arange(6), counts).astype(np.uint8))
    n_bits = 45 + 3 * (13 + 12 + 16) + 4 * (9 + 5)
    assert (len(every.payload), every.run_bytes.tolist()) == (-(-n_bits // 8), [28])
    assert every.payload[:5].tolist() == [0] * 5  # 40 of 45 zeros
    assert every.payload[5:7].tolist() == [0b00100000, 0b01001001]  # five zeros, then 100 100 100 10...
    assert every.payload[-2:].tolist() == [0b11111111, 0b11111111]  # the last four codes, without padding


def test_a_full_block_is_eight_runs_and_the_rest_is_one() -> None:
    symbols = np.resize(np.array([0, 1], np.uint8), BLOCK_SYMBOLS + 9)
    stream = huffman.encode(symbols)
    assert stream.run_bytes.tolist() == [RUN_SYMBOLS // 8] * 8 + [2]
    assert bytes(stream.payload) == b"\xaa" * (BLOCK_SYMBOLS // 8) + b"\xaa\x00"
    assert huffman.block_bytes(stream).tolist() == [BLOCK_SYMBOLS // 8, 2]


def test_every_run_starts_on_a_byte() -> None:
    symbols = np.zeros(BLOCK_SYMBOLS, np.uint8)
    symbols[0], symbols[RUN_SYMBOLS] = 1, 2  # 0: 0, 1: 10, 2: 11, so two runs are a bit longer than the others
    stream = huffman.encode(symbols)
    assert stream.run_bytes.tolist() == [1025, 1025] + [1024] * 6
    assert bytes(stream.payload) == b"\x01" + bytes(1024) + b"\x03" + bytes(1024) + bytes(6 * 1024)
    assert np.array_equal(huffman.decode(stream), symbols)


@pytest.mark.parametrize(
    ("n_symbols", "n_runs"), [(0, 0), (1, 1), (65535, 1), (65536, 8), (65537, 9), (131071, 9), (131072, 16)]
)
def test_number_of_runs(n_symbols: int, n_runs: int) -> None:
    assert huffman.n_runs(n_symbols) == n_runs


@pytest.mark.parametrize(
    ("n_symbols", "sizes"), [(0, []), (5, [7]), (65536, [36]), (65537, [36, 9]), (131072, [36, 100])]
)
def test_bytes_of_a_block_are_those_of_its_runs(n_symbols: int, sizes: list[int]) -> None:
    runs = {0: [], 5: [7], 65536: [*range(1, 9)], 65537: [*range(1, 9), 9], 131072: [*range(1, 17)]}[n_symbols]
    stream = hand_made(n_symbols, [1, 1], [], runs)
    assert huffman.block_bytes(stream).tolist() == sizes


@pytest.mark.parametrize(
    ("counts", "n_bits"),
    [
        ([], 0),
        ([0, 0, 0], 8),
        ([5], 8),  # a table, no bits
        ([9, 9], 8 + 18),
        ([4, 2, 1], 8 + 10),  # lengths 1, 2, 2 from the yardstick 2: 101 100 0
        ([0] * 16 + [1, 1], 24 + 2),  # yardstick 5: 1111 000010000, 1110 0000, 0 are 22 bits: three bytes
    ],
)
def test_size_counts_codes_and_their_table(counts: list[int], n_bits: int) -> None:
    assert huffman.size_bits(np.array(counts, np.int64)) == n_bits


# code lengths


def test_symbols_that_do_not_occur_have_no_code() -> None:
    assert huffman.code_lengths(np.array([0, 5, 0, 0, 1, 1, 0])).tolist() == [0, 1, 0, 0, 2, 2, 0]


def test_no_symbol_has_no_code_and_a_lone_one_a_bit() -> None:
    assert huffman.code_lengths(np.zeros(3, np.int64)).tolist() == [0, 0, 0]
    assert huffman.code_lengths(np.array([0, 9, 0])).tolist() == [0, 1, 0]


@pytest.mark.parametrize("limit_bits", [14, 15, 16, 20, 28])
def test_the_limit_holds_for_counts_that_want_longer_codes(limit_bits: int) -> None:
    lengths = huffman.code_lengths(np.array(fibonacci(30)), limit_bits)
    assert lengths.max() == limit_bits
    assert sum(2.0 ** -lengths.astype(float)) == 1


def test_without_a_limit_the_rarest_of_thirty_fibonacci_numbers_take_29_bits() -> None:
    assert huffman.code_lengths(np.array(fibonacci(30)), 63).tolist() == [29, *range(29, 0, -1)]


@pytest.mark.parametrize("limit_bits", [3, 4, 5, 7])
def test_a_tighter_limit_is_respected_and_never_cheaper(limit_bits: int) -> None:
    counts = np.array(fibonacci(8))
    tight, loose = huffman.code_lengths(counts, limit_bits), huffman.code_lengths(counts, limit_bits + 1)
    assert tight.max() <= limit_bits
    assert counts @ tight >= counts @ loose


@pytest.mark.parametrize(
    ("n_used", "longest"), [(40, 14), (1 << 14, 14), ((1 << 14) + 1, 15), (1 << 15, 15), ((1 << 15) + 1, 16)]
)
def test_the_usual_limit_is_14_or_what_the_alphabet_needs(n_used: int, longest: int) -> None:
    counts = np.ones(n_used + 5, np.int64)
    counts[:40] = fibonacci(40)  # which want 39 bits
    counts[n_used:] = 0
    assert huffman.code_lengths(counts).max() == longest


@pytest.mark.parametrize("bits", range(1, 17))
def test_a_full_alphabet_gets_codes_of_the_limit_and_one_more_symbol_none(bits: int) -> None:
    full = np.ones(1 << bits, np.int64)
    assert set(huffman.code_lengths(full, bits).tolist()) == {bits}
    with pytest.raises(ValueError, match=f"{(1 << bits) + 1} symbols need codes longer than {bits} bits"):
        huffman.code_lengths(np.append(full, 1), bits)


@pytest.mark.parametrize("limit_bits", [17, 63])
def test_codes_too_long_to_decode_are_not_written(limit_bits: int) -> None:
    with pytest.raises(ValueError, match=f"codes of {limit_bits} bits cannot be decoded, at most 16"):
        huffman.encode(np.arange(4, dtype=np.uint8), limit_bits=limit_bits)


def test_a_limit_the_alphabet_cannot_keep_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="5 symbols need codes longer than 2 bits"):
        huffman.encode(np.arange(5, dtype=np.uint8), limit_bits=2)


def bell(n_codes: int, reach: float) -> npt.NDArray[np.int64]:
    """Counts of evenly spaced codes of ten million normally distributed weights, up to `reach` deviations out."""
    density = np.exp(-0.5 * np.linspace(-reach, reach, n_codes) ** 2)
    return np.ceil(1e7 * density / density.sum()).astype(np.int64)


def gaps(density: float, gap_bits: int) -> npt.NDArray[np.int64]:
    """Counts of the gaps, fillers included, of ten million nonzeros in random places."""
    skips = np.arange(100_000)
    counts = np.round(1e7 * density * (1 - density) ** skips).astype(np.int64)
    of_gap = np.bincount(skips % (1 << gap_bits), counts, 1 << gap_bits).astype(np.int64)
    of_gap[-1] += int(counts @ (skips >> gap_bits))
    return of_gap


OF_NETWORKS = {
    "32 codes": bell(32, 5),
    "64 codes": bell(64, 4),
    "256 codes": bell(256, 4.5),
    "3-bit gaps at 50 %": gaps(0.5, 3),
    "5-bit gaps at 30 %": gaps(0.3, 5),
    "5-bit gaps at 10 %": gaps(0.1, 5),
    "8-bit gaps at 10 %": gaps(0.1, 8),
    "6-bit gaps at 5 %": gaps(0.05, 6),
    "8-bit gaps at 1 %": gaps(0.01, 8),
}
OTHERS = {
    "12-bit gaps at 1 %": gaps(0.01, 12),
    "Zipf": (1e7 / np.arange(1, 257)).astype(np.int64),
    "steep Zipf": np.ceil(1e9 / np.arange(1.0, 257) ** 3).astype(np.int64),
    "Zipf of 5000": (1e8 / np.arange(1, 5001)).astype(np.int64),
    "uniform": np.full(200, 1000),
    "few": np.array([1, 0, 3, 900, 0, 2]),
    "Fibonacci": np.array(fibonacci(60)),
}


def n_bits_of(counts: npt.NDArray[np.int64], limit_bits: int) -> int:
    return int(counts @ huffman.code_lengths(counts, limit_bits).astype(np.int64))


@pytest.mark.parametrize("name", OF_NETWORKS | OTHERS)
def test_as_short_as_the_huffman_code_of_another_library(name: str) -> None:
    counts = (OF_NETWORKS | OTHERS)[name]
    codes, _, _ = canonical_huffman({symbol: int(n) for symbol, n in enumerate(counts) if n})
    n_bits = sum(len(code) * int(counts[symbol]) for symbol, code in codes.items())
    assert n_bits_of(counts, 63) == n_bits


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_the_limit_of_14_bits_costs_networks_less_than_a_thousandth(name: str) -> None:
    counts = OF_NETWORKS[name]
    assert n_bits_of(counts, 63) <= n_bits_of(counts, 14) <= 1.001 * n_bits_of(counts, 63)


def test_symbols_are_counted_to_the_last() -> None:
    for n_symbols in range(10):
        symbols = np.array([0, 3, 3, 1, 3, 3, 0, 3, 1][:n_symbols], np.uint8)
        assert huffman.count(symbols, 5).tolist() == [symbols.tolist().count(symbol) for symbol in range(5)]


# ways of decoding


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("n_rest", [0, 1, 9_999])
def test_every_block_can_be_decoded_alone(path: str, n_rest: int, kernels_used: set[str]) -> None:
    kind, kernel = PATHS[path]
    n_blocks = 4 + (n_rest > 0)
    symbols, stream = encoded(kind, 4 * BLOCK_SYMBOLS + n_rest)
    for first in range(n_blocks):
        for n in range(n_blocks - first + 2):  # also none, and more than there are
            part = symbols[first * BLOCK_SYMBOLS : (first + n) * BLOCK_SYMBOLS]
            decoded = huffman.decode(stream, first, n)
            assert decoded.dtype == symbols.dtype
            assert np.array_equal(decoded, part)
        assert np.array_equal(huffman.decode(stream, first), symbols[first * BLOCK_SYMBOLS :])
    assert kernels_used == {kernel, "decode_runs"} if n_rest else {kernel}


@pytest.mark.parametrize("path", PATHS)
def test_a_block_cut_out_of_its_stream_is_a_stream(path: str) -> None:
    symbols, stream = encoded(PATHS[path][0], 2 * BLOCK_SYMBOLS + 77)
    ends = np.cumsum(huffman.block_bytes(stream))
    assert ends[-1] == len(stream.payload)
    for block, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        expected = symbols[block * BLOCK_SYMBOLS : (block + 1) * BLOCK_SYMBOLS]
        run_bytes = stream.run_bytes[block * 8 : block * 8 + huffman.n_runs(len(expected))]
        alone = HuffmanStream(len(expected), stream.lengths, run_bytes, stream.payload[start:end])
        assert np.array_equal(huffman.decode(alone), expected)


@pytest.mark.parametrize("path", PATHS)
def test_each_way_of_decoding_is_taken_where_it_should_be(path: str, kernels_used: set[str]) -> None:
    kind, kernel = PATHS[path]
    symbols, stream = encoded(kind, 2 * BLOCK_SYMBOLS)
    assert np.array_equal(huffman.decode(stream), symbols)
    assert kernels_used == {kernel}


def test_several_symbols_a_look_up_up_to_a_mean_of_five_and_a_half_bits(kernels_used: set[str]) -> None:
    for n_distinct, kernel in ((2, "decode_multi"), (32, "decode_multi"), (64, "decode_single")):  # 1, 5, 6 bits
        kernels_used.clear()
        symbols = np.resize(np.arange(n_distinct, dtype=np.uint8), BLOCK_SYMBOLS)
        assert np.array_equal(huffman.decode(huffman.encode(symbols)), symbols)
        assert kernels_used == {kernel}


@pytest.mark.parametrize("kind", ["narrow", "wide"])
@pytest.mark.parametrize("n_rest", [0, 5])
def test_all_ways_give_the_same_symbols(
    kind: str, n_rest: int, kernels_used: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols, stream = encoded(kind, 3 * BLOCK_SYMBOLS + n_rest)
    for mean_bits, limit_bits, kernel in (
        (99.0, 14, "decode_multi"),
        (0.0, 14, "decode_single"),
        (0.0, 0, "decode_runs"),
    ):
        kernels_used.clear()
        monkeypatch.setattr(huffman, "MULTI_MEAN_BITS", mean_bits)
        monkeypatch.setattr(huffman, "DEFAULT_LIMIT_BITS", limit_bits)
        assert np.array_equal(huffman.decode(stream), symbols)
        assert kernel in kernels_used


@pytest.mark.parametrize(("limit_bits", "kernel"), [(14, "decode_multi"), (15, "decode_runs"), (16, "decode_runs")])
def test_codes_of_the_longest_kind_come_back(limit_bits: int, kernel: str, kernels_used: set[str]) -> None:
    symbols = np.repeat(np.arange(22), fibonacci(22))  # unlimited, the rarest would take 21 bits
    symbols = np.concatenate([symbols, np.full(3 * BLOCK_SYMBOLS - len(symbols), 21)])
    symbols = np.random.default_rng(0).permutation(symbols).astype(np.uint8)
    stream = huffman.encode(symbols, limit_bits=limit_bits)
    assert stream.lengths.max() == limit_bits
    assert np.array_equal(huffman.decode(stream), symbols)
    assert kernels_used == {kernel}


def ten_million(kind: type, n_factors: int) -> Symbols:
    """Random symbols, the product bit by bit of as many uniform ones: the more factors, the fewer bits a symbol."""
    generator = np.random.default_rng(0)
    symbols = generator.integers(0, np.iinfo(kind).max + 1, 10_000_000, kind)
    for _ in range(n_factors - 1):
        symbols &= generator.integers(0, np.iinfo(kind).max + 1, 10_000_000, kind)
    return symbols


@pytest.mark.parametrize(
    ("kind", "n_factors", "kernel"),
    [
        (np.uint8, 4, "decode_multi"),  # 2.8 bits a symbol
        (np.uint8, 2, "decode_single"),  # 6.6 bits
        (np.uint16, 3, "decode_runs"),  # 10 bits
        (np.uint16, 1, "decode_runs"),  # 16 bits
    ],
)
def test_ten_million_symbols_come_back(kind: type, n_factors: int, kernel: str, kernels_used: set[str]) -> None:
    symbols = ten_million(kind, n_factors)
    stream = huffman.encode(symbols)
    assert np.array_equal(huffman.decode(stream), symbols)
    assert kernels_used == {kernel, "decode_runs"}  # the last block is not full
    assert np.array_equal(huffman.decode(stream, 100, 2), symbols[100 * BLOCK_SYMBOLS : 102 * BLOCK_SYMBOLS])


@pytest.mark.parametrize("n_alphabet", [1 << 8, (1 << 8) + 1, 1 << 14, (1 << 14) + 1, (1 << 15) + 1, 1 << 16])
@pytest.mark.parametrize("n_symbols", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1])
def test_every_symbol_of_an_alphabet_comes_back(n_alphabet: int, n_symbols: int) -> None:
    symbols = np.random.default_rng(0).permutation(np.resize(np.arange(n_alphabet), n_symbols)).astype(np.uint16)
    stream = huffman.encode(symbols, n_alphabet)
    assert len(stream.lengths) == n_alphabet
    assert np.array_equal(huffman.decode(stream), symbols)


@pytest.mark.parametrize("limit_bits", range(3, 17))
def test_explicit_limits_hold_and_symbols_come_back(limit_bits: int) -> None:
    symbols = np.repeat(np.arange(8), fibonacci(8)).astype(np.uint16)
    stream = huffman.encode(symbols, limit_bits=limit_bits)
    assert stream.lengths.max() == min(limit_bits, 7)
    assert np.array_equal(huffman.decode(stream), symbols)


def test_decoded_symbols_are_as_narrow_as_the_alphabet() -> None:
    symbols = np.array([0, 1, 0, 2], np.uint16)
    assert huffman.decode(huffman.encode(symbols, n_alphabet=256)).dtype == np.uint8
    assert huffman.decode(huffman.encode(symbols, n_alphabet=257)).dtype == np.uint16


# streams that are not as the format says


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ([], "empty code table"),
        ([0, 0, 0], "empty code table"),
        ([0, 2], "a lone symbol must have code length 1"),
        ([17], "a lone symbol must have code length 1"),
        ([1, 2], "Kraft"),  # incomplete: 11 is no code
        ([2, 2, 2], "Kraft"),
        ([1, 1, 1], "Kraft"),  # oversubscribed
        ([1] * 65536, "Kraft"),
        ([1, 2, 3, 3, 14], "Kraft"),
        ([*range(1, 17)], "Kraft"),  # the last code is missing
        ([*range(1, 18), 17], "Kraft"),  # complete, but longer than allowed
        ([255, 255], "Kraft"),
    ],
)
def test_a_code_table_that_is_no_complete_prefix_code_is_refused(lengths: list[int], reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        huffman.decode(hand_made(4, lengths, [0, 0], [2]))
    with pytest.raises(MalformedError, match=reason):
        huffman.check_lengths(np.array(lengths, np.uint8), 4)


@pytest.mark.parametrize("lengths", [[], [0, 0], [1], [0, 1], [1, 1], [*range(1, 17), 16], [16] * 65536])
def test_a_complete_code_table_is_accepted(lengths: list[int]) -> None:
    huffman.check_lengths(np.array(lengths, np.uint8), 4 if any(lengths) else 0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("run", [0, 5, 7, 8])
@pytest.mark.parametrize("change", [1, -1, 8, -(10**6), 10**6, 1 << 31, 1 << 62, -(1 << 62)])
def test_a_run_of_another_length_is_refused(path: str, run: int, change: int) -> None:
    _, stream = encoded(PATHS[path][0], BLOCK_SYMBOLS + 100)
    run_bytes = stream.run_bytes.copy()
    run_bytes[run] += change
    with pytest.raises(TruncatedError, match="Huffman runs need"):
        huffman.decode(replace(stream, run_bytes=run_bytes))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("run", "other"), [(0, 1), (3, 4), (7, 8), (8, 7), (8, 0), (0, 8), (5, 2)])
@pytest.mark.parametrize("n_bytes", [1, 8, 1000])
def test_bytes_moved_from_one_run_to_another_are_found_out(path: str, run: int, other: int, n_bytes: int) -> None:
    _, stream = encoded(PATHS[path][0], BLOCK_SYMBOLS + 9_000)
    run_bytes = stream.run_bytes.copy()
    run_bytes[run] -= n_bytes
    run_bytes[other] += n_bytes
    with pytest.raises(MalformedError, match=f"run {min(run, other)} does not end where its length says"):
        huffman.decode(replace(stream, run_bytes=run_bytes))


@pytest.mark.parametrize("path", PATHS)
def test_runs_that_end_outside_the_payload_are_refused(path: str) -> None:
    _, stream = encoded(PATHS[path][0], BLOCK_SYMBOLS + 9_000)
    run_bytes = stream.run_bytes.copy()
    run_bytes[0] += 10 * len(stream.payload)
    run_bytes[1] -= 10 * len(stream.payload)
    with pytest.raises(TruncatedError, match="Huffman runs need"):
        huffman.decode(replace(stream, run_bytes=run_bytes))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("n_runs", "added"), [(4, 1 << 62), (8, 1 << 61)])
def test_runs_whose_sum_wraps_around_are_refused(path: str, n_runs: int, added: int) -> None:
    _, stream = encoded(PATHS[path][0], BLOCK_SYMBOLS + 100)
    run_bytes = stream.run_bytes.copy()
    run_bytes[:n_runs] += added  # 2**64 bytes more than there are
    with pytest.raises(ArtifactError):
        huffman.decode(replace(stream, run_bytes=run_bytes))


@pytest.mark.parametrize("beyond", [0x00, 0xFF])
def test_bytes_outside_the_payload_have_no_say(beyond: int) -> None:
    around = np.full(1 << 16, beyond, np.uint8)
    payload = around[:16]
    payload[:] = 0b00000111  # 111 0 0 0 0 0: six symbols a byte, so that a run ends inside one
    ends = [1366 * run for run in range(1, 16)] + [16]
    run_bytes = np.diff(ends, prepend=0)
    run_bytes[[0, 1]] += 3 << 61  # with these, the ends come out right modulo 2**61, and the last modulo 2**64
    run_bytes[15] += 1 << 62
    with pytest.raises(ArtifactError) as refused:
        huffman.decode(HuffmanStream(2 * BLOCK_SYMBOLS, np.array([1, 2, 3, 3], np.uint8), run_bytes, payload))
    assert "run 8 " not in str(refused.value)  # eight runs would be read from the zeros beyond


@pytest.mark.parametrize("n_runs", [0, 1, 8, 10])
def test_a_wrong_number_of_runs_is_refused(n_runs: int) -> None:
    _, stream = encoded("narrow", BLOCK_SYMBOLS + 100)
    with pytest.raises(MalformedError, match=f"do not make {n_runs} runs"):
        huffman.decode(replace(stream, run_bytes=np.resize(stream.run_bytes, n_runs)))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("n_symbols", [500, BLOCK_SYMBOLS, BLOCK_SYMBOLS + 500])
def test_a_payload_cut_short_or_drawn_out_is_refused(path: str, n_symbols: int) -> None:
    _, stream = encoded(PATHS[path][0], n_symbols)
    size = len(stream.payload)
    for n_bytes in (0, 1, 7, 8, 9, size // 2, size - 9, size - 8, size - 1):
        with pytest.raises(TruncatedError, match="Huffman runs need"):
            huffman.decode(replace(stream, payload=stream.payload[:n_bytes]))
        shorter = stream.run_bytes.copy()
        shorter[-1] -= size - n_bytes  # what is missing is missing from the last run
        with pytest.raises(ArtifactError):
            huffman.decode(replace(stream, payload=stream.payload[:n_bytes], run_bytes=shorter))
    for n_bytes in (1, 8, 100):
        longer = np.concatenate([stream.payload, np.zeros(n_bytes, np.uint8)])
        with pytest.raises(TruncatedError, match="Huffman runs need"):
            huffman.decode(replace(stream, payload=longer))
        run_bytes = stream.run_bytes.copy()
        run_bytes[-1] += n_bytes
        with pytest.raises(MalformedError, match=f"run {len(run_bytes) - 1} does not end"):
            huffman.decode(replace(stream, payload=longer, run_bytes=run_bytes))


def test_more_symbols_than_the_runs_hold_are_refused() -> None:
    stream = hand_made(8, [1, 1], [0b10110011], [1])
    assert huffman.decode(stream).tolist() == [1, 1, 0, 0, 1, 1, 0, 1]
    for n_symbols in (0, 1, 9, 17, RUN_SYMBOLS, BLOCK_SYMBOLS - 1, BLOCK_SYMBOLS):
        with pytest.raises(MalformedError):
            huffman.decode(replace(stream, n_symbols=n_symbols))


def test_bits_for_a_stream_that_needs_none_are_refused() -> None:
    stream = huffman.encode(np.full(10, 4, np.uint16))
    with pytest.raises(MalformedError, match="has no bits"):
        huffman.decode(replace(stream, run_bytes=np.array([1]), payload=np.zeros(1, np.uint8)))
    with pytest.raises(TruncatedError, match="Huffman runs need 1 bytes"):
        huffman.decode(replace(stream, run_bytes=np.array([1])))


@pytest.mark.parametrize("lengths", [[], [0, 0], [1], [1, 1]])
def test_bits_for_a_stream_without_symbols_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ArtifactError):
        huffman.decode(hand_made(0, lengths, [0], []))


@pytest.mark.parametrize("bit", range(3, 8))
def test_padding_that_is_not_zero_is_refused(bit: int) -> None:
    assert huffman.decode(hand_made(3, [1, 1], [0b101], [1])).tolist() == [1, 0, 1]
    with pytest.raises(MalformedError, match="run 0 does not end"):
        huffman.decode(hand_made(3, [1, 1], [0b101 | 1 << bit], [1]))


@pytest.mark.parametrize("path", PATHS)
def test_padding_of_every_run_must_be_zero(path: str) -> None:
    symbols, stream = encoded(PATHS[path][0], BLOCK_SYMBOLS + 100)
    run_symbols = [*np.split(symbols[:BLOCK_SYMBOLS], 8), symbols[BLOCK_SYMBOLS:]]
    n_padding_bits = 0
    for run, (end, part) in enumerate(zip(np.cumsum(stream.run_bytes), run_symbols, strict=True)):
        n_spare = 8 * int(stream.run_bytes[run]) - int(stream.lengths[part].sum())
        for bit in range(8 - n_spare, 8):
            payload = stream.payload.copy()
            payload[end - 1] |= 1 << bit
            with pytest.raises(MalformedError, match=f"run {run} does not end"):
                huffman.decode(replace(stream, payload=payload))
            n_padding_bits += 1
    assert n_padding_bits > 8


@pytest.mark.parametrize("path", PATHS)
def test_a_flipped_byte_changes_its_own_run_or_is_refused(path: str) -> None:
    symbols, stream = encoded(PATHS[path][0], BLOCK_SYMBOLS + 100)
    ends = np.cumsum(stream.run_bytes)
    around = {int(end) + step for end in ends for step in range(-8, 8)}
    every = 1 if path == "several symbols a look-up" else 41  # all would take a minute
    spread = range(0, len(stream.payload), every)
    for at in sorted({at for at in around if 0 <= at < len(stream.payload)} | set(spread)):
        payload = stream.payload.copy()
        payload[at] ^= 0xFF
        run = int(np.searchsorted(ends, at, side="right"))
        try:
            decoded = huffman.decode(replace(stream, payload=payload))
        except MalformedError as error:
            assert f"run {run} " in str(error)
            continue
        first, end = run * RUN_SYMBOLS, (run + 1) * RUN_SYMBOLS if run < 8 else len(symbols)
        assert not np.array_equal(decoded[first:end], symbols[first:end])
        assert np.array_equal(decoded[:first], symbols[:first])
        assert np.array_equal(decoded[end:], symbols[end:])


@pytest.mark.parametrize("path", PATHS)
def test_every_flipped_byte_of_a_short_stream_changes_its_symbols_or_is_refused(path: str) -> None:
    symbols, stream = encoded(PATHS[path][0], 700)
    n_accepted = 0
    for at in range(len(stream.payload)):
        for flipped in (1, 0x80, 0xFF):
            payload = stream.payload.copy()
            payload[at] ^= flipped
            try:
                decoded = huffman.decode(replace(stream, payload=payload))
            except MalformedError:
                continue
            n_accepted += 1
            assert len(decoded) == len(symbols)
            assert not np.array_equal(decoded, symbols)
            assert stream.lengths[decoded].min() > 0
    assert n_accepted > 0 or path != "one symbol a look-up"  # codes of equal length mistake one symbol for another
