"""Executes ATen operators one by one and tells a Recorder what each read, made and multiplied."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from dcsim.errors import NetworkError
from dcsim.traces.gemms import Gemm, Operand, Weights
from dcsim.traces.recording import CONSTANT, Event, Recorder, Source, Tensor
from dcsim.traces.torch_operators import (
    FIRST_RESULT,
    OPERATIONS,
    OVERWRITES,
    POINTWISE,
    RENAMES,
    SCATTERS,
    is_listed,
    kind_of,
    n_operations,
    pointwise_operations,
)
from dcsim.traces.torch_products import handler_of
from dcsim.traces.torch_schemas import Operator, bound, is_part, is_view, n_written, tensors_in, written
from dcsim.units import bytes_to_bits

RECURRENT = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


def storage_key(tensor: torch.Tensor) -> Hashable:
    """A name of the tensor's storage; while it is held no other storage gets the same."""
    key: Hashable = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
    return key


class Tracer:
    """Executes operators and tells a Recorder what each read, made and multiplied.

    With `exact` off, nonzeros are counted but not where they are: nonzero MACs follow from densities.

    A tensor is known by its storage, so that views of it and what is written into them need no bookkeeping.
    """

    def __init__(self, exact: bool = True) -> None:
        self.recorder = Recorder()
        self.exact = exact
        self.path: Callable[[], str] = str  # of the module that is executing
        self.buffers: set[Hashable] = set()  # storages that outlive the frame
        self.sizes: dict[str, int] = {}  # elements of parameters and buffers
        self.fault: Exception | None = None  # of the tracer itself, not of the network
        self._weights: dict[Any, Weights] = {}
        self._operands: dict[Any, Operand] = {}
        self._counted: dict[Hashable, tuple[Any, int]] = {}  # the last count of each storage, and of what

    # what handlers ask

    def source(self, tensor: torch.Tensor) -> Source:
        """Where a tensor comes from."""
        return self.recorder.source(storage_key(tensor))

    def set_source(self, tensor: torch.Tensor, source: Source) -> None:
        """Note where a tensor comes from."""
        self.recorder.set_source(storage_key(tensor), source)

    def is_activation(self, tensor: torch.Tensor) -> bool:
        """Whether it depends on the input, or is kept from frame to frame."""
        return self.source(tensor).is_activation

    def knows(self, tensor: torch.Tensor) -> bool:
        """Whether its values are to be looked at, not its shape alone."""
        return self.exact and not tensor.is_meta

    def n_stored(self, tensor: torch.Tensor) -> int:
        """Elements of the parameters and buffers that it is, or was computed from."""
        return sum(self.sizes.get(name, 0) for name in self.source(tensor).weights)

    def alias(self, tensor: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
        """The same values in another order: it comes from where the original does."""
        self.set_source(tensor, self.source(original))
        return tensor

    def operand(self, tensor: torch.Tensor) -> Operand:
        """What is not zero in it."""
        key = self._identity(tensor)
        if key not in self._operands:
            mask = (tensor.detach() != 0).numpy() if self.knows(tensor) else None
            self._operands[key] = Operand(tuple(tensor.shape), mask)
        return self._operands[key]

    def weights(self, tensor: torch.Tensor) -> Weights:
        """The same of stored weights, (groups, N, K), kept for the next time they are read."""
        key = self._identity(tensor)
        if key not in self._weights:
            mask = (tensor.detach() != 0).numpy() if self.knows(tensor) else None
            found = Weights.of(Operand(tuple(tensor.shape), mask))
            if mask is None and not tensor.is_meta:
                found = replace(found, n_nonzero=int(torch.count_nonzero(tensor)))
            self._weights[key] = found
        return self._weights[key]

    def _identity(self, tensor: torch.Tensor) -> tuple[Any, ...]:
        version = 0 if tensor.is_inference() else tensor._version
        return (storage_key(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), version)

    def read(self, tensor: torch.Tensor) -> Tensor:
        """The tensor as an operator sees it; nonzeros of weights and constants are not asked for."""
        source, n_nonzero = self.source(tensor), None
        if source.is_activation and not tensor.is_meta:
            n_nonzero = self._n_nonzero(tensor)
        return Tensor(tuple(tensor.shape), n_nonzero, bytes_to_bits(tensor.element_size()), source)

    def made(self, tensor: torch.Tensor) -> Tensor:
        """The tensor as its maker leaves it."""
        n_nonzero = None if tensor.is_meta else self._n_nonzero(tensor)
        return Tensor(tuple(tensor.shape), n_nonzero, bytes_to_bits(tensor.element_size()))

    def _n_nonzero(self, tensor: torch.Tensor) -> int:
        """Counted once for who makes it and who reads it; inference tensors do not tell when they are written to."""
        if tensor.is_inference():
            return int(torch.count_nonzero(tensor))
        identity, key = self._identity(tensor), storage_key(tensor)
        if self._counted.get(key, (None, 0))[0] != identity:
            operand = self._operands.get(identity)
            mask = operand.mask if operand else None
            self._counted[key] = identity, int(torch.count_nonzero(tensor) if mask is None else np.count_nonzero(mask))
        return self._counted[key][1]

    # what handlers tell

    def add_gemm(
        self,
        kind: str,
        operator: str,
        reads: Sequence[torch.Tensor | None],
        made: Sequence[torch.Tensor],
        gemm: Gemm,
        *,
        n_alu_ops: int = 0,
        after: tuple[int, ...] = (),
    ) -> int:
        """Note a matrix product; its number."""
        seen = tuple(self.read(tensor) for tensor in reads if tensor is not None)
        estimated = not self.exact and seen[0].n_nonzero is not None
        if estimated:
            gemm = _estimated(gemm, seen)
        event = Event(
            kind,
            operator,
            self.path(),
            seen,
            tuple(map(self.made, made)),
            gemm,
            n_alu_ops,
            after=after,
            estimated=estimated,
        )
        return self.recorder.add(event, *map(storage_key, made))

    def add_lookup(
        self, operator: str, table: torch.Tensor, indices: torch.Tensor, made: torch.Tensor, n_looked_up: int
    ) -> None:
        """Note that rows of a stored table were looked up."""
        names = self.source(table).weights
        event = Event(
            "embedding",
            operator,
            self.path(),
            (self.read(indices), self.read(table)),
            (self.made(made),),
            table=names[0] if names else None,
            n_looked_up=n_looked_up,
        )
        self.recorder.add(event, storage_key(made))

    def made_by(self, numbers: Sequence[int], *tensors: torch.Tensor) -> None:
        """Say that each tensor was made by several operators together."""
        for tensor in tensors:
            self.set_source(tensor, Source(tuple(numbers)))

    # executing

    def execute(self, operator: Operator, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Run one operator and note it. What goes wrong here, other than in the operator itself, is kept as `fault`."""
        try:
            return self._execute(operator, positional, named)
        except NetworkError:
            raise
        except Exception as error:
            self.fault = self.fault or error
            raise

    def _execute(self, operator: Operator, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
        kind, overload = kind_of(operator._schema.name), operator._overloadname
        handler = handler_of(kind, overload)
        if not (handler or is_listed(kind)) and operator.has_kernel_for_dispatch_key(COMPOSITE):
            with Dispatch(self):
                parts = operator.decompose(*positional, **named)
            if parts is not NotImplemented:
                return parts
        inputs = list(tensors_in((positional, named)))
        if not any(map(self.is_activation, inputs)) or kind.endswith("_like") or kind.startswith("new_"):
            return self._derive(operator, positional, named, inputs)
        if handler:
            result = self._call(operator, positional, named)
            handler(self, str(operator), bound(operator, positional, named), list(tensors_in(result)))
        elif kind in RENAMES or is_view(operator):
            result = self._call(operator, positional, named)
            for tensor in tensors_in(result):
                self.set_source(tensor, Source.merged(map(self.source, inputs)))
        else:
            result = self._compute(operator, kind, positional, named, inputs)
        self._operands.clear()
        return result

    def _call(self, operator: Operator, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
        try:
            return operator(*positional, **named)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise NetworkError(f"{self.path() or 'the network'}: operator {operator} fails: {reason}") from error

    def _derive(
        self, operator: Operator, positional: Sequence[Any], named: Mapping[str, Any], inputs: Sequence[torch.Tensor]
    ) -> Any:
        """An operator that reads no activation: what it makes is as constant as what it reads."""
        result = self._call(operator, positional, named)
        merged = Source.merged(self.source(tensor) for tensor in inputs)
        for tensor in tensors_in(result):
            if not self.is_activation(tensor):
                self.set_source(tensor, Source(weights=merged.weights))
        return result

    def _compute(
        self,
        operator: Operator,
        kind: str,
        positional: Sequence[Any],
        named: Mapping[str, Any],
        inputs: Sequence[torch.Tensor],
    ) -> Any:
        """Anything else. In-place operators overwrite what they read, so inputs are counted before it runs."""
        target = written(operator, positional, named)
        is_kept = target is not None and storage_key(target) in self.buffers
        if target is not None and (kind in OVERWRITES or (is_kept and kind in SCATTERS)):
            inputs = [tensor for tensor in inputs if tensor is not target]
        reads = tuple(map(self.read, inputs))
        before = self.source(target) if target is not None else CONSTANT
        result = self._call(operator, positional, named)
        outputs = [target] if target is not None else list(tensors_in(result))[: 1 if kind in FIRST_RESULT else None]
        if not outputs:
            return result  # a number: the host's business
        makes = () if is_kept else tuple(map(self.made, outputs))
        activations = [tensor for tensor in reads if tensor.source.is_activation]
        n_read = sum(tensor.n_elements for tensor in activations)
        n_made = sum(tensor.numel() for tensor in outputs)
        cost = n_operations(kind, bound(operator, positional, named), n_read, n_made)
        pointwise = torch.Tag.pointwise in operator.tags or kind in POINTWISE
        rides = pointwise or (kind == "batch_norm" and cost == OPERATIONS[kind] * n_made)
        if cost is None and pointwise:
            cost = pointwise_operations(n_made, len(activations))
        event = Event(
            kind,
            str(operator),
            self.path(),
            reads,
            makes,
            n_alu_ops=cost or 0,
            rides=rides and not is_kept,
            n_kept=n_written(kind, outputs[0], inputs) if is_kept else 0,
            known=cost is not None,
        )
        number = self.recorder.add(event, *map(storage_key, outputs))
        if is_kept:
            self.set_source(outputs[0], Source((number,), before.weights, kept=True))
        elif target is not None and (kind in SCATTERS or is_part(target)):
            self.set_source(target, Source((*before.events, number)))
        return result


def _estimated(gemm: Gemm, reads: Sequence[Tensor]) -> Gemm:
    """Nonzero MACs if zeros lay anywhere: the densities of both sides times all MACs."""
    share = Fraction(1)
    for tensor in reads:
        if tensor.n_nonzero is not None and tensor.n_elements:
            share *= Fraction(tensor.n_nonzero, tensor.n_elements)
    if gemm.weights and gemm.weights.n_elements:
        share *= Fraction(gemm.weights.n_nonzero, gemm.weights.n_elements)
    return replace(gemm, n_macs_nonzero=round(gemm.n_macs_dense * share))


class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every ATen operator to a tracer."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracer = tracer

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.tracer.execute(func, args, kwargs or {})


class Functions(TorchFunctionMode):
    """Hands a tracer whole what torch would take apart before Dispatch sees it: attention and recurrent layers."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer
        aten = torch.ops.aten
        self.operators: dict[Any, Operator] = {
            torch.nn.functional.scaled_dot_product_attention: aten.scaled_dot_product_attention.default,
            torch.nn.functional.rms_norm: aten.rms_norm.default,
            torch.lstm: aten.lstm.input,
            torch.gru: aten.gru.input,
            torch.rnn_tanh: aten.rnn_tanh.input,
            torch.rnn_relu: aten.rnn_relu.input,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operator = self.operators.get(func)
        is_packed = func in RECURRENT and not isinstance(args[3], bool)  # batch sizes come second, and shift the rest
        if operator is None or is_packed:
            return func(*args, **(kwargs or {}))
        with _disable_current_modes():
            return self.tracer.execute(operator, args, kwargs or {})
