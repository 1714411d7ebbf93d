"""The directory at the end of a `.dcz` file: what every tensor is called, how it is stored and how long it is.

In a network of a few kilobytes the directory is what layout costs, so a name is what it does not share with the one
before, and frequent endings are a number.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from dcsim.artifact.layout import SCANS, Layout, Live, matrix_shape
from dcsim.artifact.tensor import ENCODINGS, FP16_BYTES, FP32_BYTES, StoredTensor
from dcsim.codec import varint
from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.errors import ArtifactError, MalformedError, TruncatedError
from dcsim.units import FP32_BITS, bits_to_bytes

T = TypeVar("T")

ENDINGS = ("", ".weight", ".bias", ".running_mean", ".running_var")
MAX_ELEMENTS = 1 << 32
MAX_CODES = 1 << 10
MAX_DIMENSIONS = 8
MAX_NAME_BYTES = 1 << 10  # names share their beginnings, so a byte of the file can be a whole name in memory
ALL, FIRST, BITMAP = range(3)  # which units of one side are live


def pack_text(text: str) -> bytes:
    """Its UTF-8 bytes, behind how many they are."""
    encoded = text.encode()
    return varint.pack(len(encoded)) + encoded


def pack_record(tensor: StoredTensor, earlier: Sequence[str]) -> bytes:
    """The record of `tensor`, which follows those named in `earlier`. Raises ArtifactError."""
    if len(tensor.name.encode()) > MAX_NAME_BYTES:
        raise ArtifactError(f"{tensor.name[:40]}...: a name has at most {MAX_NAME_BYTES} bytes")
    ending, stem = _split(tensor.name)
    shared = _n_shared(stem, _split(earlier[-1])[1] if earlier else b"")
    record = bytearray([ENCODINGS.index(tensor.encoding) | ending << 4])
    record += varint.pack(shared) + varint.pack(len(stem) - shared) + stem[shared:]
    record += bytes([len(tensor.shape)]) + b"".join(map(varint.pack, tensor.shape))
    if not tensor.is_sparse:
        return bytes(record)
    layout = tensor.layout
    kinds = [_live_kind(live) for live in (layout.live_rows, layout.live_columns)]
    record += varint.pack(tensor.n_entries) + bytes([tensor.gap_bits])
    record.append(SCANS.index(layout.scan) | kinds[0] << 2 | kinds[1] << 4)
    for live in (layout.live_rows, layout.live_columns):
        if live:
            record += varint.pack(live.unit)
            record += varint.pack(live.n_first) if live.is_count else b""
    if layout.scan == "per-pe":
        record += varint.pack(layout.n_pes)
    if layout.is_sliced:
        record.append(tensor.count_bits)
    if tensor.encoding in ("shared", "huffman"):
        places_back = len(earlier) - earlier.index(tensor.owner.name) if tensor.owner else 0
        record += varint.pack(places_back) + bytes([tensor.codebook_bytes])
        record += b"" if tensor.owner else varint.pack(tensor.n_codes)
    return bytes(record + varint.pack(len(tensor.payload)))


def _split(name: str) -> tuple[int, bytes]:
    """Number of the ending, and the rest of the name in UTF-8."""
    number = next((n for n, ending in enumerate(ENDINGS) if ending and name.endswith(ending)), 0)
    return number, name.removesuffix(ENDINGS[number]).encode()


def _n_shared(one: bytes, other: bytes) -> int:
    """Bytes at the beginning of both."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _live_kind(live: Live | None) -> int:
    return ALL if live is None else FIRST if live.is_count else BITMAP


class DirectoryReader:
    """A cursor over the directory that never reads past its end."""

    def __init__(self, directory: bytes) -> None:
        self._directory = directory
        self._at = 0
        self._stem = b""

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._directory)

    def take(self, n_bytes: int) -> bytes:
        """The next bytes. Raises TruncatedError."""
        taken = self._directory[self._at : self._at + n_bytes]
        if len(taken) < n_bytes:
            raise TruncatedError("the directory ends inside a record")
        self._at += n_bytes
        return taken

    def byte(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]

    def count(self) -> int:
        """The next varint."""
        value, self._at = varint.unpack(self._directory, self._at)
        return value

    def text(self) -> str:
        """The next text."""
        return _decoded(self.take(self.count()))

    def choice(self, options: tuple[T, ...], index: int) -> T:
        """The option that a number stands for. Raises MalformedError."""
        if index >= len(options):
            raise MalformedError(f"number {index} stands for nothing among {', '.join(map(str, options))}")
        return options[index]

    def record(self, earlier: Sequence[StoredTensor], payloads: np.ndarray) -> StoredTensor:
        """The next tensor, whose payload is at the start of `payloads`. Raises ArtifactError."""
        first = self.byte()
        encoding = self.choice(ENCODINGS, first & 15)
        name = self._name(self.choice(ENDINGS, first >> 4))
        n_dimensions = self.byte()
        if n_dimensions > MAX_DIMENSIONS:
            raise MalformedError(f"{name}: {n_dimensions} dimensions, at most {MAX_DIMENSIONS} are allowed")
        shape = tuple(self.count() for _ in range(n_dimensions))
        if math.prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
            raise MalformedError(f"{name}: shape {shape} has more than {MAX_ELEMENTS} elements")
        tensor = StoredTensor(name, shape, encoding, payloads[:0])
        if not tensor.is_sparse:
            n_bytes = tensor.n_elements * (FP32_BYTES if encoding == "fp32" else FP16_BYTES)
            return replace(tensor, payload=_cut(name, payloads, n_bytes))
        tensor = replace(tensor, n_entries=self.count(), gap_bits=self._at_most(MAX_GAP_BITS, "gap bits"))
        tensor, bitmaps = self._layout(tensor)
        if encoding in ("shared", "huffman"):
            tensor = self._codebook(tensor, earlier)
        tensor = replace(tensor, payload=_cut(name, payloads, self.count()))
        return _with_bitmaps(tensor, bitmaps)

    def _name(self, ending: str) -> str:
        shared = self.count()
        if shared > len(self._stem):
            raise MalformedError("a name shares more than the name before it has")
        before, self._stem = self._stem, self._stem[:shared] + self.take(self.count())
        if len(self._stem) + len(ending) > MAX_NAME_BYTES:
            raise MalformedError(f"a name of more than {MAX_NAME_BYTES} bytes")
        name = _decoded(self._stem) + ending
        if _split(name) != (ENDINGS.index(ending), self._stem) or _n_shared(self._stem, before) != shared:
            raise MalformedError(f"the name {name} is not written as short as it can be")
        return name

    def _at_most(self, largest: int, what: str) -> int:
        value = self.byte()
        if value > largest:
            raise MalformedError(f"{value} {what}, at most {largest} are allowed")
        return value

    def _layout(self, tensor: StoredTensor) -> tuple[StoredTensor, tuple[bool, bool]]:
        """The tensor with its layout, no unit of a bitmap live yet, and which sides have one."""
        flags = self.byte()
        scan, kinds = SCANS[flags & 3], (flags >> 2 & 3, flags >> 4)
        sides = [self._live(kind, size) for kind, size in zip(kinds, matrix_shape(tensor.shape), strict=True)]
        n_pes = self.count() if scan == "per-pe" else 1
        layout = Layout(scan, n_pes, *sides)
        if not 1 <= n_pes <= MAX_ELEMENTS:
            raise MalformedError(f"{tensor.name}: {n_pes} processing elements are not possible")
        count_bits = self._at_most(FP32_BITS, "bits a slice count") if layout.is_sliced else 0
        if layout.is_sliced and not count_bits:  # or the slices would cost nothing and could be any number
            raise MalformedError(f"{tensor.name}: slice counts of 0 bits")
        return replace(tensor, layout=layout, count_bits=count_bits), (kinds[0] == BITMAP, kinds[1] == BITMAP)

    def _live(self, kind: int, size: int) -> Live | None:
        if kind == ALL:
            return None
        unit = self.count()
        if kind > BITMAP or unit < 1 or size % unit:
            raise MalformedError(f"live units of kind {kind} and {unit} elements are not possible on a side of {size}")
        n_units = size // unit
        n_live = self.count() if kind == FIRST else 0  # a bitmap comes with the payload
        if n_live > n_units:
            raise MalformedError(f"{n_live} of {n_units} units cannot be live")
        return Live(unit, n_units, n_live)

    def _codebook(self, tensor: StoredTensor, earlier: Sequence[StoredTensor]) -> StoredTensor:
        places_back, codebook_bytes = self.count(), self.byte()
        if codebook_bytes not in (FP16_BYTES, FP32_BYTES):
            raise MalformedError(f"{tensor.name}: codebook values of {codebook_bytes} bytes are not allowed")
        if not places_back:
            n_codes, owner = self.count(), None
        elif places_back <= len(earlier) and earlier[-places_back].n_codes and earlier[-places_back].owner is None:
            owner = earlier[-places_back]
            n_codes = owner.n_codes
        else:
            raise MalformedError(f"{tensor.name}: {places_back} places back there is no codebook")
        if not 1 <= n_codes <= MAX_CODES:
            raise MalformedError(f"{tensor.name}: a codebook of {n_codes} values is not allowed")
        return replace(tensor, n_codes=n_codes, codebook_bytes=codebook_bytes, owner=owner)


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a name is not UTF-8") from error


def _cut(name: str, payloads: np.ndarray, n_bytes: int) -> np.ndarray:
    if n_bytes > len(payloads):
        raise TruncatedError(f"{name}: its payload declares {n_bytes} bytes, {len(payloads)} are there")
    return payloads[:n_bytes]


def _with_bitmaps(tensor: StoredTensor, has_bitmap: tuple[bool, bool]) -> StoredTensor:
    """The tensor with the live units that its payload begins with."""
    at, sides = 0, []
    for live, mapped in zip((tensor.layout.live_rows, tensor.layout.live_columns), has_bitmap, strict=True):
        if live and mapped:
            live = replace(live, bitmap=_cut(tensor.name, tensor.payload[at:], bits_to_bytes(live.n_units)))
            at += bits_to_bytes(live.n_units)
        sides.append(live)
    return replace(tensor, layout=replace(tensor.layout, live_rows=sides[0], live_columns=sides[1]))
