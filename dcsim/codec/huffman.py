"""Canonical, length-limited Huffman codes in independent blocks.

Code lengths come from the package-merge algorithm (Larmore and Hirschberg, J. ACM 37(3), 1990), which is optimal under
the limit. Codes are canonical (ordered by length, then symbol) and written least significant bit first, first code bit
lowest. Every block of `BLOCK_SYMBOLS` symbols starts on a byte, so that a part of a layer can be decoded alone.

Degenerate alphabets: an empty stream has no code; a stream with one distinct symbol takes no bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.codec import fixed_width
from dcsim.errors import MalformedError, TruncatedError
from dcsim.units import bits_to_bytes, ceil_div

BLOCK_SYMBOLS = 1 << 14  # its 4 bytes in the block table are 0.05 % of a block of 4-bit codes
MAX_CODE_BITS = 14
LENGTH_FIELD_BITS = 4

Lengths = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class HuffmanStream:
    """An encoded stream: `lengths` [bits per symbol of the alphabet], bits of each block, and the blocks' bytes."""

    n_symbols: int
    lengths: Lengths
    block_bits: npt.NDArray[np.int64]
    payload: bytes


def encode(symbols: Symbols) -> HuffmanStream:
    """Encode a 1-D array of symbols; the alphabet ends at the largest symbol that occurs."""
    counts = np.bincount(symbols) if len(symbols) else np.zeros(0, np.int64)
    lengths = code_lengths(counts)
    if np.count_nonzero(lengths) < 2:
        bits = np.zeros(n_blocks(len(symbols)), np.int64)
        return HuffmanStream(len(symbols), lengths, bits, b"")
    from dcsim.codec import kernels

    payload, bits = kernels.encode_blocks(symbols, _reversed_codes(lengths), lengths, BLOCK_SYMBOLS)
    return HuffmanStream(len(symbols), lengths, bits, payload.tobytes())


def decode(stream: HuffmanStream) -> Symbols:
    """The symbols of `stream`.

    Raises:
        MalformedError: the code lengths are not a complete prefix code, or a block does not end where it says.
        TruncatedError: the payload is shorter than its blocks.
    """
    check_lengths(stream.lengths, stream.n_symbols)
    if len(stream.block_bits) != n_blocks(stream.n_symbols):
        raise MalformedError(f"{stream.n_symbols} symbols do not make {len(stream.block_bits)} blocks")
    starts = _block_starts(stream.block_bits)
    if (stream.block_bits < 0).any() or starts[-1] > len(stream.payload):
        raise TruncatedError(f"Huffman blocks need {starts[-1]} bytes, the stream has {len(stream.payload)}")
    if np.count_nonzero(stream.lengths) < 2:
        if stream.block_bits.any():
            raise MalformedError("a stream with one distinct symbol has no bits, yet its blocks claim some")
        symbol = int(np.argmax(stream.lengths)) if len(stream.lengths) else 0
        return np.full(stream.n_symbols, symbol, np.uint16)
    from dcsim.codec import kernels

    table_symbols, table_lengths = _decode_table(stream.lengths)
    symbols = np.empty(stream.n_symbols, np.uint16)
    padded = np.frombuffer(stream.payload + bytes(8), np.uint8)
    bad = kernels.decode_blocks(padded, stream.block_bits, starts, table_symbols, table_lengths, symbols, BLOCK_SYMBOLS)
    if bad >= 0:
        raise MalformedError(f"Huffman block {bad} does not end where its length says")
    return symbols


def n_blocks(n_symbols: int) -> int:
    """Blocks of a stream of `n_symbols`."""
    return ceil_div(n_symbols, BLOCK_SYMBOLS)


def code_lengths(counts: npt.NDArray[np.integer], limit_bits: int = MAX_CODE_BITS) -> Lengths:
    """Optimal code lengths [bits] under `limit_bits`, 0 for symbols that do not occur, 1 for a lone symbol.

    Args:
        counts: occurrences by symbol.
    """
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if len(used) > 1 << limit_bits:
        raise ValueError(f"{len(used)} symbols need codes longer than {limit_bits} bits")
    if len(used) == 1:
        lengths[used] = 1
    elif len(used) > 1:
        from dcsim.codec import kernels  # numba takes half a second to import: only those pay who need it

        order = used[np.argsort(counts[used], kind="stable")]
        lengths[order] = kernels.package_merge(counts[order].astype(np.int64), limit_bits)
    return lengths


def check_lengths(lengths: Lengths, n_symbols: int) -> None:
    """Refuse a table that is not a complete prefix code (Kraft sum 1) for a stream of `n_symbols`.

    Raises:
        MalformedError: what is wrong with the table.
    """
    used = lengths[lengths > 0].astype(np.int64)
    if n_symbols and not len(used):
        raise MalformedError("a Huffman stream with symbols has an empty code table")
    if len(used) == 1 and used[0] != 1:
        raise MalformedError("a lone symbol must have code length 1")
    if len(used) > 1 and (used.max() > MAX_CODE_BITS or int((1 << (MAX_CODE_BITS - used)).sum()) != 1 << MAX_CODE_BITS):
        raise MalformedError("Huffman code lengths break the Kraft equality")


def pack_lengths(lengths: Lengths) -> bytes:
    """A code table as 4-bit fields. Its length follows from the size of the alphabet."""
    return fixed_width.pack(lengths, LENGTH_FIELD_BITS)


def unpack_lengths(payload: bytes, n_alphabet: int) -> Lengths:
    """The table that `pack_lengths` wrote. Raises TruncatedError or MalformedError."""
    return fixed_width.unpack(payload, LENGTH_FIELD_BITS, n_alphabet).astype(np.uint8)


def packed_lengths_bytes(n_alphabet: int) -> int:
    """Size of a packed code table."""
    return bits_to_bytes(n_alphabet * LENGTH_FIELD_BITS)


def _block_starts(block_bits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Byte offset of every block and of the end: blocks start on bytes."""
    n_bytes = [bits_to_bytes(int(bits)) for bits in block_bits]
    return np.concatenate([[0], np.cumsum(n_bytes)]).astype(np.int64)


def _reversed_codes(lengths: Lengths) -> npt.NDArray[np.uint32]:
    """Canonical code of each symbol, mirrored so that its first bit is the lowest."""
    codes = np.zeros(len(lengths), np.uint32)
    code, previous = 0, 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        length = int(lengths[symbol])
        if length == 0:
            continue
        code <<= length - previous
        codes[symbol] = int(f"{code:0{length}b}"[::-1], 2)
        code, previous = code + 1, length
    return codes


def _decode_table(lengths: Lengths) -> tuple[Symbols, Lengths]:
    """Symbol and code length for every possible next `lengths.max()` bits."""
    width_bits = int(lengths.max())
    symbols = np.zeros(1 << width_bits, np.uint16)
    bits = np.zeros(1 << width_bits, np.uint8)
    codes = _reversed_codes(lengths)
    for symbol in np.flatnonzero(lengths):
        length = int(lengths[symbol])
        symbols[codes[symbol] :: 1 << length] = symbol
        bits[codes[symbol] :: 1 << length] = length
    return symbols, bits
