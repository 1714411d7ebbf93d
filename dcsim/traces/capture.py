"""Any torch model on real inputs -> Trace: the operators torch.export finds, each run on real tensors.

`export` follows the model once; `capture` runs what it found, operator by operator, and counts. A model that
torch.export refuses, because its control flow depends on its data, is run as it is while every ATen operator is looked
at. Operators that torch composes of others and that have no rule of their own are taken apart the same way.
"""

import io
import logging
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.utils import _pytree as pytree
from torch.utils.module_tracker import ModuleTracker

from dcsim.artifact import CompressedModel, Floats
from dcsim.compression.pipeline import load_weights
from dcsim.errors import NetworkError
from dcsim.traces.inputs import Inputs
from dcsim.traces.recording import CONSTANT, Source, trace_of
from dcsim.traces.stored import StoredNetwork
from dcsim.traces.torch_schemas import tensors_in
from dcsim.traces.trace import INPUT, Trace
from dcsim.traces.tracer import Dispatch, Functions, Tracer, storage_key

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Program:
    """A model ready to be traced.

    Attributes:
        exported: None when torch.export cannot follow it; then `refusal` says why, and the model is run as it is.
    """

    model: nn.Module
    exported: torch.export.ExportedProgram | None
    refusal: str = ""

    @property
    def code(self) -> str:
        """The operators as text, by which a network is recognised."""
        return self.exported.graph_module.code if self.exported else str(self.model)

    @property
    def is_virtual(self) -> bool:
        """Whether its weights are shapes only."""
        return any(parameter.is_meta for parameter in self.model.parameters())


def export(model: nn.Module, inputs: Inputs | Floats) -> Program:
    """Follow the model once, on inputs of this shape.

    Raises:
        NetworkError: the forward fails.
    """
    given = Inputs.of(inputs)
    model.eval()
    with torch.no_grad(), _quiet():
        device = "meta" if Program(model, None).is_virtual else "cpu"
        positional, named = _arguments(given, device)
        try:
            exported = torch.export.export(model, positional, named, strict=False)
        except Exception as error:
            program = Program(model, None, (str(error).strip() or type(error).__name__).splitlines()[0])
            _forward(program, _arguments(given, device), given)  # a forward that fails is refused here
            return program
    nested = [str(node.target) for node in exported.graph.nodes if _is_nested(node)]
    if nested:  # operators with graphs of their own are followed as they run
        return Program(model, None, f"the exported graph holds {nested[0]}")
    return Program(model, exported)


def _is_nested(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.HigherOrderOperator)


def open_exported(path: Path) -> tuple[Program, Inputs]:
    """A `.pt2` file that torch.export.save wrote, and the example inputs in it.

    Raises:
        NetworkError: it cannot be read; the message names an operator that this torch does not have.
    """
    try:
        with _quiet():
            exported = torch.export.load(path)
            program = Program(exported.module(check_guards=False), exported)
    except FileNotFoundError as error:
        raise NetworkError(f"no file {path}") from error
    except Exception as error:
        missing = _unregistered(path)
        if missing:
            raise NetworkError(
                f"{path} uses the operator {missing[0]}, which is not registered here: import the package that defines "
                "it, or trace the model itself as module:callable"
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NetworkError(f"cannot read {path}: {reason}; expected what torch.export.save wrote") from error
    positional, named = exported.example_inputs or ((), {})
    try:
        return program, Inputs.of((tuple(positional), dict(named)))
    except NetworkError as error:
        raise NetworkError(f"{path} takes no arrays, so it cannot be traced") from error


def _unregistered(path: Path) -> list[str]:
    """Operators that a saved program names and this torch does not have; torch itself says so in a log only."""
    found: dict[tuple[str, str], None] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    text = archive.read(name).decode(errors="replace")
                    found |= dict.fromkeys(re.findall(r"torch\.ops\.(\w+)\.(\w+)\.\w+", text))
    except (OSError, zipfile.BadZipFile):
        return []
    return [f"{space}::{name}" for space, name in found if not hasattr(getattr(torch.ops, space), name)]


def capture(
    program: Program,
    stored: StoredNetwork | CompressedModel,
    inputs: Inputs | Floats,
    test_error: float | None,
    exact: bool = True,
) -> Trace:
    """Run the network on `inputs`, operator by operator.

    Args:
        program: `export(model, inputs)`, which serves all variants.
        stored: a CompressedModel, whose weights are put into the model, or a StoredNetwork that says where the weights
            lie that the model has.
        inputs: batch first: the batch that makes one frame.
        test_error: measured on this file, or None.
        exact: count nonzero MACs; otherwise they are estimated from densities, which is quicker.

    Raises:
        NetworkError: weights and network do not match, the forward fails, or it computes nothing.
    """
    given = Inputs.of(inputs)
    if isinstance(stored, CompressedModel):
        load_weights(program.model, stored.decode())
        stored = StoredNetwork.of(stored)
    tracer = Tracer(exact)
    with torch.no_grad(), _quiet():
        arguments = _arguments(given, "meta" if program.is_virtual else "cpu")
        state = _own_state(program.model)
        for name, tensor in state.items():
            tracer.sizes[name] = tensor.numel()
            if tracer.source(tensor) == CONSTANT:  # a tied weight goes by its first name
                tracer.set_source(tensor, Source(weights=(name,)))
        tracer.buffers.update(storage_key(state[name]) for name, _ in program.model.named_buffers())
        for tensor in tensors_in(arguments):
            tracer.set_source(tensor, Source((INPUT,)))
        run = _run_exported if program.exported else _run_eagerly
        for tensor in tensors_in(run(program, tracer, state, arguments, given)):
            tracer.recorder.result(storage_key(tensor))
    return trace_of(
        tracer.recorder,
        stored,
        batch=given.batch,
        n_inputs=given.n_elements,
        input_sha256=given.sha256,
        test_error=test_error,
    )


class _Interpreter(fx.Interpreter):
    """Runs an exported graph node by node."""

    def __init__(self, module: fx.GraphModule, tracer: Tracer) -> None:
        super().__init__(module)
        self.extra_traceback = False  # it would append the interpreter's own lines to our messages
        self.tracer = tracer
        tracer.path = lambda: self.path
        self.path = ""

    def run_node(self, n: fx.Node) -> Any:
        stack = list((n.meta.get("nn_module_stack") or {}).values())
        self.path = str(stack[-1][0]) if stack else ""
        return super().run_node(n)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(target, torch._ops.OpOverload):
            return self.tracer.execute(target, args, kwargs)
        if isinstance(target, torch._ops.HigherOrderOperator):  # in a .pt2 file
            raise NetworkError(f"operator {target} in the exported graph cannot be traced; give the model instead")
        return super().call_function(target, args, kwargs)


def _run_exported(
    program: Program, tracer: Tracer, state: Mapping[str, torch.Tensor], arguments: Arguments, given: Inputs
) -> Any:
    exported = program.exported
    assert exported is not None
    users = iter(_user_inputs(exported, arguments, given))
    flat = []
    for spec in exported.graph_signature.input_specs:
        if spec.kind == torch.export.graph_signature.InputKind.USER_INPUT:
            flat.append(next(users))
        elif spec.target in state:
            flat.append(state[spec.target])
        else:
            constant = exported.constants[spec.target or ""]
            flat.append(constant.clone() if isinstance(constant, torch.Tensor) else constant)
    return _Interpreter(exported.graph_module, tracer).run(*flat)


def _user_inputs(exported: torch.export.ExportedProgram, arguments: Arguments, given: Inputs) -> list[Any]:
    """The inputs in the order of the exported graph. Raises NetworkError when they are not those it was made for."""
    positional, named = arguments
    expected = exported.call_spec.in_spec
    if expected is not None:
        by_name, by_place = list(expected.child(1).context), list(map(str, exported.graph_signature.user_inputs))
        if set(by_name) == set(named):
            named = {name: named[name] for name in by_name}
        elif not by_name and not positional and set(by_place) == set(named):  # a file of arrays has names for all
            positional, named = tuple(named[name] for name in by_place), {}
        leaves, found = pytree.tree_flatten((positional, named))
        if found != expected:
            wanted = ", ".join(by_name or by_place)
            offered = ", ".join(named) or f"{len(positional)} by place"
            raise NetworkError(f"the exported program takes other inputs: expected {wanted}, found {offered}")
    placeholders = {node.name: node.meta.get("val") for node in exported.graph.nodes if node.op == "placeholder"}
    for name, leaf in zip(exported.graph_signature.user_inputs, leaves, strict=True):
        made_for = placeholders.get(str(name))
        if not isinstance(leaf, torch.Tensor) or not isinstance(made_for, torch.Tensor):
            continue
        sizes = zip(leaf.shape, made_for.shape, strict=False)
        if leaf.dim() != made_for.dim() or any(isinstance(size, int) and size != here for here, size in sizes):
            shapes = f"{tuple(made_for.shape)}, found {tuple(leaf.shape)}"
            raise NetworkError(f"the exported program was made for an input {name} of shape {shapes}")
    return leaves


def _run_eagerly(
    program: Program, tracer: Tracer, state: Mapping[str, torch.Tensor], arguments: Arguments, given: Inputs
) -> Any:
    with ModuleTracker() as modules, Dispatch(tracer), Functions(tracer):
        tracer.path = lambda: max(modules.parents - {"Global"}, key=len, default="").partition(".")[2]
        names = reversed(list(state))
        by_storage = {storage_key(state[name]): name for name in names}  # tied weights by the first name
        try:
            return _forward(program, arguments, given, {name: state[name] for name in by_storage.values()})
        except NetworkError:
            if tracer.fault:
                raise tracer.fault from None
            raise


def _forward(
    program: Program, arguments: Arguments, given: Inputs, state: dict[str, torch.Tensor] | None = None
) -> Any:
    """The model's outputs. Raises NetworkError when its forward fails."""
    try:
        if state is None:
            return program.model(*arguments[0], **arguments[1])
        return torch.func.functional_call(program.model, state, *arguments)
    except NetworkError:
        raise
    except Exception as error:
        raise _failed(given, error) from error


def _failed(given: Inputs, error: Exception) -> NetworkError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return NetworkError(f"the model's forward fails on an input of shape {given.shapes}: {reason}")


def _arguments(given: Inputs, device: str) -> Arguments:
    """The inputs as tensors of their own, since a forward may write there."""

    def own(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return torch.from_numpy(np.array(value)).to(device)
        return value.detach().clone().to(device) if isinstance(value, torch.Tensor) else value

    positional, named = pytree.tree_map(own, (given.positional, dict(given.named)))
    return positional, named


def _own_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, each in a storage of its own; buffers as copies, since a forward may write."""
    state: dict[str, torch.Tensor] = {}
    first: dict[Any, torch.Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        tensor = parameter.detach()
        other = first.setdefault(storage_key(tensor), tensor)
        tied = other.shape == tensor.shape and other.stride() == tensor.stride()
        state[name] = tensor if tied and other.storage_offset() == tensor.storage_offset() else tensor.clone()
    copies: dict[int, torch.Tensor] = {}
    for name, buffer in model.named_buffers(remove_duplicate=False):
        state[name] = copies.setdefault(id(buffer), buffer.detach().clone())
    return state


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch explains while it exports, and without the fused paths whose parts cannot be seen."""
    fast = torch.backends.mha.get_fastpath_enabled()
    logging.disable(logging.CRITICAL)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # graphs of what it cannot follow
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(logging.NOTSET)
