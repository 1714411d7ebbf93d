"""Can the files be read by the rules of docs/reference/dcz.md alone? A reader written from them, without dcsim, gives
the same weights. The numbers in brackets are those of the rules.
"""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.artifact import CompressedModel, Layout, pack, pack_tensor
from tests.networks import linked, network, shares_codebook, sparse, with_dead_ends

VARIANTS = ("dense", "pruned", "shared", "huffman")
ENDINGS = (b"", b".weight", b".bias", b".running_mean", b".running_var")
FP32, FP16, PRUNED, SHARED, HUFFMAN = range(5)
ROWS, COLUMNS, PER_ROW, PER_PE = range(4)
ALL, FIRST, BITMAP = range(3)

Array = npt.NDArray[np.generic]


class Cursor:
    """Bytes that are read from the front [1]."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    def take(self, n_bytes: int) -> bytes:
        assert n_bytes <= len(self.rest)
        taken, self.rest = self.rest[:n_bytes], self.rest[n_bytes:]
        return taken

    def number(self, n_bytes: int) -> int:
        return int.from_bytes(self.take(n_bytes), "little")

    def varint(self) -> int:
        byte = self.number(1)
        return byte if byte < 128 else byte - 128 + 128 * self.varint()

    def floats(self, n: int, n_bytes: int) -> Array:
        return np.frombuffer(self.take(n * n_bytes), f"<f{n_bytes}").astype(np.float32)

    def fields(self, n: int, width_bits: int) -> Array:
        """Of fixed width [10]."""
        packed = np.frombuffer(self.take(math.ceil(n * width_bits / 8)), np.uint8)
        bits = np.unpackbits(packed, bitorder="little")
        assert not bits[n * width_bits :].any()
        return bits[: n * width_bits].reshape(n, width_bits) @ (1 << np.arange(width_bits))


def numbering_bits(n: int) -> int:
    return max(1, math.ceil(math.log2(n)))


def bits_of(content: bytes) -> Iterator[str]:
    return iter("".join(f"{byte:08b}"[::-1] for byte in content))


def code_table(cursor: Cursor, n_symbols: int) -> dict[str, int]:
    """The symbol of every code [11, 12]."""
    bits = bits_of(cursor.rest)

    def number(n_bits: int) -> int:
        return sum(int(next(bits)) << place for place in range(n_bits))

    lengths: list[int] = []
    last = numbering_bits(n_symbols)
    while len(lengths) < n_symbols:
        n_ones = next(n for n in range(5) if n == 4 or next(bits) == "0")
        if n_ones == 1:
            last += -1 if number(1) else 1
        elif n_ones == 3:
            last = 1 + number(4)
        if n_ones == 2:
            lengths.append(0)
        elif n_ones == 4:
            n_lower = next(n for n in range(17) if next(bits) == "1")
            lengths += [0] * ((1 << n_lower) + number(n_lower))
        else:
            lengths.append(last)
    assert len(lengths) == n_symbols
    unread = "".join(bits)
    assert "1" not in unread[: len(unread) % 8]
    cursor.take(len(cursor.rest) - len(unread) // 8)

    used = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    assert sum(2.0**-length for length, _ in used) == 1 or [length for length, _ in used] in ([1], [])
    symbol_of: dict[str, int] = {}
    code = 0  # of the longest length, which has 16 bits at most
    for length, symbol in used:
        symbol_of[f"{code:016b}"[:length]] = symbol
        code += 1 << 16 - length
    return symbol_of


def run(content: bytes, symbol_of: dict[str, int], n_symbols: int) -> list[int]:
    """The symbols of one run [11]."""
    bits, symbols, code = bits_of(content), [], ""
    while len(symbols) < n_symbols:
        code += next(bits)
        if code in symbol_of:
            symbols.append(symbol_of[code])
            code = ""
    assert "".join(bits) in ("0" * n for n in range(8))
    return symbols


def huffman_streams(cursor: Cursor, n_entries: int, alphabets: tuple[int, int]) -> list[Array]:
    """Codes and gaps [8, 11, 13]."""
    tables = [code_table(cursor, n_symbols) for n_symbols in alphabets]
    n_full, n_rest = divmod(n_entries, 65_536)
    runs = [8_192] * (8 * n_full) + [n_rest] * (n_rest > 0)
    lengths_bytes = [0]
    for _ in range(len(runs) * sum(len(table) > 1 for table in tables) - 1):
        step = cursor.varint()
        lengths_bytes.append(lengths_bytes[-1] + (-(step + 1) // 2 if step % 2 else step // 2))
    lengths_bytes = [*lengths_bytes[1:], len(cursor.rest) - sum(lengths_bytes)]
    streams = []
    for table in tables:
        if len(table) > 1:
            symbols = [symbol for n in runs for symbol in run(cursor.take(lengths_bytes.pop(0)), table, n)]
        else:
            symbols = list(table.values()) * n_entries
        streams.append(np.array(symbols, int))
    return streams


class Tensor:
    """A record of the directory [4, 5], and with its payload the weights."""

    def __init__(self, cursor: Cursor, earlier: "list[Tensor]") -> None:
        ending, self.encoding = divmod(cursor.number(1), 16)
        n_taken, n_further = cursor.varint(), cursor.varint()
        self.stem = (earlier[-1].stem[:n_taken] if earlier else b"") + cursor.take(n_further)
        self.name = (self.stem + ENDINGS[ending]).decode()
        self.shape = tuple(cursor.varint() for _ in range(cursor.number(1)))
        self.n_elements = math.prod(self.shape)
        if self.encoding in (FP32, FP16):
            self.value_bytes = 4 if self.encoding == FP32 else 2
            self.payload_bytes = self.n_elements * self.value_bytes
            return
        self.n_entries, self.gap_bits, kinds = cursor.varint(), cursor.number(1), cursor.number(1)
        self.scan = kinds % 4
        self.sides = []
        for kind in (kinds // 4 % 4, kinds // 16):
            unit = 1 if kind == ALL else cursor.varint()
            self.sides.append((kind, unit, cursor.varint() if kind == FIRST else 0))
        self.n_pes = cursor.varint() if self.scan == PER_PE else 0
        self.count_bits = cursor.number(1) if self.scan in (PER_ROW, PER_PE) else 0
        if self.encoding in (SHARED, HUFFMAN):
            places_back, self.value_bytes = cursor.varint(), cursor.number(1)
            self.owner = earlier[-places_back] if places_back else None
            self.n_codes = self.owner.n_codes if self.owner else cursor.varint()
        self.payload_bytes = cursor.varint()

    def decode(self, payload: bytes) -> Array:
        """The weights [6-8]."""
        cursor = Cursor(payload)
        if self.encoding in (FP32, FP16):
            return cursor.floats(self.n_elements, self.value_bytes).reshape(self.shape)
        n_rows = self.shape[0] if len(self.shape) > 1 else 1
        n_columns = math.prod(self.shape[1:]) if len(self.shape) > 1 else self.n_elements
        rows = live(cursor, n_rows, *self.sides[0])
        columns = live(cursor, n_columns, *self.sides[1])
        slices = self.slices(np.arange(self.n_elements).reshape(n_rows, n_columns)[rows][:, columns])
        counts = cursor.fields(len(slices), self.count_bits) if self.count_bits else [self.n_entries]
        assert sum(counts) == self.n_entries
        values, gaps = self.entries(cursor)
        assert not cursor.rest
        assert np.isfinite(values).all()
        assert (gaps[values == 0] == (1 << self.gap_bits) - 1).all()
        weights = np.zeros(self.n_elements, np.float32)
        first = 0
        for elements, n_entries in zip(slices, counts, strict=True):
            end = first + n_entries
            weights[elements[np.cumsum(gaps[first:end] + 1) - 1]] = values[first:end]
            assert not n_entries or values[end - 1]
            first = end
        return weights.reshape(self.shape)

    def slices(self, elements: Array) -> list[Array]:
        """The elements of each, given those of the live matrix [6]."""
        if self.scan == PER_ROW:
            return list(elements)
        if self.scan == PER_PE:
            return [column for pe in range(self.n_pes) for column in elements[pe :: self.n_pes].T]
        return [(elements if self.scan == ROWS else elements.T).ravel()]

    def entries(self, cursor: Cursor) -> tuple[Array, Array]:
        """Values and gaps [8, 9]."""
        if self.encoding == PRUNED:
            return cursor.floats(self.n_entries, 4), cursor.fields(self.n_entries, self.gap_bits)
        if self.owner:
            self.codebook = self.owner.codebook * cursor.floats(1, self.value_bytes)
        else:
            self.codebook = cursor.floats(self.n_codes - 1, self.value_bytes)
        if self.encoding == SHARED:
            codes = cursor.fields(self.n_entries, numbering_bits(self.n_codes))
            gaps = cursor.fields(self.n_entries, self.gap_bits)
        else:
            codes, gaps = huffman_streams(cursor, self.n_entries, (self.n_codes, 1 << self.gap_bits))
        return np.append(np.float32(0), self.codebook)[codes], gaps


def live(cursor: Cursor, n: int, kind: int, unit: int, n_live: int) -> Array:
    """The rows or columns that are stored [5, 6, 8]."""
    if kind == BITMAP:
        return np.flatnonzero(np.repeat(cursor.fields(n // unit, 1), unit))
    return np.arange(n if kind == ALL else n_live * unit)


def read(content: bytes) -> dict[str, Array]:
    """The weights of a network [2, 3]."""
    footer = Cursor(content[-8:])
    directory_at = len(content) - 8 - footer.number(4)
    payloads, directory = Cursor(content[:directory_at]), Cursor(content[directory_at:-8])
    assert footer.number(4) == zlib.crc32(directory.rest)
    assert payloads.take(4) == b"DCZ2"
    directory.number(1)
    directory.take(directory.varint()).decode()
    tensors: list[Tensor] = []
    for _ in range(directory.varint()):
        tensors.append(Tensor(directory, tensors))
    weights, section = {}, b""
    for tensor in tensors:
        payload = payloads.take(tensor.payload_bytes)
        weights[tensor.name] = tensor.decode(payload)
        section += payload
        if len(section) >= 65_536 or (section and not payloads.rest):
            assert directory.number(4) == zlib.crc32(section)
            section = b""
    assert not payloads.rest
    assert not directory.rest
    return weights


def assert_same(read_here: dict[str, Array], decoded: dict[str, Array]) -> None:
    assert list(read_here) == list(decoded)
    for name, weights in decoded.items():
        assert read_here[name].shape == weights.shape
        assert read_here[name].dtype == weights.dtype
        assert read_here[name].tobytes() == weights.tobytes()  # zeros have signs


ROOT = Path(__file__).parents[2]
COMMITTED = sorted([*ROOT.glob("tests/golden/tiny-*.dcz"), *ROOT.glob("models/*/compressed/*/*.dcz")])


def test_committed_files_are_all_there() -> None:
    assert len(COMMITTED) >= 21


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_committed_file(path: Path) -> None:
    assert_same(read(path.read_bytes()), CompressedModel.load(path).decode())


@pytest.mark.parametrize("gap_bits", ["auto", 0, 1, 16])
@pytest.mark.parametrize("layout", [None, Layout("columns"), Layout("per-row"), Layout("per-pe", 3)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_tensor(variant: str, layout: Layout | None, gap_bits: int | str) -> None:
    channels = with_dead_ends(12, 9, 3, 3)
    weights = network() | {"dead channels": channels, "halves": np.round(channels * 8) / 8}
    given = dict.fromkeys(weights, layout) if layout else None
    model = pack("every kind", variant, weights, dict.fromkeys(weights, gap_bits), given)
    assert_same(read(model.content), model.decode())


def test_codebooks_of_others_and_streams_without_symbols() -> None:
    model = linked()
    first = model.tensors[0]
    last = [
        shares_codebook(encoding, np.zeros((4, 3), int), first, -2.0, encoding) for encoding in ("shared", "huffman")
    ]
    model = CompressedModel(model.network, model.variant, (*model.tensors, *last))
    assert_same(read(model.content), model.decode())


@pytest.mark.parametrize("gap_bits", [0, 2])
def test_full_huffman_blocks(gap_bits: int) -> None:
    tensor = pack_tensor("large", sparse(300, 500, density=0.6), "huffman", gap_bits=gap_bits)
    assert tensor.encoding == "huffman"
    assert tensor.n_entries > 65_536
    model = CompressedModel("large", "huffman", (tensor,))
    assert_same(read(model.content), model.decode())


def test_empty_payloads_after_a_full_section() -> None:
    model = pack("sections", "dense", {name: np.ones(n, np.float32) for name, n in (("a", 16_384), ("b", 0), ("c", 0))})
    assert_same(read(model.content), model.decode())
