"""Compression without training data: a file of weights -> a `.dcz` file, tensor by tensor, whatever the network's size.

Every tensor of two and more dimensions is pruned by magnitude, shared by k-means and Huffman-coded; the others are
rounded to fp16. Or, `as_is`, nothing is changed and each tensor is packed bit for bit. Weights come from a mapped file
and leave as soon as they are coded, so memory is bounded by the largest tensor's codes and gaps.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.artifact import DczWriter, Floats, Layout, StoredTensor, pack_tensor
from dcsim.artifact.packing import TRY_LAYOUTS_ELEMENTS, Shared, pack_sparse
from dcsim.checkpoint import TensorEntry, open_checkpoint
from dcsim.codec.relative_index import SMALLEST_MAGNITUDE, Nonzeros
from dcsim.compression.cut import Cut, cut_at_density
from dcsim.compression.plan import AsIs, PostTraining
from dcsim.compression.share import kmeans, nearest
from dcsim.errors import NetworkError
from dcsim.files import require_writable, written

MIB = 1 << 20
PART_ELEMENTS = 1 << 22  # weights looked at together: their scratch stays small
SAMPLE_ELEMENTS = 1 << 20  # weights that k-means sees: its squared error is within 0.01 % of that of all (measured)
SAMPLE_RUN = 1 << 12

OnProgress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Packed:
    """A finished `.dcz` file and what went into it.

    Attributes:
        left_out: tensors that hold no weights, such as counters.
        n_centroids, n_empty_centroids: how many k-means was asked for in all tensors, and how many of them own no
            weight: from a linear start some do in the gap that pruning leaves about zero.
    """

    path: Path
    n_tensors: int
    n_parameters: int
    file_bytes: int
    left_out: tuple[str, ...]
    n_centroids: int
    n_empty_centroids: int

    @property
    def compression_ratio(self) -> float:
        """4 bytes times all parameters, over the size of the file."""
        return 4 * self.n_parameters / self.file_bytes


def compress_checkpoint(
    weights: Path,
    output: Path,
    plan: PostTraining | AsIs,
    *,
    network: str | None = None,
    on_progress: OnProgress = lambda stage, done, total, note: None,
) -> Packed:
    """Write the tensors of a safetensors file, or of several with an index, to a `.dcz` file.

    Args:
        output: appears when it is finished, or not at all.
        plan: how to compress, or that nothing is to be changed.
        network: name to record; by default that of the file.
        on_progress: called with ("compress", bytes done, bytes in all, bytes per second in words).

    Raises:
        NetworkError: the weights cannot be read, or hold what cannot be stored; the message names the tensor.
        OutputError: the output cannot be written.
    """
    require_writable(output)
    entries = open_checkpoint(weights)
    floats = [entry for entry in entries if entry.is_float]
    if not floats:
        raise NetworkError(f"{weights} holds no weights: none of its {len(entries)} tensors is of a float type")
    total, done, started = sum(entry.n_bytes for entry in floats), 0, time.monotonic()
    n_centroids = n_owning = 0
    with written(output) as temporary:
        with temporary.open("wb") as stream:
            writer = DczWriter(stream, network or weights.name.split(".")[0], "huffman")
            for entry in floats:
                stored = _store(entry, plan)
                writer.add(stored)
                if isinstance(plan, PostTraining) and len(entry.shape) > 1:
                    n_centroids += (1 << plan.code_bits) - 1
                    n_owning += max(0, stored.n_codes - 1)
                done += entry.n_bytes
                rate = done / (time.monotonic() - started)
                on_progress("compress", done, total, f"{rate / MIB:.0f} MiB/s, {entry.name}")
            writer.finish()
        file_bytes = temporary.stat().st_size
    left_out = tuple(entry.name for entry in entries if not entry.is_float)
    n_parameters = sum(entry.n_elements for entry in floats)
    return Packed(output, len(floats), n_parameters, file_bytes, left_out, n_centroids, n_centroids - n_owning)


def _store(entry: TensorEntry, plan: PostTraining | AsIs) -> StoredTensor:
    values = entry.read()
    if isinstance(plan, AsIs):
        return pack_tensor(entry.name, values, "huffman", gap_bits=plan.gap_bits)
    return compress_tensor(entry.name, values, plan)


def compress_tensor(name: str, values: Floats, plan: PostTraining) -> StoredTensor:
    """One tensor, pruned, shared and coded; of fewer than two dimensions, rounded to fp16.

    Raises:
        NetworkError: a value is not finite.
    """
    if values.ndim < 2:
        return pack_tensor(name, _rounded(values), "huffman", gap_bits=plan.gap_bits)
    flat = np.ascontiguousarray(values).reshape(-1)
    try:
        cut = _cut(flat, plan)
        codebook = _codebook(flat, cut, plan)
        skips, codes = _coded(flat, cut, codebook)
    except ValueError as error:
        raise NetworkError(f"{name}: {error}") from error
    nonzeros = Nonzeros(codebook[:0], skips, np.array([len(skips)]))  # the codes stand for the values
    shared = Shared(codebook, codes)
    coded = pack_sparse(name, values.shape, "huffman", Layout(), nonzeros, shared, gap_bits=plan.gap_bits)
    if values.size > TRY_LAYOUTS_ELEMENTS:
        return coded
    return pack_tensor(name, coded.decode(), "huffman", gap_bits=plan.gap_bits)


def _rounded(values: Floats) -> Floats:
    """The values as fp16 holds them, where its range does."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(np.float32)
    return half if np.isfinite(half).all() else values


def _cut(flat: Floats, plan: PostTraining) -> Cut:
    if plan.density is not None:
        return cut_at_density(flat, plan.density)
    return Cut(plan.threshold or SMALLEST_MAGNITUDE)


def _codebook(flat: Floats, cut: Cut, plan: PostTraining) -> Floats:
    """The value of each code: zero, and the ascending centroids of what is kept, in fp16 where none becomes a zero."""
    kept = _sample(flat, cut)
    if not len(kept):
        return np.zeros(1, np.float32)
    clusters = kmeans(kept, (1 << plan.code_bits) - 1, initialization=plan.centroids)
    centroids = clusters.centroids[clusters.sizes > 0].astype(np.float32)
    with np.errstate(over="ignore"):
        half = centroids.astype(np.float16).astype(np.float32)
    values = half if np.isfinite(half).all() and half.all() else centroids
    values[values == 0] = SMALLEST_MAGNITUDE  # a cluster about zero: its value must differ from that of a filler
    return np.concatenate([np.zeros(1, np.float32), np.unique(values)])


def _sample(flat: Floats, cut: Cut) -> Floats:
    """What is kept of evenly spread runs of the tensor; of all of it when that is not too much."""
    kept, _ = cut.apply(flat[:PART_ELEMENTS])
    n_expected = len(kept.values) * len(flat) / max(1, min(len(flat), PART_ELEMENTS))
    step = int(n_expected / SAMPLE_ELEMENTS)
    if len(flat) <= PART_ELEMENTS:
        return kept.values
    n_runs = len(flat) // SAMPLE_RUN
    runs = flat[: n_runs * SAMPLE_RUN].reshape(n_runs, SAMPLE_RUN)[:: max(1, step)]
    return cut.apply(np.ascontiguousarray(runs).reshape(-1))[0].values


def _coded(flat: Floats, cut: Cut, codebook: Floats) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.unsignedinteger]]:
    """Zeros before each kept weight, and its code, part by part."""
    kind = np.uint8 if len(codebook) <= 1 << 8 else np.uint16
    centroids = codebook[1:].astype(np.float64)
    skips, codes = [np.zeros(0, np.uint8)], [np.zeros(0, kind)]
    n_zeros = n_ties = 0
    for first in range(0, len(flat), PART_ELEMENTS):
        part = flat[first : first + PART_ELEMENTS]
        found, n_ties = cut.apply(part, n_ties)
        n_after = len(part) - int(found.skips.sum(dtype=np.int64)) - len(found.skips)
        if not len(found.skips):
            n_zeros += n_after
            continue
        these = found.skips.astype(np.min_scalar_type(max(int(found.skips.max()), int(found.skips[0]) + n_zeros)))
        these[0] += n_zeros  # the smallest type that holds them: a byte, mostly
        n_zeros = n_after
        skips.append(these)
        codes.append(nearest(found.values, centroids, kind) + kind(1))
    return np.concatenate(skips), np.concatenate(codes)
