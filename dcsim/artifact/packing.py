"""Weights in, a CompressedModel out: every tensor losslessly in the smallest encoding that the variant permits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dcsim.artifact.dcz import PERMITTED, CompressedModel, Variant
from dcsim.artifact.directory import MAX_CODES, MAX_DIMENSIONS, MAX_ELEMENTS, pack_record
from dcsim.artifact.layout import Floats, Layout, find_dead
from dcsim.artifact.streams import huffman_payload
from dcsim.artifact.tensor import FP16_BYTES, FP32_BYTES, Bytes, Encoding, StoredTensor
from dcsim.codec import fixed_width, huffman, relative_index
from dcsim.codec.relative_index import Nonzeros
from dcsim.errors import ArtifactError

#: up to this size every layout is tried; in a larger tensor order and dead units are worth nothing beside the time
TRY_LAYOUTS_ELEMENTS = 1 << 22

Weights = Mapping[str, Floats]
GapBits = int | Literal["auto"]


@dataclass(frozen=True, eq=False)
class Shared:
    """A tensor whose nonzeros share few values.

    Attributes:
        codebook: value of each code; code 0 is the value zero.
        codes: code of every nonzero, uint8 up to 256 codes, else uint16.
        owner: the stored tensor whose codebook this is, times `scale`.
    """

    codebook: Floats
    codes: npt.NDArray[np.unsignedinteger]
    owner: StoredTensor | None = None
    scale: float = 1.0


def pack(
    network: str,
    variant: Variant,
    weights: Weights,
    gap_bits: Mapping[str, GapBits] | None = None,
    layouts: Mapping[str, Layout] | None = None,
) -> CompressedModel:
    """Store `weights` losslessly as `variant`: each tensor in the smallest encoding the variant permits.

    Bit for bit, but for one thing: a negative zero, as multiplying by a mask leaves it, becomes zero.

    Args:
        network: name to record.
        weights: fp32 arrays by tensor name; already pruned, already shared. Order is kept.
        gap_bits: width of the relative index by tensor name, 0 to 16; `auto` or absent takes the smallest result.
        layouts: by tensor name; absent takes the smallest of those without slices.

    Raises:
        ArtifactError: a tensor cannot be stored, or a gap width or a layout is not possible.
    """
    tensors = [
        pack_tensor(
            name, values, variant, gap_bits=(gap_bits or {}).get(name, "auto"), layout=(layouts or {}).get(name)
        )
        for name, values in weights.items()
    ]
    return CompressedModel(network, variant, tuple(tensors))


def pack_linked(
    network: str,
    variant: Variant,
    weights: Weights,
    codebook: Floats,
    codes: Mapping[str, npt.NDArray[np.uint8]],
    scales: Mapping[str, float],
) -> CompressedModel:
    """Store a network whose tensors share one codebook, as `shared` or `huffman`.

    Args:
        weights: every tensor by name; those without codes, or without a nonzero, are stored as by `pack`.
        codebook: the values of codes 1, 2 ..., ascending, exact in fp16.
        codes: by tensor, its shape, 0 for the value zero. The first that is not all zero has the codebook.
        scales: by tensor, exact in fp16: its values are those of the codebook times this, 1 for the first.

    Raises:
        ArtifactError: a tensor cannot be stored.
    """
    values = np.concatenate([np.zeros(1, np.float32), codebook])
    tensors: list[StoredTensor] = []
    owner: StoredTensor | None = None
    for name, array in weights.items():
        if not (name in codes and codes[name].any()):
            tensors.append(pack_tensor(name, array, variant))
            continue
        numbers = codes[name].astype(np.float32)
        candidates = []
        for layout in _layouts(numbers):
            nonzeros = relative_index.find(layout.flatten(numbers))
            shared = Shared(values, nonzeros.values.astype(np.uint8), owner, scales[name])
            candidates += [
                pack_sparse(name, array.shape, encoding, layout, nonzeros, shared, gap_bits="auto")
                for encoding in PERMITTED[variant][3:]
            ]
        tensors.append(min(candidates, key=_stored_bytes))
        owner = owner or tensors[-1]
    return CompressedModel(network, variant, tuple(tensors))


def _stored_bytes(tensor: StoredTensor) -> int:
    """Payload and record, however the name and the place of the codebook are written."""
    return len(tensor.payload) + len(pack_record(replace(tensor, owner=None), ()))


def repack(model: CompressedModel, variant: Variant) -> CompressedModel:
    """The same weights stored as another variant."""
    return pack(model.network, variant, model.decode())


def pack_tensor(
    name: str, values: Floats, variant: Variant, *, gap_bits: GapBits = "auto", layout: Layout | None = None
) -> StoredTensor:
    """One tensor in the smallest encoding that `variant` permits, its record counted. Raises ArtifactError."""
    single = as_fp32(name, values)
    require_gap_bits(gap_bits)
    stored = [_plain(name, single, encoding) for encoding in PERMITTED[variant] if encoding in ("fp32", "fp16")]
    candidates = [tensor for tensor in stored if tensor is not None]
    if variant != "dense":
        for tried in [layout] if layout else _layouts(single):
            nonzeros = relative_index.find(tried.flatten(single), tried.slice_elements(single.shape))
            shared = share_exactly(nonzeros.values) if variant != "pruned" else None
            candidates += [
                pack_sparse(name, single.shape, encoding, tried, nonzeros, shared, gap_bits=gap_bits)
                for encoding in PERMITTED[variant][2:]
                if encoding == "pruned" or shared
            ]
    return min(candidates, key=_stored_bytes)


def as_fp32(name: str, values: npt.NDArray[np.number]) -> Floats:
    """The values as they can be stored: fp32, no negative zeros. Raises ArtifactError."""
    with np.errstate(over="ignore"):
        single = np.asarray(values, np.float32) + np.float32(0)
    if single.ndim > MAX_DIMENSIONS or single.size > MAX_ELEMENTS:
        raise ArtifactError(
            f"{name}, shape {single.shape}, cannot be stored: at most {MAX_DIMENSIONS} dimensions and {MAX_ELEMENTS} "
            "elements are possible"
        )
    if not np.isfinite(single).all():
        raise ArtifactError(f"{name} holds values that are not finite")
    return single


def require_gap_bits(gap_bits: GapBits) -> None:
    """Refuse a gap width that no file can have. Raises ArtifactError."""
    if gap_bits != "auto" and not 0 <= gap_bits <= relative_index.MAX_GAP_BITS:
        raise ArtifactError(f"gaps of {gap_bits} bits are not possible: 0 to {relative_index.MAX_GAP_BITS}, or auto")


def _layouts(values: Floats) -> Iterator[Layout]:
    """The layouts worth trying: both orders, each with dead units left out on one side or both where there are any."""
    if values.size > TRY_LAYOUTS_ELEMENTS or values.ndim < 2:
        yield Layout()
        return
    rows, columns = find_dead(values)
    for live in dict.fromkeys([(None, None), (rows, None), (None, columns), (rows, columns)]):
        yield Layout("rows", 1, *live)
        yield Layout("columns", 1, *live)


def share_exactly(values: Floats) -> Shared | None:
    """The few values that `values` share, or None when they are more than a codebook holds."""
    step = max(1, len(values) // (2 * MAX_CODES))
    if len(np.unique(values[::step])) >= MAX_CODES:  # a look at some spares sorting all
        return None
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) >= MAX_CODES:
        return None
    kind = np.uint8 if len(distinct) < 1 << 8 else np.uint16
    return Shared(np.concatenate([np.zeros(1, np.float32), distinct]), (codes + 1).astype(kind))


def pack_sparse(
    name: str,
    shape: tuple[int, ...],
    encoding: Encoding,
    layout: Layout,
    nonzeros: Nonzeros,
    shared: Shared | None,
    *,
    gap_bits: GapBits,
) -> StoredTensor:
    """A tensor as `pruned`, or with `shared` as `shared` or `huffman`, from what is not zero in its scan."""
    if gap_bits == "auto":
        gap_bits = _smallest_gap_bits(encoding, nonzeros, shared)
    front, count_bits = _front(layout, nonzeros, gap_bits)
    tensor = StoredTensor(
        name, shape, encoding, np.zeros(0, np.uint8), gap_bits=gap_bits, layout=layout, count_bits=count_bits
    )
    if shared is None or encoding == "pruned":
        gaps, kept = relative_index.encode(nonzeros.skips, nonzeros.values, gap_bits)
        pieces: list[bytes | Bytes] = [kept.astype("<f4").tobytes(), fixed_width.pack(gaps, gap_bits)]
        return replace(tensor, n_entries=len(gaps), payload=_joined([front, *pieces]))
    gaps, codes = relative_index.encode(nonzeros.skips, shared.codes, gap_bits)
    tensor, codebook = _with_codebook(tensor, shared)
    if encoding == "shared":
        pieces = [fixed_width.pack(codes, tensor.code_bits), fixed_width.pack(gaps, gap_bits)]
    else:
        pieces = huffman_payload(huffman.encode(codes, tensor.n_codes), huffman.encode(gaps, 1 << gap_bits))
    return replace(tensor, n_entries=len(gaps), payload=_joined([front, codebook, *pieces]))


def pack_codes(name: str, shape: tuple[int, ...], shared: Shared) -> StoredTensor:
    """A tensor as `huffman` without gaps: `shared` has the code of every element, row by row, 0 for zeros.

    It is what `pack_sparse` gives for 0 gap bits, without a list of skips: a gap stream takes a bit an entry at least.
    """
    codes = shared.codes
    n_entries = _n_up_to_last_nonzero(codes)
    tensor = StoredTensor(name, shape, "huffman", np.zeros(0, np.uint8), n_entries=n_entries)
    tensor, codebook = _with_codebook(tensor, shared)
    coded = huffman.encode(codes[:n_entries], tensor.n_codes)
    return replace(tensor, payload=_joined([codebook, *huffman_payload(coded, huffman.constant(n_entries))]))


def _n_up_to_last_nonzero(codes: npt.NDArray[np.unsignedinteger]) -> int:
    """Looked for from the end, where it mostly is."""
    step = 1 << 12
    for first in range((len(codes) - 1) // step * step, -1, -step):
        places = np.flatnonzero(codes[first : first + step])
        if len(places):
            return first + int(places[-1]) + 1
    return 0


def _with_codebook(tensor: StoredTensor, shared: Shared) -> tuple[StoredTensor, bytes]:
    """The tensor with its codebook described, and the bytes of it, or of the scale of another one's."""
    values = np.array([shared.scale], np.float32) if shared.owner else shared.codebook[1:]
    half = _half_if_exact(values)
    stored, size = (values.astype("<f4").tobytes(), FP32_BYTES) if half is None else (half, FP16_BYTES)
    return replace(tensor, n_codes=len(shared.codebook), codebook_bytes=size, owner=shared.owner), stored


def _smallest_gap_bits(encoding: Encoding, nonzeros: Nonzeros, shared: Shared | None) -> int:
    skips = nonzeros.skips
    if encoding == "huffman" and shared:
        return relative_index.smallest_gap_bits(skips, huffman.count(shared.codes, len(shared.codebook)))
    code_bits = 32 if shared is None or encoding == "pruned" else max(1, (len(shared.codebook) - 1).bit_length())
    widest = min(relative_index.MAX_GAP_BITS, int(skips.max(initial=0)).bit_length())
    return min(range(widest + 1), key=lambda bits: relative_index.n_entries(skips, bits) * (code_bits + bits))


def _front(layout: Layout, nonzeros: Nonzeros, gap_bits: int) -> tuple[bytes, int]:
    """Bitmaps of live units and entry counts of slices, and the width of a count."""
    pieces = [
        live.bitmap.tobytes() for live in (layout.live_rows, layout.live_columns) if live and live.bitmap is not None
    ]
    if not layout.is_sliced:
        return b"".join(pieces), 0
    counts = relative_index.entries_per_slice(nonzeros, gap_bits)
    count_bits = max(1, int(counts.max(initial=0)).bit_length())
    return b"".join([*pieces, fixed_width.pack(counts, count_bits)]), count_bits


def _plain(name: str, values: Floats, encoding: Encoding) -> StoredTensor | None:
    if encoding == "fp32":
        stored: bytes | None = values.astype("<f4", copy=False).tobytes()
    else:
        stored = _half_if_exact(values)
    return None if stored is None else StoredTensor(name, values.shape, encoding, np.frombuffer(stored, np.uint8))


def _half_if_exact(values: Floats) -> bytes | None:
    with np.errstate(over="ignore"):
        half = values.astype("<f2")
    return half.tobytes() if np.array_equal(half.astype(np.float32), values) else None


def _joined(pieces: list[bytes | Bytes]) -> Bytes:
    """In one array of numpy's, which asks the system for large pages: joining bytes took twice as long."""
    return np.concatenate([np.frombuffer(piece, np.uint8) for piece in pieces])
