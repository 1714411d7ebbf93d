"""One tensor as it lies in a `.dcz` file, and how to get its values back."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dcsim.artifact.layout import Floats, Layout
from dcsim.artifact.streams import HuffmanParts
from dcsim.codec import fixed_width, huffman, relative_index
from dcsim.errors import ArtifactError, MalformedError, TruncatedError
from dcsim.units import FP32_BITS, bits_to_bytes, bytes_to_bits

Encoding = Literal["fp32", "fp16", "pruned", "shared", "huffman"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
FP16_BYTES, FP32_BYTES = 2, 4
KEPT_PER_BYTE = 8  # symbols of parsed code tables beside each byte of payload
SLICES_AT_ONCE = 1 << 16  # whole bytes at any width of a count

WHOLE = Layout()

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Block:
    """A separately addressed run of a stream: what a decoder's time and the memory traffic follow from."""

    stream: str
    block: int
    n_symbols: int
    n_bits: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor as it lies in the file.

    Attributes:
        payload: uint8.
        n_entries: nonzeros and fillers of a sparse encoding.
        n_codes: size of the codebook, the value zero included.
        codebook_bytes: bytes of one value of the codebook, or of the scale.
        count_bits: width of the entry count of every slice, where gaps start anew.
        owner: the tensor whose codebook this one uses, times a scale of its own.
    """

    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    payload: Bytes
    n_entries: int = 0
    n_codes: int = 0
    gap_bits: int = 0
    codebook_bytes: int = 0
    layout: Layout = WHOLE
    count_bits: int = 0
    owner: "StoredTensor | None" = None

    @property
    def n_elements(self) -> int:
        """Elements, zeros included."""
        return math.prod(self.shape)

    @property
    def code_bits(self) -> int:
        """Width of a fixed-width code [bits]."""
        return max(1, (self.n_codes - 1).bit_length())

    @property
    def _gaps_bits(self) -> int:
        return self.n_entries * self.gap_bits

    @property
    def is_sparse(self) -> bool:
        """Whether entries and gaps are stored, rather than every value."""
        return self.encoding in ("pruned", "shared", "huffman")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every part of the payload in file order, each in whole bytes: together the payload. Raises ArtifactError."""
        if not self.is_sparse:
            return (Block("values", 0, self.n_elements, bytes_to_bits(len(self.payload))),)
        front = [
            Block("live", 0, live.n_units, live.n_units)
            for live in (self.layout.live_rows, self.layout.live_columns)
            if live and not live.is_count
        ]
        if self.layout.is_sliced:
            n_slices = self.layout.n_slices(self.shape)
            front.append(Block("pointers", 0, n_slices, n_slices * self.count_bits))
        if self.encoding == "pruned":
            return (*front, self._fixed("values", FP32_BITS), self._fixed("gaps", self.gap_bits))
        n_values = 1 if self.owner else self.n_codes - 1
        front.append(Block("codebook", 0, n_values, bytes_to_bits(n_values * self.codebook_bytes)))
        if self.encoding == "shared":
            return (*front, self._fixed("codes", self.code_bits), self._fixed("gaps", self.gap_bits))
        parts = self._huffman_parts
        front.append(Block("tables", 0, self.n_codes + (1 << self.gap_bits), bytes_to_bits(parts.table_bytes)))
        coded = [
            Block(stream, index, min(huffman.BLOCK_SYMBOLS, self.n_entries - first), bytes_to_bits(int(n_bytes)))
            for stream, encoded in (("codes", parts.codes), ("gaps", parts.gaps))
            for index, (first, n_bytes) in enumerate(
                zip(range(0, self.n_entries, huffman.BLOCK_SYMBOLS), huffman.block_bytes(encoded), strict=True)
            )
        ]
        return (*front, *coded)

    def implied_bytes(self) -> int:
        """Bytes that the payload must have: as `blocks`, without making them all. Raises ArtifactError."""
        if self.encoding == "pruned":
            return self._front_bytes + bits_to_bytes(self.n_entries * FP32_BITS) + bits_to_bytes(self._gaps_bits)
        if self.encoding == "shared":
            return self._streams_at + bits_to_bytes(self.n_entries * self.code_bits) + bits_to_bytes(self._gaps_bits)
        if self.encoding == "huffman":
            _ = self._huffman_parts  # which fill the payload, or it is refused
        return len(self.payload)

    def _fixed(self, stream: str, width_bits: int) -> Block:
        return Block(stream, 0, self.n_entries, self.n_entries * width_bits)

    @cached_property
    def _front_bytes(self) -> int:
        """Bytes before the codebook or the values: live units and slice counts, each from a byte on."""
        n_bits = [
            live.n_units for live in (self.layout.live_rows, self.layout.live_columns) if live and not live.is_count
        ]
        if self.layout.is_sliced:
            n_bits.append(self.layout.n_slices(self.shape) * self.count_bits)
        return sum(map(bits_to_bytes, n_bits))

    @cached_property
    def _streams_at(self) -> int:
        """First byte after the codebook."""
        return self._front_bytes + (1 if self.owner else self.n_codes - 1) * self.codebook_bytes

    @property
    def _huffman_parts(self) -> HuffmanParts:
        """Kept only beside a payload of some size: tables of a few bytes in the file may take 64 KiB in memory."""
        parts: HuffmanParts | None = self.__dict__.get("_kept_parts")
        if parts is None:
            parts = HuffmanParts.parse(
                self.payload[self._streams_at :], self.n_entries, self.n_codes, 1 << self.gap_bits
            )
            if self.n_codes + (1 << self.gap_bits) <= KEPT_PER_BYTE * len(self.payload):
                self.__dict__["_kept_parts"] = parts
        return parts

    @property
    def codebook(self) -> Floats:
        """Value of every code, fp32, rounded once where a scale applies; code 0 is zero. Raises ArtifactError."""
        kind = "<f2" if self.codebook_bytes == FP16_BYTES else "<f4"
        stored = self.payload[self._front_bytes : self._streams_at].tobytes()
        values = scale = np.frombuffer(stored, kind).astype(np.float32)
        if self.owner:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                values = self.owner.codebook[1:] * scale[0]
        if not (np.isfinite(values).all() and np.isfinite(scale).all()):
            raise MalformedError(f"{self.name}: the codebook holds values that are not finite")
        return np.concatenate([np.zeros(1, np.float32), values])

    def codes(self) -> npt.NDArray[np.integer]:
        """The code of every entry of a `shared` or `huffman` tensor. Raises ArtifactError."""
        if self.encoding == "huffman":
            codes: npt.NDArray[np.integer] = huffman.decode(self._huffman_parts.codes)
        else:
            codes = _unpack(self.payload[self._streams_at :], self.code_bits, self.n_entries)
        if len(codes) and int(codes.max()) >= self.n_codes:
            raise MalformedError(f"{self.name}: a code points past the codebook of {self.n_codes}")
        return codes

    def gaps(self) -> npt.NDArray[np.integer]:
        """The gap of every entry of a sparse tensor. Raises ArtifactError."""
        if self.encoding == "huffman":
            return huffman.decode(self._huffman_parts.gaps)
        width_bits = FP32_BITS if self.encoding == "pruned" else self.code_bits
        at = self._front_bytes if self.encoding == "pruned" else self._streams_at
        return _unpack(self.payload[at + bits_to_bytes(self.n_entries * width_bits) :], self.gap_bits, self.n_entries)

    def values(self) -> Floats:
        """The value of every entry, fillers included; without gaps, of every element. Raises ArtifactError."""
        return self.codebook[self.codes()] if self.encoding in ("shared", "huffman") else self._plain_values()

    def _plain_values(self) -> Floats:
        """The values of a tensor without a codebook."""
        n_values = self.n_entries if self.is_sparse else self.n_elements
        kind, size = ("<f2", FP16_BYTES) if self.encoding == "fp16" else ("<f4", FP32_BYTES)
        stored = self.payload[self._front_bytes if self.is_sparse else 0 :][: n_values * size]
        if len(stored) < n_values * size:
            raise TruncatedError(f"{self.name}: {n_values} values need more than {len(stored)} bytes")
        values = np.frombuffer(stored.tobytes(), kind).astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise MalformedError(f"{self.name} holds values that are not finite")
        return values

    def n_nonzero(self) -> int:
        """Elements that are not zero. Raises ArtifactError."""
        return int(np.count_nonzero(self.values()))

    def decode(self) -> Floats:
        """The values, bit for bit as they were stored. Raises ArtifactError, also where memory is too small."""
        try:
            if not self.is_sparse:
                return self._plain_values().reshape(self.shape)
            return self.layout.restore(self._placed(), self.shape)
        except MemoryError as error:
            raise ArtifactError(f"{self.name}: its {self.n_elements} elements do not fit into memory") from error

    def _placed(self) -> Floats:
        """The live elements in the order of the scan."""
        codebook = None if self.encoding == "pruned" else self.codebook
        symbols = self._plain_values() if codebook is None else self.codes()
        gaps = self.gaps()
        n_found = sum(int(n_per_slice.sum()) for n_per_slice in self._entries_per_slice())
        if n_found != self.n_entries:
            raise MalformedError(f"{self.name}: its slices hold {n_found} entries instead of {self.n_entries}")
        flat = np.zeros(math.prod(self.layout.live_shape(self.shape)), np.float32)
        entry = element = 0
        for index, n_per_slice in enumerate(self._entries_per_slice()):
            slice_elements = self.layout.slice_elements(self.shape, index * SLICES_AT_ONCE, SLICES_AT_ONCE)
            entries = slice(entry, entry + int(n_per_slice.sum()))
            part = flat[element : element + int(slice_elements.sum())]
            try:
                relative_index.place(
                    part, gaps[entries], symbols[entries], codebook, self.gap_bits, n_per_slice, slice_elements
                )
            except MalformedError as error:
                raise MalformedError(f"{self.name}: {error}") from error
            entry, element = entries.stop, element + len(part)
        return flat

    def _entries_per_slice(self) -> Iterator[npt.NDArray[np.int64]]:
        """Entries of every slice, some at a time: there may be many more slices than elements."""
        if not self.layout.is_sliced:
            yield np.array([self.n_entries], np.int64)
            return
        n_slices = self.layout.n_slices(self.shape)
        packed = self.payload[self._front_bytes - bits_to_bytes(n_slices * self.count_bits) : self._front_bytes]
        for first in range(0, n_slices, SLICES_AT_ONCE):
            at = bits_to_bytes(first * self.count_bits)
            n_fields = min(SLICES_AT_ONCE, n_slices - first)
            yield fixed_width.unpack(packed[at:], self.count_bits, n_fields).astype(np.int64)


def _unpack(payload: Bytes, width_bits: int, n_fields: int) -> npt.NDArray[np.unsignedinteger]:
    """Gaps or codes, in the narrowest type that holds them."""
    return fixed_width.unpack(payload, width_bits, n_fields, np.uint8 if bits_to_bytes(width_bits) <= 1 else np.uint16)
