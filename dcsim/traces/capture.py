"""Any torch model on real inputs -> Trace: the operators torch.export finds, each run on real tensors.

Counts are exact: MAC (m, n, k) has two nonzero operands when input (m, k) and weight (n, k) are nonzero, so the
products of the nonzeros in column k on either side, summed over k, are the nonzero MACs.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from dcsim import __version__
from dcsim.artifact import Block, CompressedModel, Floats, StoredTensor
from dcsim.compression.pipeline import load_weights
from dcsim.compression.training import forward
from dcsim.errors import NetworkError
from dcsim.files import sha256
from dcsim.traces.gemm_views import convolution_views, linear_views
from dcsim.traces.trace import INPUT, Layer, Trace
from dcsim.units import bytes_to_bits

#: operators that only rename or reorder what is there: no cost
VIEWS = frozenset(
    (
        "alias",
        "assert_tensor_metadata",
        "clone",
        "contiguous",
        "detach",
        "dropout",
        "expand",
        "expand_as",
        "feature_dropout",
        "flatten",
    )
    + ("getitem", "permute", "reshape", "slice", "squeeze", "t", "to", "transpose", "unflatten", "unsqueeze", "view")
)
#: operators that inference hardware applies on the way out of the preceding layer
FUSED = frozenset(
    ("batch_norm", "clamp", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax")
    + ("mish", "relu", "relu6", "sigmoid", "silu", "softmax", "softplus", "tanh")
)
#: operators that move elements without computing
MOVES = frozenset(("cat", "chunk", "index_select", "pad", "roll", "split", "stack", "unbind"))
#: fragments of names of operators that multiply matrices; one without a cost model here is refused, never guessed
MULTIPLYING = ("conv", "linear", "matmul", "mm", "mv", "dot", "attention", "lstm", "gru", "rnn", "einsum", "bilinear")


@dataclass(eq=False)
class _Record:
    """A layer while it is being captured."""

    name: str
    kind: str
    producers: tuple[int, ...]
    parameters: list[str]
    last_node: fx.Node
    output_shape: tuple[int, ...] = ()
    n_outputs: int = 0
    n_outputs_nonzero: int = 0
    gemm: dict[str, Any] = field(default_factory=dict)
    n_operands: int = 0
    input_shape: tuple[int, ...] = ()
    n_inputs: int = 0
    n_inputs_nonzero: int = 0


def export(model: nn.Module, inputs: Floats) -> torch.export.ExportedProgram:
    """The model's operators for inputs of this shape.

    Raises:
        NetworkError: the forward fails, or torch.export cannot follow it.
    """
    model.eval()
    with torch.no_grad():
        forward(model, torch.from_numpy(inputs.copy()))
        try:
            logging.disable(logging.WARNING)  # torch explains at length what the error below says in a line
            return torch.export.export(model, (torch.from_numpy(inputs.copy()),))
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise NetworkError(f"torch.export cannot follow the model: {reason}") from error
        finally:
            logging.disable(logging.NOTSET)


def capture(
    model: nn.Module,
    program: torch.export.ExportedProgram,
    stored: CompressedModel,
    inputs: Floats,
    test_error: float | None,
) -> Trace:
    """Run the network with the weights of `stored` on `inputs`, operator by operator.

    Args:
        model: the network; its weights are replaced by those of the file.
        program: `export(model, inputs)`, which serves all variants.
        inputs: float32, batch first: the batch that makes one frame.
        test_error: measured on this file, or None.

    Raises:
        NetworkError: an operator multiplies matrices but has no cost model, or weights and network do not match.
    """
    load_weights(model, stored.decode())
    recorder = _Recorder(program)
    with torch.no_grad():
        recorder.run(*_flat_arguments(program, model.state_dict(), torch.from_numpy(inputs.copy())))
    tensors = {tensor.name: tensor for tensor in stored.tensors}
    layers = tuple(_layer(record, tensors) for record in recorder.records)
    unmoved = tensors.keys() - {name for record in recorder.records for name in record.parameters}
    if not layers:
        raise NetworkError(f"{stored.network}: the forward pass executes no operator")
    return Trace(
        network=stored.network,
        variant=stored.variant,
        batch=len(inputs),
        synthetic=False,
        n_network_inputs=inputs.size,
        n_parameters=stored.n_parameters,
        file_bytes=stored.file_bytes,
        header_bytes=stored.header_bytes + sum(len(tensors[name].payload) for name in unmoved),
        file_sha256=stored.sha256,
        input_sha256=sha256(np.ascontiguousarray(inputs).tobytes()),
        test_error=test_error,
        dcsim_version=__version__,
        layers=layers,
    )


def _flat_arguments(
    program: torch.export.ExportedProgram, state: dict[str, torch.Tensor], batch: torch.Tensor
) -> Iterable[Any]:
    """Arguments of the exported graph in order: parameters, buffers, constants, then the input."""
    for spec in program.graph_signature.input_specs:
        if spec.kind == torch.export.graph_signature.InputKind.USER_INPUT:
            yield batch
        elif spec.target in state:
            yield state[spec.target]
        else:
            yield program.constants[spec.target or ""]


class _Recorder(fx.Interpreter):
    """Runs the graph node by node and turns operators into records."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__(program.graph_module)
        self.extra_traceback = False  # it would append the interpreter's own lines to our messages
        signature = program.graph_signature
        self.parameter_of = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.user_inputs = set(signature.user_inputs)
        self.records: list[_Record] = []
        self.owner: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "placeholder":
            if n.name in self.user_inputs:
                self.owner[n] = INPUT
            return super().run_node(n)
        if n.op != "call_function":
            return super().run_node(n)
        arguments, _ = self.fetch_args_kwargs_from_env(n)
        # In-place operators overwrite what they read, so inputs are counted before the operator runs.
        sources = [node for node in n.all_input_nodes if node in self.owner]
        inputs = [self.env[node] for node in sources if isinstance(self.env[node], torch.Tensor)]
        name = _operator(n)
        fuses = name in FUSED and self._can_fuse(sources)
        record = None
        if sources and name not in VIEWS and not fuses:
            record = self._new_record(n, name, sources, inputs, arguments)
        output = super().run_node(n)
        if not sources:
            return output
        if record is not None:
            self.owner[n] = len(self.records) - 1
        else:
            self.owner[n] = self.owner[sources[0]]
            record = self.records[self.owner[n]] if self.owner[n] != INPUT else None
        if record is not None and name not in VIEWS:
            record.parameters += [p for p in self._parameters(n) if p not in record.parameters]
            _count_output(record, output)
        if record is not None and (fuses or name in VIEWS) and record.last_node in sources:
            record.last_node = n
        return output

    def _can_fuse(self, sources: Sequence[fx.Node]) -> bool:
        """Whether the operator can ride on the layer before: that layer's result is read by nobody else."""
        if len(sources) != 1 or self.owner[sources[0]] == INPUT:
            return False
        return self.records[self.owner[sources[0]]].last_node is sources[0] and len(sources[0].users) == 1

    def _parameters(self, node: fx.Node) -> list[str]:
        return [self.parameter_of[source.name] for source in node.all_input_nodes if source.name in self.parameter_of]

    def _new_record(
        self, node: fx.Node, operator: str, sources: list[fx.Node], inputs: list[torch.Tensor], arguments: Any
    ) -> _Record:
        producers = tuple(dict.fromkeys(self.owner[source] for source in sources))
        record = _Record(_layer_name(node, operator), operator, producers, [], node)
        record.input_shape = tuple(inputs[0].shape) if inputs else ()
        record.n_inputs = sum(tensor.numel() for tensor in inputs)
        record.n_inputs_nonzero = sum(int(torch.count_nonzero(tensor)) for tensor in inputs)
        if operator == "linear" or (operator.startswith("conv") and operator[4:] in ("1d", "2d", "3d")):
            weight = node.args[1]
            if not isinstance(weight, fx.Node) or weight.name not in self.parameter_of:
                raise NetworkError(f"{record.name}: {node.target} without fixed weights has no cost model yet")
            views = linear_views if operator == "linear" else convolution_views
            column_nonzeros, mask, record.gemm = views(arguments)
            record.gemm["mask"] = mask
            record.gemm["column_nonzeros"] = tuple(column_nonzeros.flatten().tolist())
            record.gemm["n_macs_nonzero"] = int((column_nonzeros * mask.sum(1)).sum())
        elif any(fragment in operator for fragment in MULTIPLYING):
            raise NetworkError(f"{record.name}: operator {node.target} has no cost model yet, so it cannot be traced")
        record.n_operands = len(inputs)
        self.records.append(record)
        return record


def _operator(node: fx.Node) -> str:
    """`aten.max_pool2d.default` as `max_pool2d`; in-place twins share the name."""
    target = node.target
    name = target._schema.name.split("::")[-1] if hasattr(target, "_schema") else getattr(target, "__name__", "")
    return str(name).strip("_")


def _layer_name(node: fx.Node, operator: str) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path if path else node.name


def _count_output(record: _Record, output: Any) -> None:
    tensors = [output] if isinstance(output, torch.Tensor) else [t for t in output if isinstance(t, torch.Tensor)]
    record.output_shape = tuple(tensors[0].shape)
    record.n_outputs = sum(tensor.numel() for tensor in tensors)
    record.n_outputs_nonzero = sum(int(torch.count_nonzero(tensor)) for tensor in tensors)


def _alu_ops(record: _Record) -> int:
    """Comparisons and additions: one per input of a pooling, one per output and operand beyond the first otherwise."""
    if record.gemm or record.kind in MOVES:
        return 0
    if record.n_operands > 1:
        return (record.n_operands - 1) * record.n_outputs
    return record.n_inputs


def _layer(record: _Record, tensors: dict[str, StoredTensor]) -> Layer:
    gemm = record.gemm
    owned = [tensors[name] for name in record.parameters if name in tensors]
    weight = owned[0] if gemm else None
    mask = gemm.get("mask")
    blocks: list[Block] = list(weight.blocks) if weight is not None else []
    for tensor in owned[1:] if weight is not None else owned:
        n_bits = bytes_to_bits(len(tensor.payload))
        blocks.append(Block(tensor.name, 0, tensor.n_elements, n_bits))
    n_macs = gemm["n_groups"] * gemm["m"] * gemm["n"] * gemm["k"] if gemm else 0
    return Layer(
        name=record.name,
        kind=record.kind,
        producers=record.producers,
        input_shape=record.input_shape,
        output_shape=record.output_shape,
        n_groups=gemm.get("n_groups", 0),
        m=gemm.get("m", 0),
        n=gemm.get("n", 0),
        k=gemm.get("k", 0),
        n_macs_dense=n_macs,
        n_macs_nonzero=gemm.get("n_macs_nonzero", 0),
        n_alu_ops=_alu_ops(record),
        n_inputs=record.n_inputs,
        n_inputs_nonzero=record.n_inputs_nonzero,
        n_outputs=record.n_outputs,
        n_outputs_nonzero=record.n_outputs_nonzero,
        n_weights=weight.n_elements if weight is not None else 0,
        n_weights_nonzero=int(mask.sum()) if mask is not None else 0,
        encoding=weight.encoding if weight is not None else None,
        stored_bytes=sum(len(tensor.payload) for tensor in owned),
        blocks=tuple(blocks),
        weight_bitmap=np.packbits(mask.numpy(), bitorder="little").tobytes() if mask is not None else None,
        column_nonzeros=gemm.get("column_nonzeros"),
    )
