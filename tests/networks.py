"""Small networks and `.dcz` files of every kind, for all folders that look at the format."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from dcsim.artifact import (
    Block,
    CompressedModel,
    Encoding,
    Floats,
    GapBits,
    Layout,
    Live,
    StoredTensor,
    pack_tensor,
)
from dcsim.artifact.layout import SCANS, find_dead, matrix_shape
from dcsim.artifact.packing import Shared, pack_sparse
from dcsim.codec import relative_index
from dcsim.units import bits_to_bytes


def sparse(*shape: int, density: float = 0.1, n_values: int = 12, seed: int = 0) -> Floats:
    """Pruned and shared weights: `n_values` distinct nonzeros, normally distributed, not exact in fp16."""
    generator = np.random.default_rng(seed)
    palette = generator.normal(size=n_values).astype(np.float32)
    return np.where(generator.random(shape) < density, generator.choice(palette, shape), np.float32(0))


def with_dead_units(*shape: int, seed: int = 0) -> Floats:
    """The same with dead rows and dead input channels in between, so that neither side is a mere count."""
    values = sparse(*shape, density=0.6, n_values=5, seed=seed)
    values[::3] = 0
    values[:, 1::4] = 0
    return values


def with_dead_ends(*shape: int, seed: int = 0) -> Floats:
    """The same with only the last rows and input channels dead, so that both sides are counts."""
    values = sparse(*shape, density=0.9, n_values=5, seed=seed)
    values[-(shape[0] // 3) :] = 0
    values[:, -(shape[1] // 3) :] = 0
    return values


def network() -> dict[str, Floats]:
    """Tensors of every kind that a network has, and some that it hardly has."""
    single = np.zeros((30, 20), np.float32)
    single[-1, -1] = 0.1
    return {
        "conv.weight": sparse(6, 3, 5, 5, density=0.4),
        "conv.bias": np.array([0.5, -0.25, 0, 1, 2, 3], np.float32),
        "fc.weight": sparse(60, 80),
        "fc.bias": np.array([0.1, 0.2], np.float32),
        "dead units": with_dead_units(12, 16, 3, 3),
        "dead ends": with_dead_ends(40, 30),
        "dense.weight": np.random.default_rng(1).normal(size=(8, 9)).astype(np.float32),
        "zeros": np.zeros((30, 20), np.float32),
        "last alone": single,
        "one value": np.full((20, 20), 0.3, np.float32),
        "scalar": np.array(0.7, np.float32),
        "nothing": np.zeros(0, np.float32),
        "no rows": np.zeros((0, 5), np.float32),
        "no columns": np.zeros((4, 0, 2), np.float32),
        "eight dimensions": sparse(2, 3, 1, 4, 2, 1, 3, 2, density=0.3),
        "tiny": np.array([[1e-45, -1e-38], [65000.1, 1 / 3]], np.float32),
        "größe": np.ones((1, 1), np.float32),
    }


def layouts(values: Floats) -> Iterator[Layout]:
    """Every scan, with and without leaving out what is dead."""
    rows, columns = find_dead(values)
    for scan in SCANS:
        for live_rows, live_columns in {(None, None), (rows, None), (None, columns), (rows, columns)}:
            yield Layout(scan, 3 if scan == "per-pe" else 1, live_rows, live_columns)


def shares_codebook(
    name: str,
    codes: npt.NDArray[np.integer],
    owner: StoredTensor,
    scale: float,
    encoding: Encoding = "huffman",
    layout: Layout | None = None,
    gap_bits: GapBits = "auto",
) -> StoredTensor:
    """A tensor with these `codes` (0 is the value zero) into the codebook of `owner` times `scale`."""
    layout = layout or Layout()
    flat = layout.flatten(codes.astype(np.float32))
    nonzeros = relative_index.find(flat, layout.slice_elements(codes.shape))
    kind = np.uint8 if owner.n_codes <= 1 << 8 else np.uint16
    shared = Shared(owner.codebook, nonzeros.values.astype(kind), owner, scale)
    return pack_sparse(name, codes.shape, encoding, layout, nonzeros, shared, gap_bits=gap_bits)


def some_codes(*shape: int, n_codes: int, density: float = 0.3, seed: int = 0) -> npt.NDArray[np.int64]:
    generator = np.random.default_rng(seed)
    return np.where(generator.random(shape) < density, generator.integers(1, n_codes, shape), 0)


def linked() -> CompressedModel:
    """Five tensors of which three use the codebook of an earlier one, times a scale."""
    first = pack_tensor("conv1.weight", sparse(8, 6, 3, 3, density=0.3, n_values=7), "huffman")
    bias = pack_tensor("conv1.bias", np.arange(8, dtype=np.float32), "huffman")
    second = shares_codebook("conv2.weight", some_codes(10, 8, n_codes=8), first, 1.5)
    third = shares_codebook("conv3.weight", some_codes(9, 7, n_codes=8, seed=1), first, 0.1, "shared")
    dead = some_codes(8, 12, n_codes=8, seed=2)
    dead[::2] = dead[:, 3] = 0
    rows, columns = find_dead(dead.astype(np.float32))
    fourth = shares_codebook("conv4.weight", dead, first, -3.0, layout=Layout("per-row", 1, rows, columns), gap_bits=2)
    return CompressedModel("linked", "huffman", (first, bias, second, third, fourth))


def every_other(shape: tuple[int, ...]) -> tuple[Live, Live]:
    """Bitmaps of live rows and columns for a tensor of `shape`."""
    n_rows, n_columns = matrix_shape(shape)
    return Live.of(np.arange(n_rows) % 2 > 0), Live.of(np.arange(n_columns) % 2 > 0)


def lenet5_like() -> dict[str, Floats]:
    """LeNet-5 as it is after pruning and sharing: shapes and densities of Deep Compression, table 3; biases as trained."""
    biases = np.random.default_rng(0).normal(size=580).astype(np.float32)
    return {
        "conv1.weight": sparse(20, 1, 5, 5, density=0.66, n_values=255, seed=1),
        "conv1.bias": biases[:20],
        "conv2.weight": sparse(50, 20, 5, 5, density=0.12, n_values=255, seed=3),
        "conv2.bias": biases[20:70],
        "fc1.weight": sparse(500, 800, density=0.08, n_values=31, seed=5),
        "fc1.bias": biases[70:570],
        "fc2.weight": sparse(10, 500, density=0.19, n_values=31, seed=7),
        "fc2.bias": biases[570:],
    }


def placed(
    gaps: npt.NDArray[np.integer],
    symbols: npt.NDArray[np.generic],
    codebook: Floats | None,
    gap_bits: int,
    n_per_slice: npt.NDArray[np.int64],
    slice_elements: npt.NDArray[np.int64],
) -> Floats:
    """The 1-D array of some entries."""
    flat = np.zeros(int(slice_elements.sum()), np.float32)
    relative_index.place(flat, gaps, symbols, codebook, gap_bits, n_per_slice, slice_elements)
    return flat


def total_payload_bytes(blocks: Iterable[Block]) -> int:
    """Bytes that `blocks` occupy in a file: each starts on a byte."""
    return sum(bits_to_bytes(block.n_bits) for block in blocks)
