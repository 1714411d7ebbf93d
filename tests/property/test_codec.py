"""Do the codecs return every stream as it was, are Huffman codes as short as they can be, and is damage found out?

Streams have one form only: whatever a decoder accepts, encoding the result gives the same bytes again.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from bitarray.util import canonical_huffman
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dcsim.codec import code_table, fixed_width, huffman, relative_index, varint
from dcsim.codec.huffman import BLOCK_SYMBOLS, DEFAULT_LIMIT_BITS, MAX_CODE_BITS, N_STREAMS, HuffmanStream, Symbols
from dcsim.errors import ArtifactError, MalformedError
from dcsim.units import bits_to_bytes
from tests.networks import placed

laws = settings(max_examples=120, deadline=None)
few = settings(max_examples=30, deadline=None)
counts = st.lists(st.integers(0, 10**6), min_size=2, max_size=300).filter(lambda values: np.count_nonzero(values) > 1)
few_symbols = st.lists(st.integers(0, 40), max_size=300)
lengths_of_codes = st.lists(st.integers(0, MAX_CODE_BITS), max_size=80)
#: mostly zeros and a few neighbours, with long runs of either
sparse = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 1e-45]), st.sampled_from([1, 1, 1, 2, 7, 64, 300])),
    max_size=40,
).map(lambda runs: np.array([value for value, n in runs for _ in range(n)], np.float32))


def written(symbols: list[int], lengths: npt.NDArray[np.uint8]) -> bytes:
    """One run of canonical codes, bit by bit."""
    code_of, code, previous = {}, 0, 0
    for length, symbol in sorted((int(length), symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - previous
        code_of[symbol] = f"{code:0{length}b}"
        code, previous = code + 1, length
    bits = "".join(code_of[symbol] for symbol in symbols)
    return int(bits[::-1] or "0", 2).to_bytes(bits_to_bytes(len(bits)), "little")


def run_lengths(n_symbols: int) -> list[int]:
    """Symbols of every run."""
    n_full, n_rest = divmod(n_symbols, BLOCK_SYMBOLS)
    return [BLOCK_SYMBOLS // N_STREAMS] * (N_STREAMS * n_full) + ([n_rest] if n_rest else [])


def n_bits_of(values: list[int], limit_bits: int | None = None) -> int:
    return int(np.array(values) @ huffman.code_lengths(np.array(values), limit_bits).astype(np.int64))


def n_bits_unlimited(values: list[int]) -> int:
    """Total bits of an unlimited Huffman code, by another library."""
    codes, _, _ = canonical_huffman({symbol: n for symbol, n in enumerate(values) if n})
    return sum(len(code) * values[symbol] for symbol, code in codes.items())


def cheapest(values: list[int], limit_bits: int) -> int:
    """Total bits of the best prefix code under a limit, by trying all lengths."""
    candidates = product(range(1, limit_bits + 1), repeat=len(values))
    allowed = (lengths for lengths in candidates if sum(2.0**-length for length in lengths) <= 1)
    return min(sum(value * length for value, length in zip(values, lengths, strict=True)) for lengths in allowed)


def skewed(seed: int, n_symbols: int, n_alphabet: int, skew: float) -> Symbols:
    """Random symbols, the first the most frequent; 8-bit ones where the alphabet allows it."""
    weights = np.arange(1, n_alphabet + 1) ** -skew
    symbols = np.random.default_rng(seed).choice(n_alphabet, n_symbols, p=weights / weights.sum())
    return symbols.astype(np.uint8 if n_alphabet <= 256 else np.uint16)


def cut(data: st.DataObject, n_elements: int) -> npt.NDArray[np.int64]:
    """Sizes of some slices of `n_elements`, empty ones among them."""
    ends = sorted(data.draw(st.lists(st.integers(0, n_elements), max_size=6)))
    return np.diff([0, *ends, n_elements])


# fixed-width fields and integers of any size


@laws
@given(st.data(), st.integers(0, fixed_width.MAX_WIDTH_BITS))
def test_fixed_width_fields_come_back(data: st.DataObject, width_bits: int) -> None:
    fields = data.draw(st.lists(st.integers(0, (1 << width_bits) - 1), max_size=100))
    packed = fixed_width.pack(np.array(fields, np.uint32), width_bits)
    assert len(packed) == bits_to_bytes(len(fields) * width_bits)
    assert fixed_width.unpack(np.frombuffer(packed, np.uint8), width_bits, len(fields)).tolist() == fields


@laws
@given(st.binary(max_size=40), st.integers(0, fixed_width.MAX_WIDTH_BITS), st.integers(0, 60))
def test_fields_of_any_bytes_are_refused_or_make_these_bytes(payload: bytes, width_bits: int, n_fields: int) -> None:
    try:
        fields = fixed_width.unpack(np.frombuffer(payload, np.uint8), width_bits, n_fields)
    except ArtifactError:
        return
    assert fixed_width.pack(fields, width_bits) == payload[: bits_to_bytes(n_fields * width_bits)]


@laws
@given(st.integers(0, 2**56 - 1) | st.integers(0, 1000), st.binary(max_size=3), st.binary(max_size=3))
def test_integers_come_back_from_seven_bits_a_byte(value: int, before: bytes, after: bytes) -> None:
    packed = varint.pack(value)
    assert len(packed) == max(1, -(-value.bit_length() // 7))
    assert varint.unpack(before + packed + after, len(before)) == (value, len(before) + len(packed))


@laws
@given(st.binary(max_size=12), st.integers(0, 14))
def test_an_integer_of_any_bytes_is_refused_or_makes_these_bytes(payload: bytes, at: int) -> None:
    try:
        value, end = varint.unpack(payload, at)
    except ArtifactError:
        return
    assert varint.pack(value) == payload[at:end]


@laws
@given(st.lists(st.integers(0, 2**55 - 1) | st.integers(0, 300), max_size=30))
def test_differences_come_back(values: list[int]) -> None:
    packed = varint.pack_differences(values)
    assert varint.unpack_differences(packed, 0, len(values)) == (values, len(packed))


@laws
@given(st.binary(max_size=30), st.integers(0, 12))
def test_differences_of_any_bytes_are_refused_or_make_these_bytes(payload: bytes, n_values: int) -> None:
    try:
        values, end = varint.unpack_differences(payload, 0, n_values)
    except ArtifactError:
        return
    assert len(values) == n_values
    assert min(values, default=0) >= 0
    assert varint.pack_differences(values) == payload[:end]


# code tables


@laws
@given(lengths_of_codes, st.integers(0, 3000), st.binary(max_size=3))
def test_code_tables_come_back(values: list[int], n_unused: int, after: bytes) -> None:
    lengths = np.array([*values, *[0] * n_unused, *values[::-1]], np.uint8)
    packed = code_table.pack(lengths)
    unpacked, n_bytes = code_table.unpack(np.frombuffer(packed + after, np.uint8), len(lengths))
    assert (unpacked.tolist(), n_bytes) == (lengths.tolist(), len(packed))


@laws
@given(st.binary(max_size=60), st.integers(0, 300) | st.sampled_from([1 << 10, 1 << 16]))
def test_a_table_of_any_bytes_is_refused_or_none_is_shorter(payload: bytes, n_alphabet: int) -> None:
    try:
        lengths, n_bytes = code_table.unpack(np.frombuffer(payload, np.uint8), n_alphabet)
    except ArtifactError:
        return
    assert len(lengths) == n_alphabet
    assert lengths.max(initial=0) <= MAX_CODE_BITS
    assert len(code_table.pack(lengths)) <= n_bytes <= len(payload)


@laws
@given(lengths_of_codes.filter(bool), st.data())
def test_an_altered_table_is_refused_or_another_table(values: list[int], data: st.DataObject) -> None:
    packed = bytearray(code_table.pack(np.array(values, np.uint8)))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        lengths, _ = code_table.unpack(np.frombuffer(packed, np.uint8), len(values))
    except ArtifactError:
        return
    assert lengths.tolist() != values


# relative index


@laws
@given(sparse, st.data(), st.integers(0, relative_index.MAX_GAP_BITS))
def test_tensors_come_back_slice_by_slice(flat: relative_index.Floats, data: st.DataObject, gap_bits: int) -> None:
    sizes = cut(data, len(flat))
    found = relative_index.find(flat, sizes)
    slices = np.split(flat, np.cumsum(sizes)[:-1])
    positions = [np.flatnonzero(part) for part in slices]
    assert np.array_equal(found.values, flat[flat != 0])
    assert found.n_per_slice.tolist() == [len(part) for part in positions]
    assert found.skips.tolist() == [skip for part in positions for skip in (np.diff(part, prepend=-1) - 1).tolist()]

    gaps, stored = relative_index.encode(found.skips, found.values, gap_bits)
    n_per_slice = relative_index.entries_per_slice(found, gap_bits)
    assert len(gaps) == len(stored) == relative_index.n_entries(found.skips, gap_bits) == n_per_slice.sum()
    assert gaps.max(initial=0) < 1 << gap_bits
    for part, start, end in zip(slices, np.cumsum(n_per_slice) - n_per_slice, np.cumsum(n_per_slice), strict=True):
        alone = placed(
            gaps[start:end], stored[start:end], None, gap_bits, np.array([end - start]), np.array([len(part)])
        )
        assert np.array_equal(alone, part)
    assert np.array_equal(placed(gaps, stored, None, gap_bits, n_per_slice, sizes), flat)


@laws
@given(sparse, st.data(), st.sampled_from([0.0, 1e-45, 1.0, 2.5, 3.0]))
def test_what_is_below_a_threshold_is_left_out(
    flat: relative_index.Floats, data: st.DataObject, threshold: float
) -> None:
    sizes = cut(data, len(flat))
    found = relative_index.find(flat, sizes, threshold)
    kept = np.abs(flat) >= np.float32(threshold)
    slices = np.split(kept, np.cumsum(sizes)[:-1])
    expected = [skip for part in slices for skip in (np.diff(np.flatnonzero(part), prepend=-1) - 1).tolist()]
    assert np.array_equal(found.values, flat[kept])
    assert found.skips.tolist() == expected


@laws
@given(st.lists(st.integers(0, 300), max_size=60), st.integers(0, relative_index.MAX_GAP_BITS))
def test_fillers_stand_where_a_run_of_zeros_is_too_long(skips: list[int], gap_bits: int) -> None:
    gaps, stored = relative_index.encode(np.array(skips, np.uint32), np.arange(1, len(skips) + 1), gap_bits)
    expected = []
    for number, skip in enumerate(skips, 1):
        while skip >= 1 << gap_bits:
            expected.append(((1 << gap_bits) - 1, 0))
            skip -= 1 << gap_bits
        expected.append((skip, number))
    assert list(zip(gaps.tolist(), stored.tolist(), strict=True)) == expected


@laws
@given(
    st.data(), st.integers(0, 4), st.lists(st.tuples(st.integers(0, 15), st.sampled_from([0.0, 0.0, 1.0])), max_size=12)
)
def test_any_entries_are_refused_or_what_encode_makes_of_their_tensor(
    data: st.DataObject, gap_bits: int, entries: list[tuple[int, float]]
) -> None:
    gaps = np.array([gap % (1 << gap_bits) for gap, _ in entries], np.uint8)
    symbols = np.array([value for _, value in entries], np.float32)
    n_per_slice = cut(data, len(entries))
    sizes = np.array([data.draw(st.integers(0, 40)) for _ in n_per_slice])
    try:
        flat = placed(gaps, symbols, None, gap_bits, n_per_slice, sizes)
    except MalformedError:
        return
    found = relative_index.find(flat, sizes)
    assert relative_index.entries_per_slice(found, gap_bits).tolist() == n_per_slice.tolist()
    again = relative_index.encode(found.skips, found.values, gap_bits)
    assert [part.tolist() for part in again] == [gaps.tolist(), symbols.tolist()]


@laws
@given(st.data(), st.lists(st.integers(0, 40) | st.integers(0, 3000), max_size=80), st.integers(2, 40))
def test_the_smallest_width_is_that_of_the_shortest_encoding(
    data: st.DataObject, skips: list[int], n_codes: int
) -> None:
    codes = data.draw(st.lists(st.integers(1, n_codes - 1), min_size=len(skips), max_size=len(skips)))
    n_bits = []
    for gap_bits in range(14):
        gaps, stored = relative_index.encode(np.array(skips, np.uint32), np.array(codes, np.uint8), gap_bits)
        streams = (np.bincount(gaps, minlength=1 << gap_bits), np.bincount(stored, minlength=n_codes))
        n_bits.append(sum(map(huffman.size_bits, streams)))
    code_counts = np.bincount(np.array(codes, np.int64), minlength=n_codes)
    assert relative_index.smallest_gap_bits(np.array(skips, np.uint32), code_counts) == n_bits.index(min(n_bits))


# Huffman codes


@laws
@given(counts, st.data())
def test_kraft_sum_is_one_and_the_limit_holds(values: list[int], data: st.DataObject) -> None:
    n_used = int(np.count_nonzero(values))
    limit_bits = data.draw(st.integers((n_used - 1).bit_length(), MAX_CODE_BITS) | st.none())
    lengths = huffman.code_lengths(np.array(values), limit_bits)
    used = lengths[lengths > 0].astype(np.int64)
    assert np.array_equal(lengths > 0, np.array(values) > 0)
    assert used.max() <= (DEFAULT_LIMIT_BITS if limit_bits is None else limit_bits)
    assert (1 << (MAX_CODE_BITS - used)).sum() == 1 << MAX_CODE_BITS
    huffman.check_lengths(lengths, sum(values))


@laws
@given(counts)
def test_codes_are_optimal_without_a_limit(values: list[int]) -> None:
    assert n_bits_of(values, 63) == n_bits_unlimited(values)


@laws
@given(counts)
def test_more_frequent_symbols_have_no_longer_codes(values: list[int]) -> None:
    lengths = huffman.code_lengths(np.array(values))
    by_count = sorted((value, -int(length)) for value, length in zip(values, lengths, strict=True) if value)
    assert [-length for _, length in by_count] == sorted((-length for _, length in by_count), reverse=True)


@laws
@given(counts, st.integers(2, MAX_CODE_BITS))
def test_a_limit_costs_no_more_than_it_must(values: list[int], limit_bits: int) -> None:
    # Milidiu and Laber, Algorithmica 31, 2001: the bits a symbol that a limit can cost at most
    n_used = int(np.count_nonzero(values))
    least = (n_used - 1).bit_length()
    assume(limit_bits > least and n_used + least > limit_bits)
    golden = (1 + 5**0.5) / 2
    bound = golden ** -(limit_bits - (n_used + least - limit_bits - 1).bit_length() - 1)
    assert 0 <= n_bits_of(values, limit_bits) - n_bits_unlimited(values) < bound * sum(values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=5), st.integers(3, 4))
def test_codes_are_optimal_where_the_limit_binds(values: list[int], limit_bits: int) -> None:
    assert n_bits_of(values, limit_bits) == cheapest(values, limit_bits)


@laws
@given(st.lists(st.integers(0, 50), max_size=60))
def test_size_is_that_of_the_table_and_the_codes(values: list[int]) -> None:
    symbols = np.repeat(np.arange(len(values)), values).astype(np.uint8)
    stream = huffman.encode(symbols, len(values))
    n_code_bits = int(stream.lengths[symbols].sum()) if len(set(symbols.tolist())) > 1 else 0
    assert huffman.size_bits(np.array(values, np.int64)) == 8 * len(code_table.pack(stream.lengths)) + n_code_bits
    assert len(stream.payload) == bits_to_bytes(n_code_bits)


@laws
@given(few_symbols, st.sampled_from([np.uint8, np.uint16]), st.integers(0, 300), st.integers(6, MAX_CODE_BITS))
def test_huffman_streams_come_back(values: list[int], kind: type, n_more: int, limit_bits: int) -> None:
    symbols = np.array(values, kind)
    stream = huffman.encode(symbols, max(values, default=0) + n_more + 1, limit_bits)
    assert huffman.decode(stream).tolist() == values
    lengths = huffman.code_lengths(np.bincount(np.array(values, np.int64), minlength=len(stream.lengths)), limit_bits)
    assert stream.lengths.tolist() == lengths.tolist()
    assert bytes(stream.payload) == (written(values, lengths) if len(set(values)) > 1 else b"")
    assert stream.run_bytes.tolist() == ([len(stream.payload)] if values else [])


@pytest.mark.parametrize(
    "n_symbols", [BLOCK_SYMBOLS - 1, BLOCK_SYMBOLS, BLOCK_SYMBOLS + 1, 2 * BLOCK_SYMBOLS, 3 * BLOCK_SYMBOLS + 4321]
)
@settings(max_examples=15, deadline=None)
@given(
    st.data(),
    st.integers(0, 2**32),
    st.integers(1, 256) | st.integers(1, 65536),
    st.floats(0, 3),
    st.sampled_from([None, MAX_CODE_BITS]),
)
def test_long_huffman_streams_come_back(
    n_symbols: int, data: st.DataObject, seed: int, n_alphabet: int, skew: float, limit_bits: int | None
) -> None:
    symbols = skewed(seed, n_symbols, n_alphabet, skew)
    stream = huffman.encode(symbols, n_alphabet, limit_bits)
    decoded = huffman.decode(stream)
    assert decoded.dtype == symbols.dtype
    assert np.array_equal(decoded, symbols)
    assert huffman.block_bytes(stream).sum() == len(stream.payload)
    first = data.draw(st.integers(0, n_symbols // BLOCK_SYMBOLS))
    n_blocks = data.draw(st.integers(0, 4))
    part = symbols[first * BLOCK_SYMBOLS : (first + n_blocks) * BLOCK_SYMBOLS]
    assert np.array_equal(huffman.decode(stream, first, n_blocks), part)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 1000), st.floats(0, 3), st.integers(10, MAX_CODE_BITS))
def test_long_huffman_streams_are_what_the_format_says(
    seed: int, n_alphabet: int, skew: float, limit_bits: int
) -> None:
    symbols = skewed(seed, BLOCK_SYMBOLS + 1234, n_alphabet, skew)
    stream = huffman.encode(symbols, n_alphabet, limit_bits)
    runs = np.split(symbols, np.cumsum(run_lengths(len(symbols)))[:-1])
    expected = [written(run.tolist(), stream.lengths) for run in runs]
    assert stream.run_bytes.tolist() == [len(run) for run in expected]
    assert bytes(stream.payload) == b"".join(expected)


# streams that were altered


@laws
@given(few_symbols.filter(lambda values: len(set(values)) > 1), st.data())
def test_an_altered_stream_is_refused_or_another_stream(values: list[int], data: st.DataObject) -> None:
    stream = huffman.encode(np.array(values, np.uint16))
    n_bytes = data.draw(st.integers(0, len(stream.payload) + 9) | st.just(len(stream.payload)))
    payload = bytearray(bytes(stream.payload[:n_bytes]).ljust(n_bytes, b"\0"))
    for at in data.draw(st.lists(st.integers(0, max(n_bytes - 1, 0)), max_size=3)) if n_bytes else []:
        payload[at] = data.draw(st.integers(0, 255))
    n_symbols = data.draw(st.integers(0, 400) | st.just(len(values)))
    run_bytes = np.array(data.draw(st.lists(st.integers(-(2**62), 2**62), max_size=3) | st.just([n_bytes])), np.int64)
    altered = HuffmanStream(n_symbols, stream.lengths, run_bytes, np.frombuffer(payload, np.uint8))
    try:
        decoded = huffman.decode(altered).tolist()
    except ArtifactError:
        return
    assert len(decoded) == n_symbols
    assert written(decoded, stream.lengths) == payload


@laws
@given(
    st.lists(st.integers(0, 255) | st.integers(1, 3), max_size=40),
    st.binary(max_size=20),
    st.integers(0, 100) | st.integers(0, 2 * BLOCK_SYMBOLS),
    st.data(),
)
def test_a_stream_of_anything_is_refused_or_decoded(
    lengths: list[int], payload: bytes, n_symbols: int, data: st.DataObject
) -> None:
    n_runs = huffman.n_runs(n_symbols)
    run_bytes = np.zeros(n_runs, np.int64)
    if n_runs:
        run_bytes[data.draw(st.integers(0, n_runs - 1))] = len(payload)
    stream = HuffmanStream(n_symbols, np.array(lengths, np.uint8), run_bytes, np.frombuffer(payload, np.uint8))
    try:
        decoded = huffman.decode(stream)
    except ArtifactError:
        return
    assert len(decoded) == n_symbols
    assert not n_symbols or (np.array(lengths)[decoded] > 0).all()


@few
@given(st.integers(0, 2**32), st.sampled_from([3, 200, 256, 257, 3000]), st.floats(0, 3), st.data())
def test_an_altered_run_is_refused_or_alone_in_being_another(
    seed: int, n_alphabet: int, skew: float, data: st.DataObject
) -> None:
    symbols = skewed(seed, 2 * BLOCK_SYMBOLS + 999, n_alphabet, skew)
    stream = huffman.encode(symbols, n_alphabet)
    assume(len(stream.payload))
    ends = np.cumsum(stream.run_bytes)
    symbol_ends = np.cumsum(run_lengths(len(symbols)))
    for at in np.random.default_rng(seed).integers(0, len(stream.payload), 20):
        payload = stream.payload.copy()
        payload[at] ^= data.draw(st.integers(1, 255))
        run = int(np.searchsorted(ends, at, side="right"))
        try:
            decoded = huffman.decode(replace(stream, payload=payload))
        except MalformedError as error:
            assert f"run {run} " in str(error)
            continue
        own = slice(symbol_ends[run - 1] if run else 0, symbol_ends[run])
        assert not np.array_equal(decoded[own], symbols[own])
        decoded[own] = symbols[own]
        assert np.array_equal(decoded, symbols)


@few
@given(st.integers(0, 2**32), st.sampled_from([3, 200, 256, 257, 3000]), st.floats(0, 3), st.data())
def test_other_bytes_of_runs_are_refused(seed: int, n_alphabet: int, skew: float, data: st.DataObject) -> None:
    symbols = skewed(seed, 2 * BLOCK_SYMBOLS + 999, n_alphabet, skew)
    stream = huffman.encode(symbols, n_alphabet)
    assume(len(stream.payload))
    for _ in range(10):
        run_bytes = stream.run_bytes.copy()
        shift = data.draw(st.integers(1, 20) | st.integers(1, 2**62))
        giver, taker = data.draw(st.permutations(range(len(run_bytes))))[:2]
        run_bytes[giver] -= shift
        if data.draw(st.booleans()):
            run_bytes[taker] += shift
        with pytest.raises(ArtifactError):
            huffman.decode(replace(stream, run_bytes=run_bytes))
