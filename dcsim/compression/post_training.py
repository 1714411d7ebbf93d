"""Compression without training data: a file of weights -> a `.dcz` file, tensor by tensor, whatever the network's size.

Every tensor of two and more dimensions is pruned by magnitude, shared by k-means and Huffman-coded; the others are
rounded to fp16. Or, `as_is`, nothing is changed and each tensor is packed bit for bit. Weights come from a mapped file
and leave as soon as they are coded, so memory is bounded by the largest tensor's codes and gaps.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.artifact import DczWriter, Floats, Layout, StoredTensor, pack_tensor
from dcsim.artifact.dcz import MAX_TENSORS
from dcsim.artifact.directory import MAX_DIMENSIONS, MAX_ELEMENTS
from dcsim.artifact.packing import TRY_LAYOUTS_ELEMENTS, Shared, pack_codes, pack_sparse
from dcsim.checkpoint import TensorEntry, open_checkpoint
from dcsim.codec.relative_index import SMALLEST_MAGNITUDE, Nonzeros
from dcsim.compression.cut import Cut, count_nonzero, cut_at_density
from dcsim.compression.plan import AsIs, PostTraining
from dcsim.compression.share import codes_of, kmeans
from dcsim.errors import ArtifactError, NetworkError, OutputError
from dcsim.files import require_writable, written

MIB = 1 << 20
PART_ELEMENTS = 1 << 22  # weights looked at together: their scratch stays small
SAMPLE_ELEMENTS = 1 << 20  # weights that k-means sees: its squared error is within 0.01 % of that of all (measured)
SAMPLE_RUN = 1 << 12
WHOLE_ELEMENTS = 1 << 22  # k-means sees all that is kept of a tensor up to this size
PROBE_RUNS = 1 << 6  # tell how much is kept, before the sample is drawn
DENSE = 0.9  # zeros fewer than a tenth take less as a code of their own than gaps, which take a bit an entry at least

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
    _require_storable(weights, floats)
    if output.resolve() in {entry.file.resolve() for entry in entries}:
        raise OutputError(f"cannot write {output}: it is read from; name another file")
    total, done, started = sum(entry.n_bytes for entry in floats), 0, time.monotonic()
    n_centroids = n_owning = 0
    with written(output) as temporary:
        with temporary.open("wb") as stream:
            writer = DczWriter(stream, network or weights.name.split(".")[0], "huffman")
            for entry in floats:
                stored = _store(entry, plan)
                writer.add(stored)
                if isinstance(plan, PostTraining) and stored.n_codes and len(entry.shape) > 1:
                    n_centroids += (1 << plan.code_bits) - 1
                    n_owning += stored.n_codes - 1
                done += entry.n_bytes
                rate = done / (time.monotonic() - started)
                on_progress("compress", done, total, f"{rate / MIB:.0f} MiB/s, {entry.name}")
            writer.finish()
        file_bytes = temporary.stat().st_size
    left_out = tuple(entry.name for entry in entries if not entry.is_float)
    n_parameters = sum(entry.n_elements for entry in floats)
    return Packed(output, len(floats), n_parameters, file_bytes, left_out, n_centroids, n_centroids - n_owning)


def _require_storable(weights: Path, entries: Sequence[TensorEntry]) -> None:
    """Refuse what a `.dcz` file cannot hold before any work is done. Raises NetworkError."""
    if len(entries) > MAX_TENSORS:
        raise NetworkError(f"{weights} has {len(entries)} tensors, at most {MAX_TENSORS} can be stored")
    for entry in entries:
        if len(entry.shape) > MAX_DIMENSIONS or math.prod(max(size, 1) for size in entry.shape) > MAX_ELEMENTS:
            raise NetworkError(
                f"{entry.file}: {entry.name}, shape {entry.shape}, cannot be stored: at most {MAX_DIMENSIONS} "
                f"dimensions and {MAX_ELEMENTS} elements are possible"
            )


def _store(entry: TensorEntry, plan: PostTraining | AsIs) -> StoredTensor:
    values = entry.read()
    try:
        if isinstance(plan, AsIs):
            return pack_tensor(entry.name, values, "huffman", gap_bits=plan.gap_bits)
        return compress_tensor(entry.name, values, plan)
    except (ArtifactError, NetworkError) as error:
        raise NetworkError(f"{entry.file}: {error}") from error


def compress_tensor(name: str, values: Floats, plan: PostTraining) -> StoredTensor:
    """One tensor, pruned, shared and coded; of fewer than two dimensions, rounded to fp16.

    Raises:
        NetworkError: a value is not finite.
    """
    if values.ndim < 2:
        return pack_tensor(name, _rounded(values), "huffman", gap_bits=plan.gap_bits)
    try:
        coded = _shared(name, values, plan)
    except ValueError as error:
        raise NetworkError(f"{name}: {error}") from error
    if values.size > TRY_LAYOUTS_ELEMENTS:
        return coded
    return pack_tensor(name, coded.decode(), "huffman", gap_bits=plan.gap_bits)


def _shared(name: str, values: Floats, plan: PostTraining) -> StoredTensor:
    """A tensor pruned, shared and coded in the order in which it lies. Raises ValueError if one is not finite."""
    flat = np.ascontiguousarray(values).reshape(-1)
    cut = _cut(flat, plan)
    n_nonzero = count_nonzero(flat) if cut.keeps_all else 0
    codebook = _codebook(flat, cut, plan)
    if plan.gap_bits in ("auto", 0) and n_nonzero > DENSE * len(flat):
        return pack_codes(name, values.shape, Shared(codebook, codes_of(flat, codebook)))
    skips, codes = _coded(flat, cut, codebook)
    nonzeros = Nonzeros(codebook[:0], skips, np.array([len(skips)]))  # the codes stand for the values
    shared = Shared(codebook, codes)
    return pack_sparse(name, values.shape, "huffman", Layout(), nonzeros, shared, gap_bits=plan.gap_bits)


def _rounded(values: Floats) -> Floats:
    """The values as fp16 holds them, where its range does."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(np.float32)
    return half if np.isfinite(half).all() else values


def _cut(flat: Floats, plan: PostTraining) -> Cut:
    if plan.density is not None:
        return cut_at_density(flat, plan.density)
    return Cut(max(plan.threshold or 0, SMALLEST_MAGNITUDE))


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
    if len(flat) > WHOLE_ELEMENTS:
        n_runs = len(flat) // SAMPLE_RUN
        runs = flat[: n_runs * SAMPLE_RUN].reshape(n_runs, SAMPLE_RUN)
        probe = runs[:: max(1, n_runs // PROBE_RUNS)]
        step = int(len(_kept(probe, cut)) / probe.size * len(flat) / SAMPLE_ELEMENTS)
        sampled = _kept(runs[::step], cut) if step > 1 else flat[:0]
        if len(sampled):
            return sampled
    parts, n_ties = [flat[:0]], 0
    for first in range(0, len(flat), PART_ELEMENTS):
        found, n_ties = cut.apply(flat[first : first + PART_ELEMENTS], n_ties)
        parts.append(found.values)
    return np.concatenate(parts)


def _kept(runs: Floats, cut: Cut) -> Floats:
    return cut.apply(np.ascontiguousarray(runs).reshape(-1))[0].values


def _coded(flat: Floats, cut: Cut, codebook: Floats) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.unsignedinteger]]:
    """Zeros before each kept weight, and its code, part by part."""
    skips, codes = [np.zeros(0, np.uint8)], [codes_of(flat[:0], codebook)]
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
        codes.append(codes_of(found.values, codebook))
    return np.concatenate(skips), np.concatenate(codes)
