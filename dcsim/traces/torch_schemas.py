"""What the schema of an ATen operator says about a call of it: arguments by name, views, what is written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from dcsim.traces.torch_operators import SCATTERS

Operator = torch._ops.OpOverload


def tensors_in(tree: Any) -> Iterator[torch.Tensor]:
    """Every tensor among nested arguments or results."""
    return (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor))


def bound(operator: Operator, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, defaults included."""
    found = {}
    for place, argument in enumerate(operator._schema.arguments):
        if place < len(positional):
            found[argument.name] = positional[place]
        else:
            found[argument.name] = named.get(argument.name, argument.default_value)
    return found


def is_view(operator: Operator) -> bool:
    """Whether all it gives are views of what it reads."""
    returns = operator._schema.returns
    return bool(returns) and all(each.alias_info is not None and not each.alias_info.is_write for each in returns)


def written(operator: Operator, positional: Sequence[Any], named: Mapping[str, Any]) -> torch.Tensor | None:
    """The tensor that an in-place operator writes to."""
    for argument, value in zip(operator._schema.arguments, positional, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, torch.Tensor):
            return value
    return next((value for name, value in named.items() if name == "out" and isinstance(value, torch.Tensor)), None)


def is_part(tensor: torch.Tensor) -> bool:
    """Whether it is a view of some of its storage."""
    return tensor.numel() * tensor.element_size() < tensor.untyped_storage().nbytes()


def n_written(kind: str, target: torch.Tensor, inputs: Sequence[torch.Tensor]) -> int:
    """Elements written to what is kept: those given, where they go to places picked out of it, else all."""
    if kind in SCATTERS:
        others = [tensor.numel() for tensor in inputs if tensor is not target and tensor.dtype == target.dtype]
        return max(others, default=target.numel())
    return target.numel()
