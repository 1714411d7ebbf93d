"""The inner loops of the Huffman codec, compiled by numba. Imported only where a stream is coded or decoded."""

import numpy as np
from numba import njit

from dcsim.codec.bit_kernels import U, leading_zeros, store64, window

N_STREAMS = 8
#: symbols decoded per eight bytes read: 4 x 14 bits, 7 bits that were consumed before, and the sentinel make 64
SYMBOLS_PER_READ = 4
MAX_FAST_BITS = 14
SENTINEL = np.uint64(1 << 63)


@njit(cache=True)
def count_symbols(symbols, n_alphabet):
    """Occurrences of each symbol. Four tables, so that a run of one symbol does not wait for its own counter."""
    counts = np.zeros((4, n_alphabet), np.int64)
    n_quads = len(symbols) // 4 * 4
    for i in range(0, n_quads, 4):
        counts[0, symbols[i]] += 1
        counts[1, symbols[i + 1]] += 1
        counts[2, symbols[i + 2]] += 1
        counts[3, symbols[i + 3]] += 1
    for i in range(n_quads, len(symbols)):
        counts[0, symbols[i]] += 1
    return counts.sum(0)


@njit(cache=True)
def package_merge(counts, limit_bits):
    """Code lengths of symbols sorted by ascending count. O(n * limit)."""
    n = len(counts)
    is_item = np.zeros((limit_bits, 2 * n), np.bool_)
    weights = np.empty(2 * n, np.int64)
    merged = np.empty(2 * n, np.int64)
    n_weights = 0
    for level in range(limit_bits):
        n_packages = n_weights // 2
        item = package = 0
        for out in range(n + n_packages):
            take_item = package == n_packages
            if not take_item and item < n:
                take_item = counts[item] <= weights[2 * package] + weights[2 * package + 1]
            if take_item:
                merged[out] = counts[item]
                item += 1
            else:
                merged[out] = weights[2 * package] + weights[2 * package + 1]
                package += 1
            is_item[level, out] = take_item
        n_weights = n + n_packages
        weights, merged = merged, weights
    lengths = np.zeros(n, np.uint8)
    n_take = 2 * n - 2
    for level in range(limit_bits - 1, -1, -1):
        n_items = 0
        for i in range(n_take):
            n_items += is_item[level, i]
        for i in range(n_items):
            lengths[i] += 1
        n_take = 2 * (n_take - n_items)
    return lengths


@njit(cache=True)
def encode_run(symbols, first, end, codes, payload, at):
    """Write symbols[first:end] from byte `at` on; the byte after the last. `codes` = code << 8 | length, <= 14 bits.

    Eight bytes are stored every time, whole ones or not, and the pointer moves by the whole ones: no branch depends on
    the data.
    """
    pending, n_pending = U(0), U(0)
    i, quads_end = U(first), U(first + (end - first) // 4 * 4)
    while i < quads_end:
        a, b, c, d = codes[symbols[i]], codes[symbols[i + U(1)]], codes[symbols[i + U(2)]], codes[symbols[i + U(3)]]
        n_ab = (a & U(63)) + (b & U(63))
        ab = (a >> U(8)) | ((b >> U(8)) << (a & U(63)))
        cd = (c >> U(8)) | ((d >> U(8)) << (c & U(63)))
        pending |= (ab | (cd << n_ab)) << n_pending
        n_pending += n_ab + (c & U(63)) + (d & U(63))
        store64(payload, at, pending)
        at += n_pending >> U(3)
        pending = (pending >> (n_pending & U(56))) if n_pending < U(64) else U(0)
        n_pending &= U(7)
        i += U(4)
    return encode_tail(symbols, i, U(end), codes, payload, at, pending, n_pending)


@njit(cache=True)
def encode_tail(symbols, i, end, codes, payload, at, pending, n_pending):
    """The same, one symbol at a time: for the last three, and for codes of any length."""
    while i < end:
        code = codes[symbols[i]]
        pending |= (code >> U(8)) << n_pending
        n_pending += code & U(63)
        store64(payload, at, pending)
        at += n_pending >> U(3)
        pending >>= n_pending & U(56)
        n_pending &= U(7)
        i += U(1)
    if n_pending > U(0):
        store64(payload, at, pending)
        at += U(1)
    return at


@njit(cache=True)
def encode_blocks(symbols, codes, longest, block_symbols, payload, run_bytes):
    """Encode every run, fill in its bytes, and return the bytes of all. A full block is 8 runs, the rest is one."""
    run = 0
    at = U(0)
    n_full = len(symbols) // block_symbols * block_symbols
    run_symbols = block_symbols // N_STREAMS
    first = 0
    while first < len(symbols):
        end = first + run_symbols if first < n_full else len(symbols)
        start = at
        if longest <= MAX_FAST_BITS:
            at = encode_run(symbols, first, end, codes, payload, at)
        else:
            at = encode_tail(symbols, U(first), U(end), codes, payload, at, U(0), U(0))
        run_bytes[run] = at - start
        run += 1
        first = end
    return at


@njit(cache=True)
def single_table(codes, table):
    """Fill `table` with symbol << 8 | length for every possible next bits. `codes` as in encode_run."""
    for symbol in range(len(codes)):
        length = np.int64(codes[symbol] & U(63))
        if length:
            for key in range(np.int64(codes[symbol] >> U(8)), len(table), 1 << length):
                table[key] = symbol << 8 | length


@njit(cache=True)
def multi_table(single):
    """bits << 56 | n << 48 | up to six 8-bit symbols that the bits of the index hold entirely."""
    width_bits = 0
    while 1 << width_bits < len(single):
        width_bits += 1
    table = np.zeros(len(single), np.uint64)
    for key in range(len(single)):
        entry, used, n = U(0), 0, 0
        while n < 6:
            first = single[key >> used]
            if used + (first & 255) > width_bits:
                break
            entry |= U(first >> 8) << U(8 * n)
            used += first & 255
            n += 1
        table[key] = entry | (U(n) << U(48)) | (U(used) << U(56))
    return table


@njit(cache=True)
def _four(payload, bit, last, single, mask, symbols, i):
    """Four symbols of one run; the sentinel's way down counts the bits."""
    bits = window(payload, bit, last) | SENTINEL
    a = U(single[bits & mask])
    bits >>= a & U(63)
    b = U(single[bits & mask])
    bits >>= b & U(63)
    c = U(single[bits & mask])
    bits >>= c & U(63)
    d = U(single[bits & mask])
    bits >>= d & U(63)
    symbols[i] = a >> U(8)
    symbols[i + U(1)] = b >> U(8)
    symbols[i + U(2)] = c >> U(8)
    symbols[i + U(3)] = d >> U(8)
    return bit + leading_zeros(bits)


@njit(cache=True)
def decode_run(payload, bit, last, single, mask, symbols, i, end):
    """Fill symbols[i:end] from one run; the bit after the last."""
    if mask < U(1 << MAX_FAST_BITS):
        while i + U(4) <= end:
            bit = _four(payload, bit, last, single, mask, symbols, i)
            i += U(4)
    while i < end:
        entry = U(single[window(payload, bit, last) & mask])
        symbols[i] = entry >> U(8)
        bit += entry & U(255)
        i += U(1)
    return bit


@njit(cache=True)
def decode_single(payload, bits, last, single, mask, symbols, first, run_symbols):
    """A full block, one symbol a look-up: 8 independent runs keep the processor busy. Fills in each run's last bit."""
    n = U(run_symbols)
    b0, b1, b2, b3, b4, b5, b6, b7 = bits[0], bits[1], bits[2], bits[3], bits[4], bits[5], bits[6], bits[7]
    i, end = U(first), U(first) + n
    while i < end:
        b0 = _four(payload, b0, last, single, mask, symbols, i)
        b1 = _four(payload, b1, last, single, mask, symbols, i + n)
        b2 = _four(payload, b2, last, single, mask, symbols, i + U(2) * n)
        b3 = _four(payload, b3, last, single, mask, symbols, i + U(3) * n)
        b4 = _four(payload, b4, last, single, mask, symbols, i + U(4) * n)
        b5 = _four(payload, b5, last, single, mask, symbols, i + U(5) * n)
        b6 = _four(payload, b6, last, single, mask, symbols, i + U(6) * n)
        b7 = _four(payload, b7, last, single, mask, symbols, i + U(7) * n)
        i += U(4)
    bits[0], bits[1], bits[2], bits[3], bits[4], bits[5], bits[6], bits[7] = b0, b1, b2, b3, b4, b5, b6, b7


@njit(cache=True)
def _several(payload, bit, last, table, mask, symbols, i):
    """Four look-ups of up to six symbols each. Eight bytes are stored each time; later symbols write over the rest."""
    bits = window(payload, bit, last) | SENTINEL
    for _ in range(SYMBOLS_PER_READ):
        entry = table[bits & mask]
        store64(symbols, i, entry)
        i += (entry >> U(48)) & U(255)
        bits >>= entry >> U(56)
    return bit + leading_zeros(bits), i


@njit(cache=True)
def decode_multi(payload, bits, last, table, single, mask, symbols, first, run_symbols):
    """A full block of 8-bit symbols, several symbols a look-up: faster where codes are short."""
    n, o = U(run_symbols), U(first)
    b0, b1, b2, b3, b4, b5, b6, b7 = bits[0], bits[1], bits[2], bits[3], bits[4], bits[5], bits[6], bits[7]
    e0, e1, e2, e3 = o + n, o + U(2) * n, o + U(3) * n, o + U(4) * n
    e4, e5, e6, e7 = o + U(5) * n, o + U(6) * n, o + U(7) * n, o + U(8) * n
    i0, i1, i2, i3, i4, i5, i6, i7 = o, e0, e1, e2, e3, e4, e5, e6
    while True:
        rest = min(e0 - i0, e1 - i1, e2 - i2, e3 - i3, e4 - i4, e5 - i5, e6 - i6, e7 - i7)
        if rest < U(32):  # a round takes up to 24 symbols of each run, and its last store reaches 8 bytes on
            break
        for _ in range((rest - U(8)) // U(24)):
            b0, i0 = _several(payload, b0, last, table, mask, symbols, i0)
            b1, i1 = _several(payload, b1, last, table, mask, symbols, i1)
            b2, i2 = _several(payload, b2, last, table, mask, symbols, i2)
            b3, i3 = _several(payload, b3, last, table, mask, symbols, i3)
            b4, i4 = _several(payload, b4, last, table, mask, symbols, i4)
            b5, i5 = _several(payload, b5, last, table, mask, symbols, i5)
            b6, i6 = _several(payload, b6, last, table, mask, symbols, i6)
            b7, i7 = _several(payload, b7, last, table, mask, symbols, i7)
    bits[0] = decode_run(payload, b0, last, single, mask, symbols, i0, e0)
    bits[1] = decode_run(payload, b1, last, single, mask, symbols, i1, e1)
    bits[2] = decode_run(payload, b2, last, single, mask, symbols, i2, e2)
    bits[3] = decode_run(payload, b3, last, single, mask, symbols, i3, e3)
    bits[4] = decode_run(payload, b4, last, single, mask, symbols, i4, e4)
    bits[5] = decode_run(payload, b5, last, single, mask, symbols, i5, e5)
    bits[6] = decode_run(payload, b6, last, single, mask, symbols, i6, e6)
    bits[7] = decode_run(payload, b7, last, single, mask, symbols, i7, e7)


@njit(cache=True)
def decode_blocks(payload, ends, first_run, single, multi, block_symbols, symbols):
    """Fill 8-bit `symbols` with codes of at most 14 bits; -1, or the first run that does not use up its bytes.

    No length in the stream is trusted: reads stay inside `payload`, and writes are counted by symbols. A run that ends
    elsewhere than it says is found out at its end.
    """
    mask, mask_multi = U(len(single) - 1), U(len(multi) - 1)
    run_symbols = block_symbols // N_STREAMS
    last = U(len(payload) - 8)
    bits = np.empty(N_STREAMS, np.uint64)
    for block in range(len(symbols) // block_symbols):
        run = first_run + block * N_STREAMS
        for s in range(N_STREAMS):
            bits[s] = U(ends[run + s - 1] if run + s else 0) << U(3)
        first = block * block_symbols
        if len(multi):
            decode_multi(payload, bits, last, multi, single, mask_multi, symbols, first, run_symbols)
        else:
            decode_single(payload, bits, last, single, mask, symbols, first, run_symbols)
        for s in range(N_STREAMS):
            if not _ends_well(payload, bits[s], U(ends[run + s]) << U(3)):
                return run + s
    return -1


@njit(cache=True)
def decode_runs(payload, ends, first_run, single, run_symbols, symbols):
    """The same run by run, for symbols and codes of any width: a block's rest, and alphabets above 256."""
    mask, last = U(len(single) - 1), U(len(payload) - 8)
    run = first_run
    for first in range(0, len(symbols), run_symbols):
        end = min(first + run_symbols, len(symbols))
        bit = U(ends[run - 1] if run else 0) << U(3)
        bit = decode_run(payload, bit, last, single, mask, symbols, U(first), U(end))
        if not _ends_well(payload, bit, U(ends[run]) << U(3)):
            return run
        run += 1
    return -1


@njit(cache=True)
def _ends_well(payload, bit, end):
    """Whether a run that was decoded up to `bit` ends in the byte before `end`, and with zeros."""
    n_spare = end - bit
    return bit <= end and n_spare < U(8) and (n_spare == U(0) or payload[(end - U(1)) >> U(3)] >> (U(8) - n_spare) == 0)
