"""One tensor as it lies in a `.dcz` file, and how to get its values back."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dcsim.codec import fixed_width, huffman, relative_index
from dcsim.errors import MalformedError, TruncatedError
from dcsim.units import BITS_PER_BYTE, FP32_BITS, bits_to_bytes

Encoding = Literal["fp32", "fp16", "pruned", "shared", "huffman"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
FP16_BYTES, FP32_BYTES = 2, 4

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A separately addressed run of a stream: what a decoder's time and the memory traffic follow from."""

    stream: str
    block: int
    n_symbols: int
    n_bits: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor as it lies in the file."""

    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    payload: bytes
    n_entries: int = 0
    n_codes: int = 0
    gap_bits: int = 0
    codebook_bytes: int = 0

    @property
    def n_elements(self) -> int:
        return math.prod(self.shape)

    @property
    def code_bits(self) -> int:
        """Width of a fixed-width code [bits]."""
        return max(1, (self.n_codes - 1).bit_length())

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every part of the payload in file order; whole bytes each, which together are the payload."""
        if self.encoding in ("fp32", "fp16"):
            return (Block("values", 0, self.n_elements, len(self.payload) * BITS_PER_BYTE),)
        if self.encoding == "pruned":
            return (
                Block("values", 0, self.n_entries, self.n_entries * FP32_BITS),
                Block("gaps", 0, self.n_entries, self.n_entries * self.gap_bits),
            )
        codebook = Block("codebook", 0, self.n_codes, self.n_codes * self.codebook_bytes * BITS_PER_BYTE)
        if self.encoding == "shared":
            return (
                codebook,
                Block("codes", 0, self.n_entries, self.n_entries * self.code_bits),
                Block("gaps", 0, self.n_entries, self.n_entries * self.gap_bits),
            )
        parts = _HuffmanParts.parse(self)
        tables = Block("tables", 0, self.n_codes + (1 << self.gap_bits), len(parts.tables) * BITS_PER_BYTE)
        coded = [
            Block(stream, index, _block_symbols(self.n_entries, index), int(n_bits))
            for stream, encoded in (("codes", parts.codes), ("gaps", parts.gaps))
            for index, n_bits in enumerate(encoded.block_bits)
        ]
        return (codebook, tables, *coded)

    def entries(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Position and value of every stored entry, fillers included. Raises ArtifactError."""
        if self.encoding in ("fp32", "fp16"):
            kind = "<f4" if self.encoding == "fp32" else "<f2"
            return np.arange(self.n_elements), np.frombuffer(self.payload, kind).astype(np.float32)
        if self.encoding == "pruned":
            at = self.n_entries * FP32_BYTES
            values = np.frombuffer(self.payload[:at], "<f4").astype(np.float32)
            return self._positions(fixed_width.unpack(self.payload[at:], self.gap_bits, self.n_entries), values), values
        codes, gaps = self._codes_and_gaps()
        codebook = _read_codebook(self.payload, self.n_codes, self.codebook_bytes)
        if len(codes) and int(codes.max()) >= self.n_codes:
            raise MalformedError(f"{self.name}: a code points past the codebook of {self.n_codes}")
        if codebook[0] != 0:
            raise MalformedError(f"{self.name}: code 0 must be the value zero")
        return self._positions(gaps, codebook[codes]), codebook[codes]

    def _positions(self, gaps: npt.NDArray[np.integer], values: Floats) -> npt.NDArray[np.int64]:
        """Position of every entry, after a look at the fillers: full gaps, and none at the end."""
        if ((values == 0) & (gaps != (1 << self.gap_bits) - 1)).any():
            raise MalformedError(f"{self.name}: an entry of value zero is no filler")
        if len(values) and values[-1] == 0:
            raise MalformedError(f"{self.name}: zeros after the last nonzero are stored")
        return relative_index.decode(gaps, self.n_elements)

    def n_nonzero(self) -> int:
        """Elements that are not zero. Raises ArtifactError."""
        return int(np.count_nonzero(self.entries()[1]))

    def decode(self) -> Floats:
        """The tensor's values, bit for bit as they were stored. Raises ArtifactError."""
        positions, values = self.entries()
        dense = np.zeros(self.n_elements, np.float32)
        dense[positions] = values
        return dense.reshape(self.shape)

    def _codes_and_gaps(self) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
        if self.encoding == "huffman":
            parts = _HuffmanParts.parse(self)
            return huffman.decode(parts.codes), huffman.decode(parts.gaps)
        at = self.n_codes * self.codebook_bytes
        split = at + bits_to_bytes(self.n_entries * self.code_bits)
        codes = fixed_width.unpack(self.payload[at:split], self.code_bits, self.n_entries)
        return codes, fixed_width.unpack(self.payload[split:], self.gap_bits, self.n_entries)


@dataclass(frozen=True, eq=False)
class _HuffmanParts:
    """The payload of a `huffman` tensor, cut up: codebook | tables | block bits | code blocks | gap blocks."""

    tables: bytes
    codes: huffman.HuffmanStream
    gaps: huffman.HuffmanStream

    @classmethod
    def parse(cls, tensor: StoredTensor) -> "_HuffmanParts":
        payload, n_entries = tensor.payload, tensor.n_entries
        at = tensor.n_codes * tensor.codebook_bytes
        codes_end = at + huffman.packed_lengths_bytes(tensor.n_codes)
        gaps_end = codes_end + huffman.packed_lengths_bytes(1 << tensor.gap_bits)
        n_blocks = huffman.n_blocks(n_entries)
        tables_end = gaps_end + 2 * n_blocks * 4
        if tables_end > len(payload):
            raise TruncatedError(f"{tensor.name}: the payload ends inside its code tables")
        code_lengths = huffman.unpack_lengths(payload[at:codes_end], tensor.n_codes)
        gap_lengths = huffman.unpack_lengths(payload[codes_end:gaps_end], 1 << tensor.gap_bits)
        bits = np.frombuffer(payload[gaps_end:tables_end], "<u4").astype(np.int64)
        code_bits, gap_bits = bits[:n_blocks], bits[n_blocks:]
        split = tables_end + sum(bits_to_bytes(int(n)) for n in code_bits)
        end = split + sum(bits_to_bytes(int(n)) for n in gap_bits)
        if end != len(payload):
            raise MalformedError(f"{tensor.name}: its blocks end at byte {end} of {len(payload)}")
        return cls(
            payload[at:tables_end],
            huffman.HuffmanStream(n_entries, code_lengths, code_bits, payload[tables_end:split]),
            huffman.HuffmanStream(n_entries, gap_lengths, gap_bits, payload[split:]),
        )


def _block_symbols(n_symbols: int, block: int) -> int:
    return min(huffman.BLOCK_SYMBOLS, n_symbols - block * huffman.BLOCK_SYMBOLS)


def _read_codebook(payload: bytes, n_codes: int, codebook_bytes: int) -> Floats:
    kind = "<f2" if codebook_bytes == FP16_BYTES else "<f4"
    return np.frombuffer(payload[: n_codes * codebook_bytes], kind).astype(np.float32)


def total_payload_bytes(blocks: Iterable[Block]) -> int:
    """Bytes that `blocks` occupy in a file: each starts on a byte."""
    return sum(bits_to_bytes(block.n_bits) for block in blocks)
