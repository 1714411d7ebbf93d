"""Which tensors a network's units tie together, and removing units so that the network is physically smaller.

A *unit* is an output of a layer: a filter, a neuron. It has a row of its layer's weights, an element of its bias and
of the batch norms behind it, and columns of the weights that read it. A file keeps the full shapes: units that are left
lie first in them, all else is zero, so the network computes the same in its original architecture; only the order of
units has changed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.nn import functional

from dcsim.compression.recipe import Recipe

Tensors = dict[str, nn.Parameter]
Array = TypeVar("Array", bound=npt.NDArray[Any])
_Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
#: what works on each unit by itself and makes nothing of zero
UNIT_BY_UNIT = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Tanh,
    nn.Hardswish,
    nn.Hardtanh,
) + (nn.Identity, nn.Dropout)
UNIT_BY_UNIT_FUNCTIONS = frozenset(
    (torch.relu, torch.tanh, functional.relu, functional.relu6, functional.leaky_relu, functional.elu)
    + (functional.gelu, functional.silu, functional.hardswish, functional.dropout)
)
#: the same for the channels of a convolution alone
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.Dropout2d) + (
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
POOL_FUNCTIONS = frozenset((functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d))


@dataclass(frozen=True)
class Units:
    """The units of one layer, as tensors name them.

    Attributes:
        layer: name of its module.
        norms: batch norms behind it.
        readers: layers that read it.
    """

    layer: str
    norms: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """All that have tensors of these units."""
        return (self.layer, *self.norms, *self.readers)


def compressible(model: nn.Module, recipe: Recipe) -> Tensors:
    """What a recipe compresses: the tensors its `layers` match; without any, matrices, filters and their biases."""
    named = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    if recipe.layers:
        return {name: tensor for name, tensor in named.items() if recipe.layer_of(name, tensor.dim())}
    matrices = {name for name, tensor in named.items() if tensor.dim() > 1}
    beside = {f"{name.removesuffix('.weight')}.bias" for name in matrices}
    return {name: tensor for name, tensor in named.items() if name in matrices | beside}


def n_compressible(model: nn.Module, recipe: Recipe) -> int:
    """Weights and biases in all that a recipe compresses."""
    return sum(tensor.numel() for tensor in compressible(model, recipe).values())


def find_units(model: nn.Module) -> dict[str, Units]:
    """The layers whose units can be removed: what they give is read by layers alone, with nothing added or joined.

    Layers whose tensors are used elsewhere too are left out. There are none where torch.fx cannot follow the model.
    """
    try:
        graph = fx.symbolic_trace(model).graph
    except Exception:  # of many kinds, for control flow it cannot follow
        return {}
    modules = dict(model.named_modules())
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    elsewhere = _used_elsewhere(model, graph)
    found = {}
    for node in graph.nodes:
        layer = modules[str(node.target)] if node.op == "call_module" else None
        if _is_plain_layer(layer):
            walk = _Walk(modules, layer)
            if walk.follow(node, False) and walk.readers:
                units = Units(str(node.target), tuple(walk.norms), tuple(walk.readers))
                if all(calls[name] == 1 and name not in elsewhere for name in units.modules):
                    found[units.layer] = units
    return found


def _used_elsewhere(model: nn.Module, graph: fx.Graph) -> set[str]:
    """Modules with a tensor that is tied to another module's, or read past them."""
    named = list(model.named_parameters(remove_duplicate=False))
    owners = Counter(id(tensor) for _, tensor in named)
    tied = {name.rpartition(".")[0] for name, tensor in named if owners[id(tensor)] > 1}
    return tied | {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}


def _is_plain_layer(module: nn.Module | None) -> TypeGuard[_Layer]:
    plain = isinstance(module, nn.Linear) or (isinstance(module, CONVOLUTIONS) and module.groups == 1)
    return plain and module is not None and "weight" in module._parameters  # not computed from other tensors


class _Walk:
    """From a layer to all that reads it."""

    def __init__(self, modules: Mapping[str, nn.Module], layer: _Layer) -> None:
        self._modules, self._layer = modules, layer
        self._is_convolution = isinstance(layer, CONVOLUTIONS)
        self.norms: list[str] = []
        self.readers: list[str] = []

    def follow(self, node: fx.Node, flat: bool) -> bool:
        """Whether everything that reads `node` keeps units apart. `flat`: one axis holds units and their pixels."""
        for user in node.users:
            module = self._modules.get(str(user.target)) if user.op == "call_module" else None
            if _is_plain_layer(module):
                if not self._can_read(module, flat):
                    return False
                self.readers.append(str(user.target))
                continue
            flattens = (isinstance(module, nn.Flatten) and module.start_dim == 1) or _flattens(user)
            if isinstance(module, NORMS) and not flat and self._is_of_units(module):
                self.norms.append(str(user.target))
            elif not flattens and not self._works_unit_by_unit(user, module, flat):
                return False
            if not self.follow(user, flat or flattens):
                return False
        return True

    def _can_read(self, reader: _Layer, flat: bool) -> bool:
        n_units, n_inputs = len(self._layer.weight), reader.weight.shape[1]
        if isinstance(reader, CONVOLUTIONS):
            return self._is_convolution and not flat
        if self._is_convolution:
            return flat and n_inputs % n_units == 0
        return n_inputs == n_units

    def _is_of_units(self, norm: nn.Module) -> bool:
        """Whether a batch norm has as many features as there are units: of (n, rows, units) it normalises rows."""
        tensors = [tensor for tensor in (*norm.parameters(), *norm.buffers()) if tensor.dim()]
        return all(len(tensor) == len(self._layer.weight) for tensor in tensors)

    def _works_unit_by_unit(self, node: fx.Node, module: nn.Module | None, flat: bool) -> bool:
        if module is not None:
            pools = isinstance(module, POOLS)
            return isinstance(module, UNIT_BY_UNIT) or (pools and self._is_convolution and not flat)
        pools = node.target in POOL_FUNCTIONS
        works = node.target in UNIT_BY_UNIT_FUNCTIONS or (pools and self._is_convolution and not flat)
        return node.op == "call_function" and works


def _flattens(node: fx.Node) -> bool:
    return node.target is torch.flatten and (node.args[1:] == (1,) or dict(node.kwargs) == {"start_dim": 1})


@torch.no_grad()
def keep_units(model: nn.Module, units: Units, kept: torch.Tensor) -> None:
    """Leave a layer the units `kept` (int64, in the order they shall have), and its readers their columns."""
    n_units = len(_weight(model, units.layer))
    for name in (units.layer, *units.norms):
        module = model.get_submodule(name)
        for part, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if tensor.dim():
                _replace(module, part, tensor[kept])
    for name in units.readers:
        weight = _weight(model, name)
        columns = _by_unit(weight, n_units)[:, kept]
        _replace(model.get_submodule(name), "weight", columns.reshape(len(weight), -1, *weight.shape[2:]))


def _weight(model: nn.Module, layer: str) -> torch.Tensor:
    return model.get_parameter(f"{layer}.weight").detach()


def _by_unit(weight: torch.Tensor, n_units: int) -> torch.Tensor:
    """A reader's weights as (its own units, units read, weights for each)."""
    return weight.reshape(len(weight), n_units, -1)


def _replace(module: nn.Module, part: str, tensor: torch.Tensor) -> None:
    tensor = tensor.detach().clone().contiguous()
    old = module._parameters.get(part)
    if old is not None:
        setattr(module, part, nn.Parameter(tensor, old.requires_grad))
    else:
        setattr(module, part, tensor)


@torch.no_grad()
def drop_dead_units(model: nn.Module) -> None:
    """Remove the units that nothing reads, or that have nothing to say, until there are none; one of a layer stays.

    Then those with the most weights come first, since gaps of like sizes lie together and take fewer bits.
    """
    found = find_units(model)
    changed = True
    while changed:
        changed = False
        for units in found.values():
            alive = _alive(model, units)
            if not alive.any():  # a layer keeps one unit, which says nothing
                alive[0] = True
                for tensor in model.get_submodule(units.layer).parameters(recurse=False):
                    changed |= bool(tensor[0].any())
                    tensor[0] = 0
            if not alive.all():
                keep_units(model, units, alive.nonzero()[:, 0])
                changed = True
    for units in found.values():
        parts = [model.get_parameter(f"{name}.weight").ne(0) for name in (units.layer, *units.readers)]
        n_weights = parts[0].flatten(1).sum(1)
        for part in parts[1:]:
            n_weights += _by_unit(part, len(n_weights)).sum((0, 2))
        keep_units(model, units, torch.sort(n_weights, descending=True, stable=True).indices)


def _alive(model: nn.Module, units: Units) -> torch.Tensor:
    """Whether each unit is read, and has a weight, a bias or a batch norm that may give it a value."""
    weight, bias = _weight(model, units.layer), model.get_submodule(units.layer).bias
    read = torch.stack([_by_unit(_weight(model, name), len(weight)).any(2).any(0) for name in units.readers]).any(0)
    if units.norms:
        return read
    speaks = weight.flatten(1).any(1)
    return read & (speaks | bias.bool() if isinstance(bias, torch.Tensor) else speaks)


def unit_saliency(model: nn.Module, units: Units, squares: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What removing each unit would cost: w^2 E[g^2] over the weights it has and those that read it, (units,).

    Args:
        squares: mean squared gradients by name of tensor.
    """
    own = _weight(model, units.layer) ** 2 * squares[f"{units.layer}.weight"]
    saliency = own.flatten(1).sum(1)
    for name in units.readers:
        damage = _weight(model, name) ** 2 * squares[f"{name}.weight"]
        saliency += _by_unit(damage, len(own)).sum((0, 2))
    return saliency


def set_shapes(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Give a model's tensors the shapes of `state`, as a smaller network left it."""
    own = model.state_dict()
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            path, _, part = name.rpartition(".")
            _replace(model.get_submodule(path), part, state[name])


def in_full_shape(weights: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Tensors of a smaller network in the shapes of the original: its units first, zeros behind."""
    full: dict[str, Array] = {}
    for name, values in weights.items():
        full[name] = np.zeros(shapes[name], values.dtype)  # type: ignore[assignment]  # of the dtype that went in
        full[name][tuple(slice(length) for length in values.shape)] = values
    return full
