"""Operators as GEMMs: M output pixels x N output channels x K filter volume per group, and where their zeros are.

MAC (m, n, k) has two nonzero operands when input (m, k) and weight (n, k) are nonzero, so the products of the nonzeros
in column k on either side, summed over k, are the nonzero MACs: exact, for the price of counting. Needs no torch:
operands come as masks, True where an element is not zero, or as shapes alone when nobody knows their values.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Margins = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor that is multiplied: its shape and, where its values are known, what is not zero in it."""

    shape: tuple[int, ...]
    mask: Mask | None

    def arranged(self, *shape: int, order: Sequence[int] | None = None) -> "Operand":
        """The same elements in another shape, then with axes in another order."""
        mask = self.mask if self.mask is None else self.mask.reshape(shape)
        if order is None:
            return Operand(shape, mask)
        return Operand(tuple(shape[axis] for axis in order), mask if mask is None else mask.transpose(order))

    def nonzeros(self, axis: int) -> Counts:
        """Nonzeros along an axis; all elements where they are not known."""
        if self.mask is None:
            rest = self.shape[:axis] + self.shape[axis + 1 :]
            return np.full(rest, self.shape[axis], np.int64)
        counted: Counts = self.mask.sum(axis, dtype=np.int64)
        return counted


@dataclass(frozen=True, eq=False)
class Weights:
    """The side of a GEMM that N belongs to, when it is stored rather than computed.

    Attributes:
        bitmap: N x K nonzero flags of every group, eight to a byte, lowest bit first; None when not known.
        column_nonzeros: (groups, K) nonzero weights.
    """

    n_elements: int
    n_nonzero: int
    bitmap: bytes | None
    column_nonzeros: Counts

    @classmethod
    def of(cls, weight: Operand) -> "Weights":
        """From (groups, N, K)."""
        bitmap = None if weight.mask is None else np.packbits(weight.mask, bitorder="little").tobytes()
        columns = weight.nonzeros(1)
        return cls(math.prod(weight.shape), int(columns.sum()), bitmap, columns)


@dataclass(frozen=True, eq=False)
class Gemm:
    """One operator as a GEMM.

    Attributes:
        n_steps, n_groups, m, n, k: as in `Layer`.
        n_macs_nonzero: both operands are not zero.
        column_nonzeros: (groups, K) nonzero inputs; None when not known.
        weights: None when both operands are activations.
    """

    n_groups: int
    m: int
    n: int
    k: int
    n_macs_nonzero: int
    column_nonzeros: Counts | None
    weights: Weights | None
    n_steps: int = 1

    @property
    def n_macs_dense(self) -> int:
        """All products of all steps and groups."""
        return self.n_steps * self.n_groups * self.m * self.n * self.k


def linear_gemm(inputs: Operand, weights: Weights, n_steps: int = 1) -> Gemm:
    """(..., K) inputs times N x K weights; with steps, the rows are those of all steps."""
    k = inputs.shape[-1]
    n_rows = math.prod(inputs.shape[:-1])
    columns = inputs.arranged(n_rows, k).nonzeros(0)[None]
    nonzero = int((columns * weights.column_nonzeros).sum())
    known = None if inputs.mask is None else columns
    n = weights.n_elements // k if k else 0
    return Gemm(1, n_rows // n_steps, n, k, nonzero, known, weights, n_steps)


def batched_gemm(inputs: Operand, others: Operand, weights: Weights | None = None) -> Gemm:
    """(groups, M, K) times (groups, N, K): two activations, or a weight matrix for each group."""
    n_groups, m, k = inputs.shape
    columns = inputs.nonzeros(1)
    nonzero = int((columns * others.nonzeros(1)).sum())
    return Gemm(n_groups, m, others.shape[1], k, nonzero, None if inputs.mask is None else columns, weights)


@dataclass(frozen=True)
class Window:
    """How a filter moves over its input, one number for each spatial dimension.

    Attributes:
        margins: zeros before and after each dimension.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, kernel: Sequence[int], stride: object = 1, padding: object = 0, dilation: object = 1) -> "Window":
        """Numbers given once or for each dimension; `padding` may be `valid` or `same`, the odd zero last."""
        rank = len(kernel)
        dilations = each(dilation, rank)
        if padding == "valid":
            margins = [(0, 0)] * rank
        elif padding == "same":
            totals = [step * (size - 1) for step, size in zip(dilations, kernel, strict=True)]
            margins = [(total // 2, total - total // 2) for total in totals]
        else:
            margins = [(side, side) for side in each(padding, rank)]
        return cls(tuple(kernel), each(stride, rank), dilations, tuple(margins))

    def n_positions(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Where the filter can lie over an input of these sizes, margins included."""
        return tuple(
            (size + sum(margin) - dilation * (kernel - 1) - 1) // stride + 1
            for size, margin, dilation, kernel, stride in zip(
                sizes, self.margins, self.dilation, self.kernel, self.stride, strict=True
            )
        )


def each(value: object, rank: int) -> tuple[int, ...]:
    """One number for each of `rank` dimensions, of one or of `rank` numbers."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * rank if len(values) == 1 else values


def convolution_gemm(inputs: Operand, weights: Weights, n_out: int, window: Window, n_groups: int) -> Gemm:
    """(batch, channels, ...) inputs under filters of any rank: an output pixel is a row, a filter tap a column."""
    batch, n_channels, *sizes = inputs.shape
    positions = window.n_positions(sizes)
    m, k = batch * math.prod(positions), n_channels // n_groups * math.prod(window.kernel)
    if inputs.mask is None:
        columns: Counts = np.full((n_groups, k), m, np.int64)
    else:
        columns = _met(inputs.mask, window, positions).reshape(n_groups, k)
    nonzero = int((columns * weights.column_nonzeros).sum())
    known = None if inputs.mask is None else columns
    return Gemm(n_groups, m, n_out // n_groups, k, nonzero, known, weights)


def transposed_gemm(
    inputs: Operand, filters: Operand, weights: Weights, window: Window, n_groups: int, output_sizes: Sequence[int]
) -> Gemm:
    """A transposed convolution: an input pixel is a row; what it gives is added up where it falls.

    Products that fall off the edge of the output are dense MACs, as products with padding are in a convolution; they
    are not among the nonzero ones.

    Args:
        filters: (channels, outputs / groups, ...).
    """
    batch, n_channels, *sizes = inputs.shape
    n_taps = math.prod(window.kernel)
    m, k, n = batch * math.prod(sizes), n_channels // n_groups, filters.shape[1] * n_taps
    if inputs.mask is None:
        return Gemm(n_groups, m, n, k, m * weights.n_nonzero, None, weights)
    taps = filters.arranged(n_channels, filters.shape[1], n_taps).nonzeros(1)
    inside = np.stack(list(_spread(inputs.mask, window, output_sizes)), axis=1)
    per_channel: Counts = inputs.mask.reshape(batch, n_channels, -1).sum(axis=(0, 2), dtype=np.int64)
    return Gemm(n_groups, m, n, k, int((taps * inside).sum()), per_channel.reshape(n_groups, k), weights)


def _met(mask: Mask, window: Window, positions: Sequence[int]) -> Counts:
    """(channels, taps) nonzeros that each tap of the filter meets. Dimensions are summed one after the other."""
    if math.prod(window.kernel) == math.prod(window.stride) == 1 and len(mask) == 1 and mask.shape[2:] == positions:
        return np.array([[np.count_nonzero(channel)] for channel in mask[0]])
    padded = mask.view(np.uint8)
    if any(map(any, window.margins)):
        padded = np.pad(padded, [(0, 0), (0, 0), *window.margins])
    largest = len(mask)
    # a list over the taps so far of (channels, sizes of the dimensions left), in the narrowest type: it is quicker
    sums = [padded[0] if largest == 1 else padded.sum(0, dtype=np.min_scalar_type(largest))]
    for kernel, stride, dilation, n in zip(window.kernel, window.stride, window.dilation, positions, strict=True):
        largest *= n
        kind = np.min_scalar_type(largest)
        sums = [
            part[:, tap * dilation : tap * dilation + (n - 1) * stride + 1 : stride].sum(1, dtype=kind)
            for part in sums
            for tap in range(kernel)
        ]
    return np.stack(sums, axis=1).astype(np.int64)


def _spread(mask: Mask, window: Window, output_sizes: Sequence[int]) -> Iterator[Counts]:
    """For each tap of a transposed filter, by channel, the nonzero inputs whose product falls inside the output."""
    sizes = mask.shape[2:]
    for taps in itertools.product(*map(range, window.kernel)):
        kept = []
        for size, out, tap, stride, dilation, (before, _) in zip(
            sizes, output_sizes, taps, window.stride, window.dilation, window.margins, strict=True
        ):
            offset = tap * dilation - before  # input i falls on i * stride + offset
            first = max(0, -(offset // stride))
            kept.append(slice(first, max(first, min(size, (out - 1 - offset) // stride + 1))))
        yield mask[(slice(None), slice(None), *kept)].sum(axis=(0, *range(2, mask.ndim)), dtype=np.int64)
