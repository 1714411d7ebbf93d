"""The inner loops of the Huffman codec, compiled by numba. Imported only where a stream is coded or decoded."""

import numpy as np
from numba import njit


@njit(cache=True)
def package_merge(counts, limit_bits):  # type: ignore[no-untyped-def]  # numba infers
    """Code lengths of symbols sorted by ascending count. O(n * limit)."""
    n = len(counts)
    is_item = np.zeros((limit_bits, 2 * n), np.bool_)
    n_merged = np.zeros(limit_bits, np.int64)
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
        n_merged[level] = n_weights
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
def encode_blocks(symbols, codes, lengths, block_symbols):  # type: ignore[no-untyped-def]  # numba infers
    """Bytes of all blocks and the bits of each."""
    n_blocks = (len(symbols) + block_symbols - 1) // block_symbols
    block_bits = np.zeros(n_blocks, np.int64)
    n_bytes = 0
    for block in range(n_blocks):
        for i in range(block * block_symbols, min((block + 1) * block_symbols, len(symbols))):
            block_bits[block] += lengths[symbols[i]]
        n_bytes += (block_bits[block] + 7) >> 3
    payload = np.zeros(n_bytes, np.uint8)
    at = 0
    for block in range(n_blocks):
        pending = np.uint64(0)
        n_pending = np.uint64(0)
        for i in range(block * block_symbols, min((block + 1) * block_symbols, len(symbols))):
            symbol = symbols[i]
            pending |= np.uint64(codes[symbol]) << n_pending
            n_pending += np.uint64(lengths[symbol])
            while n_pending >= np.uint64(8):
                payload[at] = np.uint8(pending & np.uint64(255))
                at += 1
                pending >>= np.uint64(8)
                n_pending -= np.uint64(8)
        if n_pending > np.uint64(0):
            payload[at] = np.uint8(pending)
            at += 1
    return payload, block_bits


@njit(cache=True)
def decode_blocks(payload, block_bits, starts, table_symbols, table_lengths, symbols, block_symbols):  # type: ignore[no-untyped-def]  # numba infers
    """Fill `symbols`; -1, or the number of the first block that does not use up exactly its bits.

    `payload` carries 8 spare bytes, and no read starts past a block's end, so every 8-byte window exists.
    """
    mask = np.uint64(len(table_symbols) - 1)
    for block in range(len(block_bits)):
        bit = 0
        end = block_bits[block]
        window = np.uint64(0)
        for i in range(block * block_symbols, min((block + 1) * block_symbols, len(symbols))):
            if bit >= end:
                return block
            first = starts[block] + (bit >> 3)
            window = (
                np.uint64(payload[first])
                | (np.uint64(payload[first + 1]) << np.uint64(8))
                | (np.uint64(payload[first + 2]) << np.uint64(16))
            )
            key = (window >> np.uint64(bit & 7)) & mask
            symbols[i] = table_symbols[key]
            bit += table_lengths[key]
        if bit != end:
            return block
    return -1
