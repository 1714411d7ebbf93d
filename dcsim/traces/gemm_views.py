"""Operators as GEMMs: M output pixels x N output channels x K filter volume per group, and the nonzeros of each column.

A view is (nonzero inputs per unfolded column (groups, K), nonzero weights (groups, N, K), sizes).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional


def linear_views(arguments: Any) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Column nonzeros (1, K), weight mask (1, N, K) and the GEMM view of a linear operator."""
    inputs, weight = arguments[0], arguments[1]
    n, k = weight.shape
    flat = inputs.reshape(-1, k)
    gemm = {"n_groups": 1, "m": flat.shape[0], "n": n, "k": k}
    return torch.count_nonzero(flat, dim=0)[None], (weight != 0)[None], gemm


def convolution_views(arguments: Any) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Column nonzeros (groups, K), weight mask (groups, N, K) and the GEMM view of a convolution of any rank."""
    inputs, weight = arguments[0], arguments[1]
    rank = weight.dim() - 2
    stride, padding, dilation = (
        _each(arguments[i] if len(arguments) > i else default, rank) for i, default in ((3, 1), (4, 0), (5, 1))
    )
    kernel = weight.shape[2:]
    margins = _margins(padding, dilation, kernel)
    n_groups = arguments[6] if len(arguments) > 6 else 1
    batched = inputs if inputs.dim() == rank + 2 else inputs[None]
    padded = functional.pad((batched != 0).to(torch.uint8), [p for side in reversed(margins) for p in side])
    sizes = padded.shape[2:]
    n_pixels = [(sizes[d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in range(rank)]
    columns = torch.stack(
        [
            _strided_view(padded, offset, dilation, stride, n_pixels).sum(
                dim=(0, *range(2, rank + 2)), dtype=torch.int64
            )
            for offset in itertools.product(*(range(size) for size in kernel))
        ],
        dim=1,
    )
    n_out, k = weight.shape[0] // n_groups, weight[0].numel()
    gemm = {"n_groups": n_groups, "m": int(np.prod(n_pixels)) * batched.shape[0], "n": n_out, "k": k}
    return columns.reshape(n_groups, k), (weight != 0).reshape(n_groups, n_out, k), gemm


def _strided_view(
    padded: torch.Tensor, offset: Sequence[int], dilation: Sequence[int], stride: Sequence[int], n_pixels: Sequence[int]
) -> torch.Tensor:
    """The input positions, (batch, channels, *n_pixels), that meet the kernel tap at `offset`."""
    view = padded
    for d, size in enumerate(n_pixels):
        first = offset[d] * dilation[d]
        view = view.narrow(d + 2, first, (size - 1) * stride[d] + 1)
        index = torch.arange(0, (size - 1) * stride[d] + 1, stride[d])
        view = view.index_select(d + 2, index)
    return view


def _margins(padding: list[Any], dilation: list[int], kernel: Sequence[int]) -> list[tuple[int, int]]:
    """Zeros before and after each dimension; `same` puts the odd one after, as torch does."""
    if padding[0] == "valid":
        return [(0, 0)] * len(kernel)
    if padding[0] == "same":
        totals = [d * (size - 1) for d, size in zip(dilation, kernel, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(side, side) for side in padding]


def _each(value: Any, rank: int) -> list[Any]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * rank if len(values) == 1 else values
