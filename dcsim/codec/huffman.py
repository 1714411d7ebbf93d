"""Canonical, length-limited Huffman codes in blocks that can be decoded alone.

Code lengths come from the package-merge algorithm (Larmore and Hirschberg, J. ACM 37(3), 1990), which is optimal under
the limit. Codes are canonical (ordered by length, then symbol) and written least significant bit first, first code bit
lowest. A full block of `BLOCK_SYMBOLS` is cut into `N_STREAMS` runs of equal length that a decoder reads side by side;
what is left at the end is one run. Every run starts on a byte.

Degenerate alphabets: an empty stream has no code; a stream with one distinct symbol takes no bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.codec import code_table
from dcsim.codec.fixed_width import SPARE_BYTES
from dcsim.errors import MalformedError, TruncatedError
from dcsim.units import BITS_PER_BYTE, bits_to_bytes

BLOCK_SYMBOLS = 1 << 16
N_STREAMS = 8
MAX_CODE_BITS = 16  # an alphabet of 2**16 gaps or codes needs no more
DEFAULT_LIMIT_BITS = 14  # four such codes fit into eight bytes, so coding needs no branch
MULTI_BITS = 12  # 2**12 entries of 8 bytes stay in a first-level cache
MULTI_MEAN_BITS = 5.5  # measured: from here on a look-up holds too few symbols to pay for its wider entry

Lengths = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.integer]  # uint8 or uint16


@dataclass(frozen=True, eq=False)
class HuffmanStream:
    """An encoded stream.

    Attributes:
        lengths: code length of every symbol of the alphabet [bits], 0 for those that do not occur.
        run_bytes: bytes of every run, in order.
        payload: the runs, uint8.
    """

    n_symbols: int
    lengths: Lengths
    run_bytes: npt.NDArray[np.int64]
    payload: npt.NDArray[np.uint8]


def encode(symbols: Symbols, n_alphabet: int | None = None, limit_bits: int | None = None) -> HuffmanStream:
    """Encode a 1-D array of uint8 or uint16 symbols.

    Args:
        n_alphabet: size of the alphabet; by default it ends at the largest symbol that occurs.
        limit_bits: longest code allowed, at most 16; by default the larger of 14 and what the alphabet needs.

    Raises:
        ValueError: the alphabet needs longer codes than the limit, or the limit is above 16.
    """
    if n_alphabet is None:
        n_alphabet = int(symbols.max()) + 1 if len(symbols) else 0
    if limit_bits is not None and limit_bits > MAX_CODE_BITS:
        raise ValueError(f"codes of {limit_bits} bits cannot be decoded, at most {MAX_CODE_BITS}")
    from dcsim.codec import huffman_kernels as kernels  # numba takes half a second to import: only coders pay for it

    counts = count(symbols, n_alphabet)
    lengths = code_lengths(counts, limit_bits)
    if np.count_nonzero(lengths) < 2:
        return HuffmanStream(len(symbols), lengths, np.zeros(n_runs(len(symbols)), np.int64), np.zeros(0, np.uint8))
    longest = int(lengths.max())
    run_bytes = np.empty(n_runs(len(symbols)), np.int64)
    n_bits = int(counts @ lengths.astype(np.int64))
    payload = np.empty(bits_to_bytes(n_bits) + len(run_bytes) + SPARE_BYTES, np.uint8)
    n_bytes = kernels.encode_blocks(symbols, _packed_codes(lengths), longest, BLOCK_SYMBOLS, payload, run_bytes)
    return HuffmanStream(len(symbols), lengths, run_bytes, payload[:n_bytes])


def constant(n_symbols: int) -> HuffmanStream:
    """What `encode` gives for `n_symbols` zeros of an alphabet of one."""
    lengths = np.full(1, min(1, n_symbols), np.uint8)
    return HuffmanStream(n_symbols, lengths, np.zeros(n_runs(n_symbols), np.int64), np.zeros(0, np.uint8))


def decode(stream: HuffmanStream, first_block: int = 0, n_blocks: int | None = None) -> Symbols:
    """The symbols of `stream`, or of some of its blocks: uint8 where the alphabet allows it, else uint16.

    Raises:
        MalformedError: the code lengths are not a complete prefix code, or a run does not end where it says.
        TruncatedError: the payload is shorter than its runs.
    """
    check_lengths(stream.lengths, stream.n_symbols)
    if len(stream.run_bytes) != n_runs(stream.n_symbols):
        raise MalformedError(f"{stream.n_symbols} symbols do not make {len(stream.run_bytes)} runs")
    ends, n_bytes = np.cumsum(stream.run_bytes), len(stream.payload)
    within = ((stream.run_bytes >= 0) & (stream.run_bytes <= n_bytes)).all()  # or their sum may wrap around
    if not within or (ends[-1] if len(ends) else 0) != n_bytes:
        raise TruncatedError(f"Huffman runs need {sum(stream.run_bytes.tolist())} bytes, the stream has {n_bytes}")
    first = first_block * BLOCK_SYMBOLS
    end = stream.n_symbols if n_blocks is None else min(stream.n_symbols, first + n_blocks * BLOCK_SYMBOLS)
    dtype: type[np.unsignedinteger] = np.uint8 if len(stream.lengths) <= 1 << BITS_PER_BYTE else np.uint16
    if np.count_nonzero(stream.lengths) < 2:
        if len(stream.payload):
            raise MalformedError("a stream with one distinct symbol has no bits, yet there are some")
        return np.full(end - first, np.argmax(stream.lengths) if len(stream.lengths) else 0, dtype)
    symbols: Symbols = np.empty(end - first, dtype)
    bad = _decode_from(stream, ends, first_block * N_STREAMS, symbols)
    if bad >= 0:
        raise MalformedError(f"Huffman run {bad} does not end where its length says")
    return symbols


def _decode_from(stream: HuffmanStream, ends: npt.NDArray[np.int64], first_run: int, symbols: Symbols) -> int:
    """Fill `symbols` from `first_run` on; -1, or the first run that does not end where it says."""
    from dcsim.codec import huffman_kernels as kernels

    longest = int(stream.lengths.max())
    narrow = symbols.dtype == np.uint8
    in_rows = narrow and longest <= DEFAULT_LIMIT_BITS and len(symbols) >= BLOCK_SYMBOLS
    several = in_rows and BITS_PER_BYTE * len(stream.payload) <= MULTI_MEAN_BITS * stream.n_symbols
    single = np.empty(1 << (max(longest, MULTI_BITS) if several else longest), np.uint16 if narrow else np.uint32)
    kernels.single_table(_packed_codes(stream.lengths), single)
    multi = kernels.multi_table(single) if several else np.zeros(0, np.uint64)

    def decode_part(payload: npt.NDArray[np.uint8], starts_at: int, run: int, part: Symbols) -> int:
        n_in_blocks = len(part) // BLOCK_SYMBOLS * BLOCK_SYMBOLS
        part_ends = ends - starts_at
        if in_rows:
            bad = kernels.decode_blocks(payload, part_ends, run, single, multi, BLOCK_SYMBOLS, part[:n_in_blocks])
        else:
            run_symbols = BLOCK_SYMBOLS // N_STREAMS
            bad = kernels.decode_runs(payload, part_ends, run, single, run_symbols, part[:n_in_blocks])
        if bad < 0 and n_in_blocks < len(part):
            run += n_in_blocks // BLOCK_SYMBOLS * N_STREAMS
            bad = kernels.decode_runs(payload, part_ends, run, single, BLOCK_SYMBOLS, part[n_in_blocks:])
        return int(bad)

    # reads are eight bytes wide, so the blocks at the very end are decoded from a copy with spare bytes
    block_ends = ends[first_run + N_STREAMS - 1 :: N_STREAMS][: len(symbols) // BLOCK_SYMBOLS]
    n_inside = int(np.searchsorted(block_ends, len(stream.payload) - SPARE_BYTES, side="right"))
    split, run = n_inside * BLOCK_SYMBOLS, first_run + n_inside * N_STREAMS
    bad = decode_part(stream.payload, 0, first_run, symbols[:split]) if split else -1
    if bad >= 0 or split == len(symbols):
        return bad
    copied_from = int(ends[run - 1]) if run else 0
    rest = np.concatenate([stream.payload[copied_from:], np.zeros(SPARE_BYTES, np.uint8)])
    return decode_part(rest, copied_from, run, symbols[split:])


def n_runs(n_symbols: int) -> int:
    """Runs of a stream of `n_symbols`."""
    return n_symbols // BLOCK_SYMBOLS * N_STREAMS + (n_symbols % BLOCK_SYMBOLS > 0)


def block_bytes(stream: HuffmanStream) -> npt.NDArray[np.int64]:
    """Bytes of every block."""
    n_full = stream.n_symbols // BLOCK_SYMBOLS * N_STREAMS
    full = stream.run_bytes[:n_full].reshape(-1, N_STREAMS).sum(axis=1)
    return np.concatenate([full, stream.run_bytes[n_full:]])


def count(symbols: Symbols, n_alphabet: int) -> npt.NDArray[np.int64]:
    """Occurrences of each symbol."""
    from dcsim.codec import huffman_kernels as kernels

    counts: npt.NDArray[np.int64] = kernels.count_symbols(symbols, n_alphabet)
    return counts


def code_lengths(counts: npt.NDArray[np.integer], limit_bits: int | None = None) -> Lengths:
    """Optimal code lengths [bits] under `limit_bits`, 0 for symbols that do not occur, 1 for a lone symbol.

    Args:
        counts: occurrences by symbol.
        limit_bits: by default the larger of 14 and what the alphabet needs; 63 is as good as none.

    Raises:
        ValueError: more symbols occur than codes of `limit_bits` exist.
    """
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if limit_bits is None:
        limit_bits = max(DEFAULT_LIMIT_BITS, (len(used) - 1).bit_length())
    if len(used) > 1 << limit_bits:
        raise ValueError(f"{len(used)} symbols need codes longer than {limit_bits} bits")
    if len(used) == 1:
        lengths[used] = 1
    elif len(used) > 1:
        from dcsim.codec import huffman_kernels as kernels

        order = used[np.argsort(counts[used], kind="stable")]
        lengths[order] = kernels.package_merge(counts[order].astype(np.int64), limit_bits)
    return lengths


def size_bits(counts: npt.NDArray[np.integer]) -> int:
    """Bits of a stream with these counts and of its table, without the padding of its runs."""
    lengths = code_lengths(counts)
    n_table_bits = BITS_PER_BYTE * len(code_table.pack(lengths))
    return n_table_bits + (int(counts @ lengths.astype(np.int64)) if np.count_nonzero(lengths) > 1 else 0)


def check_lengths(lengths: Lengths, n_symbols: int) -> None:
    """Refuse a table that is not a complete prefix code (Kraft sum 1) for a stream of `n_symbols`.

    Raises:
        MalformedError: what is wrong with the table.
    """
    used = lengths[np.flatnonzero(lengths)].astype(np.int64)
    if n_symbols and not len(used):
        raise MalformedError("a Huffman stream with symbols has an empty code table")
    if len(used) == 1 and used[0] != 1:
        raise MalformedError("a lone symbol must have code length 1")
    if len(used) > 1 and (used.max() > MAX_CODE_BITS or int((1 << (MAX_CODE_BITS - used)).sum()) != 1 << MAX_CODE_BITS):
        raise MalformedError("Huffman code lengths break the Kraft equality")


def _packed_codes(lengths: Lengths) -> npt.NDArray[np.uint64]:
    """Canonical code << 8 | length of each symbol; the code mirrored so that its first bit is the lowest."""
    longest = int(lengths.max())
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    ordered = lengths[order].astype(np.uint64)
    # a code, followed by zeros up to `longest` bits, is the sum of the shares of the code space before it
    shares = np.uint64(1) << (np.uint64(longest) - ordered)
    left_aligned = np.cumsum(shares) - shares
    mirrored = np.zeros(len(order), np.uint64)
    for bit in range(longest):
        mirrored |= ((left_aligned >> np.uint64(bit)) & np.uint64(1)) << np.uint64(longest - 1 - bit)
    packed = np.zeros(len(lengths), np.uint64)
    packed[order] = mirrored << np.uint64(8) | ordered
    return packed
