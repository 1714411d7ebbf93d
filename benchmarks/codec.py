"""How fast and small are Huffman coding and the relative index beside peers? `python -m benchmarks.codec`, a minute.

Encoding is all of it: counting, code lengths, codes, bits. Decoding too: tables, symbols, the check of every run.
Alphabets are clipped, rounded Gaussians: 32 symbols of 3.66 bits and 256 symbols of 6.66 bits entropy. Peers that are
not installed (`pip install bitarray zstandard`) are named and left out.
"""

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.race import race, version
from dcsim.codec import huffman, relative_index

N_SYMBOLS = 8_000_000
N_ROUNDS = 9
ALPHABETS = {"5-bit": (32, 3.0), "8-bit": (256, 24.0)}
Symbols = npt.NDArray[np.uint8]


def symbols_of(n_alphabet: int, deviation: float) -> Symbols:
    drawn = np.random.default_rng(0).normal(n_alphabet // 2, deviation, N_SYMBOLS)
    return np.clip(np.round(drawn), 0, n_alphabet - 1).astype(np.uint8)


def report(work: str, seconds: dict[str, float], asked: dict[str, float], n_bytes: int) -> None:
    """A line for each peer: its speed, ours, and how many times as fast that is."""
    own = seconds.pop("dcsim")
    for peer, taken in seconds.items():
        bar = f"asked: {asked[peer]:g}" if peer in asked else ""
        print(
            f"{work:<22} {n_bytes / own / 1e6:7,.0f} MB/s   {peer:<22} {n_bytes / taken / 1e6:7,.1f} MB/s   "
            f"{taken / own:6.2f} x   {bar}",
            flush=True,
        )


def deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(raw) + packer.flush()


def against_zlib(name: str, symbols: Symbols) -> None:
    raw, stream = symbols.tobytes(), huffman.encode(symbols)
    packed = deflated(raw)
    encoders: dict[str, Callable[[], object]] = {
        "dcsim": lambda: huffman.encode(symbols),
        "zlib": lambda: deflated(raw),
    }
    report(f"encode {name}", race(encoders, N_ROUNDS), {"zlib": 5}, N_SYMBOLS)
    decoders: dict[str, Callable[[], object]] = {
        "dcsim": lambda: huffman.decode(stream),
        "zlib": lambda: zlib.decompress(packed, -15),
    }
    asked = {"zlib": 4 if name == "5-bit" else 3}
    if version("zstandard"):
        import zstandard

        frame = zstandard.ZstdCompressor(level=1).compress(raw)
        decoders["zstd -1"] = lambda: zstandard.ZstdDecompressor().decompress(frame)
        asked["zstd -1"] = 0.8
    report(f"decode {name}", race(decoders, N_ROUNDS), asked, N_SYMBOLS)


def against_bitarray(name: str, symbols: Symbols) -> None:
    from bitarray import bitarray
    from bitarray.util import canonical_decode, canonical_huffman

    values = symbols.tolist()
    stream = huffman.encode(symbols)

    def encode() -> bitarray:
        counts = dict(enumerate(np.bincount(symbols).tolist()))
        codes, _, _ = canonical_huffman({symbol: count for symbol, count in counts.items() if count})
        bits = bitarray()
        bits.encode(codes, values)
        return bits

    counts = np.bincount(symbols)
    _, lengths, order = canonical_huffman({s: int(c) for s, c in enumerate(counts) if c})
    bits = encode()
    encoders: dict[str, Callable[[], object]] = {"dcsim": lambda: huffman.encode(symbols), "bitarray": encode}
    report(f"encode {name}", race(encoders, 5), {"bitarray": 15}, N_SYMBOLS)
    decoders: dict[str, Callable[[], object]] = {
        "dcsim": lambda: huffman.decode(stream),
        "bitarray": lambda: list(canonical_decode(bits, lengths, order)),
    }
    report(f"decode {name}", race(decoders, 5), {"bitarray": 20}, N_SYMBOLS)
    unlimited, limited = (int(counts @ huffman.code_lengths(counts, limit).astype(np.int64)) for limit in (63, 14))
    print(
        f"size {name}: bitarray {len(bits):,} bits, dcsim without a limit {unlimited - len(bits):+,}, with 14 bits "
        f"{100 * (limited / len(bits) - 1):+.4f} % (asked: 0, at most 0.1 %)"
    )


def against_numpy() -> None:
    """AlexNet's fc6, 37.7 million weights at 9 %, 4-bit gaps: from the dense array to gaps and entries."""
    weights = np.random.default_rng(0).standard_normal(37_748_736, np.float32)
    weights[np.abs(weights) < 1.695] = 0
    gap_bits = 4

    def own() -> tuple[object, object]:
        nonzeros = relative_index.find(weights)
        return relative_index.encode(nonzeros.skips, nonzeros.values, gap_bits)

    def vectorised() -> tuple[object, object]:
        positions = np.flatnonzero(weights)
        skips = np.diff(positions, prepend=-1) - 1
        entry_of = np.cumsum((skips >> gap_bits) + 1) - 1
        gaps = np.full(entry_of[-1] + 1, (1 << gap_bits) - 1, np.uint8)
        gaps[entry_of] = skips & ((1 << gap_bits) - 1)
        values = np.zeros(len(gaps), np.float32)
        values[entry_of] = weights[positions]
        return gaps, values

    assert all(np.array_equal(a, b) for a, b in zip(own(), vectorised(), strict=True))
    seconds = race({"dcsim": own, f"numpy {np.__version__}": vectorised}, 5)
    report("relative index, 9 %", seconds, {f"numpy {np.__version__}": 3}, weights.nbytes)


def main() -> None:
    print(f"{N_SYMBOLS:,} symbols, one thread; zlib {zlib.ZLIB_RUNTIME_VERSION}, zstandard {version('zstandard')}")
    for name, alphabet in ALPHABETS.items():
        symbols = symbols_of(*alphabet)
        against_zlib(name, symbols)
        if version("bitarray"):
            against_bitarray(name, symbols)
        else:
            print("bitarray is not installed: no comparison with it")
    against_numpy()


if __name__ == "__main__":
    main()
