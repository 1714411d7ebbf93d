"""Weights drawn at a layer's density and packed by the codec: the bytes that a file of such a layer has.

Every weight is kept with the same probability, independently of the others, so the zeros skipped between two nonzeros
are geometrically distributed and can be drawn alone: no dense array is made. Codes are as frequent as a Gaussian over
equally spaced centroids has them, as wide as makes their mean Huffman length the stated one, and none is left out;
which weight has which is drawn. Real masks are more clustered, as the tables of Deep Compression show: they need fewer
fillers, and their gaps code shorter.

Sizes are those of `pack_tensor`: a codebook of 2^code_bits - 1 values, fp16, code tables and run lengths. The papers
count a codebook of 2^code_bits values, fp32, and no tables.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dcsim.artifact import VARIANTS, Layout, StoredTensor, Variant
from dcsim.artifact.packing import Shared, pack_sparse
from dcsim.codec import huffman, relative_index
from dcsim.codec.relative_index import Nonzeros
from dcsim.tables import LinearSpec, WeightedSpec
from dcsim.traces.stored import StoredWeight, plain_weight

#: assumption where no mean length is stated: share of the code width that is left after Huffman coding. In Deep
#: Compression, Tables 4 and 5, it is 0.53 to 0.85, median 0.7
USUAL_HUFFMAN_SHARE = 0.7
STEPS_AT_ONCE = 1 << 18  # gaps drawn at a time, so that 64-bit numbers are never many
LOG_WIDTHS = math.log(0.1), math.log(1e5)  # of the Gaussian, in steps of the codebook: all in one, all the same
N_HALVINGS = 40

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DrawnWeight:
    """A layer's weights as they lie in the file of each variant, how many are not zero, and which.

    `bitmap` has N x K flags, eight to a byte, lowest bit first.
    """

    n_nonzero: int
    bitmap: bytes
    stored: Mapping[Variant, StoredWeight]


@lru_cache(maxsize=1024)  # every variant asks for the same weights
def drawn_weight(layer: WeightedSpec, seed: int) -> DrawnWeight:
    """The layer's weights, drawn from the network's seed and the layer's name; each variant the smallest it permits."""
    nonzeros, shared = draw(layer, seed)
    smallest = plain_weight(weight_name(layer), layer.n_weights)
    stored: dict[Variant, StoredWeight] = {"dense": smallest}
    for variant in VARIANTS[1:]:
        found = StoredWeight.of(pack(layer, variant, nonzeros, shared))
        smallest = min(smallest, found, key=lambda weight: weight.n_bytes)
        stored[variant] = smallest
    return DrawnWeight(len(nonzeros.skips), _bitmap(layer.n_weights, nonzeros), stored)


def _bitmap(n_weights: int, nonzeros: Nonzeros) -> bytes:
    places = np.cumsum(nonzeros.skips, dtype=np.int64)
    places += np.arange(len(places))
    flags = np.zeros(n_weights, np.bool_)
    flags[places] = True
    return np.packbits(flags, bitorder="little").tobytes()


@lru_cache(maxsize=1024)
def drawn_columns(layer: LinearSpec, seed: int) -> tuple[int, ...]:
    """1 for each input that is not zero, else 0: as many as the density says, each as likely as any other."""
    generator = np.random.default_rng([seed, *layer.name.encode(), *b".inputs"])
    columns = np.zeros(layer.n_inputs, np.int64)
    columns[: round(layer.n_inputs * layer.activation_density)] = 1
    generator.shuffle(columns)
    return tuple(columns.tolist())


def weight_name(layer: WeightedSpec) -> str:
    """What a layer's weights are called in a file."""
    return f"{layer.name}.weight"


def pack(layer: WeightedSpec, variant: Variant, nonzeros: Nonzeros, shared: Shared) -> StoredTensor:
    """What was drawn in the encoding named as the variant, which is any but `dense`."""
    assert variant != "dense"
    name, shape = weight_name(layer), layer.weight_shape
    return pack_sparse(name, shape, variant, Layout(), nonzeros, shared, gap_bits=layer.gap_bits)


def draw(layer: WeightedSpec, seed: int) -> tuple[Nonzeros, Shared]:
    """Which weights are not zero, and which of the shared values each has."""
    generator = np.random.default_rng([seed, *layer.name.encode()])
    skips = draw_skips(layer.n_weights, layer.weight_density, generator)
    n_fillers = 0 if layer.gap_bits == "auto" else relative_index.n_entries(skips, layer.gap_bits) - len(skips)
    places = centroid_places(layer.code_bits)
    counts = code_counts(places, len(skips), n_fillers, mean_code_bits(layer))
    occurring = np.flatnonzero(counts)
    kind: type[np.unsignedinteger] = np.uint8 if len(occurring) < 1 << 8 else np.uint16
    codes = np.repeat(np.arange(1, len(occurring) + 1).astype(kind), counts[occurring])
    generator.shuffle(codes)
    codebook = np.concatenate([[0], places[occurring] / (1 << layer.code_bits)]).astype(np.float32)
    return Nonzeros(codebook[codes], skips, np.array([len(skips)])), Shared(codebook, codes)


def mean_code_bits(layer: WeightedSpec) -> float:
    """Mean length of a Huffman code of the layer's codes: the stated one or the usual one."""
    return layer.huffman_bits_per_code or USUAL_HUFFMAN_SHARE * layer.code_bits


def draw_skips(n_elements: int, density: float, generator: np.random.Generator) -> npt.NDArray[np.uint32]:
    """Zeros before each nonzero of `n_elements`, each of which is one with probability `density`."""
    expected = n_elements * density
    n_at_once = min(STEPS_AT_ONCE, int(expected + 6 * expected**0.5) + 16)
    pieces, end = [], 0
    while end < n_elements:
        steps = np.minimum(generator.geometric(density, n_at_once), n_elements + 1)  # or their sum may wrap around
        ends = end + np.cumsum(steps)
        n_inside = int(np.searchsorted(ends, n_elements, side="right"))
        pieces.append((steps[:n_inside] - 1).astype(np.uint32))
        end = int(ends[-1])
    return np.concatenate(pieces)


def centroid_places(code_bits: int) -> Counts:
    """Where the 2^code_bits - 1 shared values other than zero lie, in steps of the codebook: -7 ... -1, 1 ... 8."""
    half = 1 << code_bits - 1
    return np.concatenate([np.arange(1 - half, 0), np.arange(1, half + 1)])


def code_counts(places: Counts, n_nonzeros: int, n_fillers: int, mean_bits: float) -> Counts:
    """How often each code occurs, so that Huffman codes of nonzeros and fillers have this mean length.

    The width of the Gaussian is found by bisection. A mean that no width gives, such as all bits of the code or less
    than 1.5, comes out as near as it can.
    """
    narrow, wide = LOG_WIDTHS
    for _ in range(N_HALVINGS):
        middle = (narrow + wide) / 2
        counts = _gaussian_counts(places, n_nonzeros, math.exp(middle))
        if mean_length_bits(np.append(counts, n_fillers)) < mean_bits:
            narrow = middle
        else:
            wide = middle
    return counts


def _gaussian_counts(places: Counts, n_nonzeros: int, width: float) -> Counts:
    """`n_nonzeros` shared out as a Gaussian of `width` steps says, once each code has had one, if there are enough."""
    floor = int(n_nonzeros >= len(places))
    shares = np.exp(-((places / width) ** 2) / 2)
    exact = floor + (n_nonzeros - floor * len(places)) * shares / shares.sum()
    counts: Counts = exact.astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n_nonzeros - counts.sum()]] += 1  # the largest remainders
    return counts


def mean_length_bits(counts: npt.NDArray[np.integer]) -> float:
    """Mean length of the Huffman codes of symbols that occur this often [bits]; 0 for a lone one, which takes none."""
    if np.count_nonzero(counts) < 2:
        return 0.0
    lengths = huffman.code_lengths(counts).astype(np.int64)
    return float(counts @ lengths / counts.sum())
