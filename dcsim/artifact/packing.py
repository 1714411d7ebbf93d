"""Weights in, a CompressedModel out: every tensor losslessly in the smallest encoding that the variant permits."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dcsim.artifact.dcz import MAX_CODES, MAX_DIMENSIONS, VARIANTS, CompressedModel, Variant
from dcsim.artifact.tensor import Floats, StoredTensor
from dcsim.codec import fixed_width, huffman, relative_index
from dcsim.errors import ArtifactError

MAX_AUTO_GAP_BITS = 8

Weights = Mapping[str, Floats]
GapBits = int | Literal["auto"]


def pack(
    network: str, variant: Variant, weights: Weights, gap_bits: Mapping[str, GapBits] | None = None
) -> CompressedModel:
    """Store `weights` losslessly as `variant`: each tensor in the smallest encoding the variant permits.

    Bit for bit, but for one thing: a negative zero, as multiplying by a mask leaves it, becomes zero.

    Args:
        network: name to record.
        weights: fp32 arrays by tensor name; already pruned, already shared. Order is kept.
        gap_bits: width of the relative index by tensor name; `auto` or absent takes the smallest result.

    Raises:
        ArtifactError: a tensor is not finite, so no decoder could be trusted with it.
    """
    chosen = gap_bits or {}
    tensors = []
    for name, values in weights.items():
        with np.errstate(over="ignore"):
            single = np.asarray(values, np.float32) + np.float32(0)
        if single.ndim > MAX_DIMENSIONS:
            raise ArtifactError(f"{name} has {single.ndim} dimensions, at most {MAX_DIMENSIONS} can be stored")
        if not np.isfinite(single).all():
            raise ArtifactError(f"{name} holds values that are not finite")
        tensors.append(_pack_tensor(name, single, variant, chosen.get(name, "auto")))
    return CompressedModel(network, variant, tuple(tensors))


def repack(model: CompressedModel, variant: Variant) -> CompressedModel:
    """The same weights stored as another variant."""
    return pack(model.network, variant, model.decode())


def _pack_tensor(name: str, values: Floats, variant: Variant, gap_bits: GapBits) -> StoredTensor:
    dense = StoredTensor(name, values.shape, "fp32", values.astype("<f4").tobytes())
    if variant == "dense":
        return dense
    if values.ndim < 2:
        half = _half_if_exact(values)
        return dense if half is None else StoredTensor(name, values.shape, "fp16", half)
    widths = range(1, MAX_AUTO_GAP_BITS + 1) if gap_bits == "auto" else [gap_bits]
    encoders = _ENCODERS[: VARIANTS.index(variant)]
    candidates = [dense, *(encoder(name, values, width) for encoder in encoders for width in widths)]
    return min((c for c in candidates if c is not None), key=lambda tensor: len(tensor.payload))


def _pack_pruned(name: str, values: Floats, gap_bits: int) -> StoredTensor | None:
    flat = values.ravel()
    positions = np.flatnonzero(flat)
    gaps, entry_of = relative_index.encode(positions, gap_bits)
    stored = np.zeros(len(gaps), "<f4")
    stored[entry_of] = flat[positions]
    payload = stored.tobytes() + fixed_width.pack(gaps, gap_bits)
    return StoredTensor(name, values.shape, "pruned", payload, n_entries=len(gaps), gap_bits=gap_bits)


def _shared_parts(
    values: Floats, gap_bits: int
) -> tuple[Floats, npt.NDArray[np.uint16], npt.NDArray[np.uint16]] | None:
    """Codebook (entry 0 is zero), code and gap of every entry; None when the tensor does not share few values."""
    flat = values.ravel()
    positions = np.flatnonzero(flat)
    distinct, codes_of = np.unique(flat[positions], return_inverse=True)
    if len(distinct) + 1 > MAX_CODES:
        return None
    gaps, entry_of = relative_index.encode(positions, gap_bits)
    codes = np.zeros(len(gaps), np.uint16)
    codes[entry_of] = codes_of + 1
    return np.concatenate([np.zeros(1, np.float32), distinct]), codes, gaps


def _pack_shared(name: str, values: Floats, gap_bits: int) -> StoredTensor | None:
    parts = _shared_parts(values, gap_bits)
    if parts is None:
        return None
    codebook, codes, gaps = parts
    stored = _write_codebook(codebook)
    tensor = StoredTensor(
        name, values.shape, "shared", b"", len(gaps), len(codebook), gap_bits, len(stored) // len(codebook)
    )
    payload = stored + fixed_width.pack(codes, tensor.code_bits) + fixed_width.pack(gaps, gap_bits)
    return replace(tensor, payload=payload)


def _pack_huffman(name: str, values: Floats, gap_bits: int) -> StoredTensor | None:
    parts = _shared_parts(values, gap_bits)
    if parts is None:
        return None
    codebook, codes, gaps = parts
    stored = _write_codebook(codebook)
    coded = [huffman.encode(codes), huffman.encode(gaps)]
    tables = b"".join(
        huffman.pack_lengths(np.pad(stream.lengths, (0, size - len(stream.lengths))))
        for stream, size in zip(coded, (len(codebook), 1 << gap_bits), strict=True)
    )
    bits = b"".join(stream.block_bits.astype("<u4").tobytes() for stream in coded)
    payload = stored + tables + bits + coded[0].payload + coded[1].payload
    return StoredTensor(
        name, values.shape, "huffman", payload, len(gaps), len(codebook), gap_bits, len(stored) // len(codebook)
    )


_ENCODERS: tuple[Callable[[str, Floats, int], StoredTensor | None], ...] = (_pack_pruned, _pack_shared, _pack_huffman)


def _write_codebook(codebook: Floats) -> bytes:
    """fp16 where that is exact, fp32 otherwise."""
    half = _half_if_exact(codebook)
    return codebook.astype("<f4").tobytes() if half is None else half


def _half_if_exact(values: Floats) -> bytes | None:
    with np.errstate(over="ignore"):
        half = values.astype("<f2")
    return half.tobytes() if np.array_equal(half.astype(np.float32), values) else None
