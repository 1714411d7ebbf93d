"""An ONNX graph -> Trace, without torch: its operators one by one, on real arrays in onnxruntime or by shapes alone.

An operator that reads nothing of the input is computed in either case: what it makes is as constant as what it reads.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dcsim.artifact import CompressedModel, Variant
from dcsim.errors import NetworkError
from dcsim.traces.gemms import Gemm
from dcsim.traces.inputs import Inputs
from dcsim.traces.onnx_execution import Sessions, infer
from dcsim.traces.onnx_file import OnnxFile, first_line
from dcsim.traces.onnx_operators import POINTWISE, RENAMES, SHAPES, Node, Value, kind_of
from dcsim.traces.onnx_products import RULES
from dcsim.traces.recording import Event, Recorder, Source, Tensor, trace_of
from dcsim.traces.stored import store
from dcsim.traces.torch_operators import FIRST_RESULT, n_operations, pointwise_operations
from dcsim.traces.trace import INPUT, Trace
from dcsim.units import bytes_to_bits


def trace_onnx(
    path: Path,
    inputs: Inputs | None,
    variant: Variant = "dense",
    file: CompressedModel | None = None,
    network: str | None = None,
) -> Trace:
    """The trace of an ONNX graph with the weights it holds.

    Args:
        inputs: by the graph's own names, or in its order; without any the graph is followed by its shapes, and nobody
            knows what is zero but in the weights.
        variant: how its weights are packed.
        file: a `.dcz` file with some or all of its weights, which are taken instead; then `variant` does not count.
        network: name to record; that of the file by default.

    Raises:
        NetworkError: the file cannot be read, inputs and graph do not match, a shape is not known without inputs, or
            an operator cannot be executed.
        ArtifactError: a tensor cannot be stored.
    """
    graph = OnnxFile(path, file)
    stored = store(network or path.stem, variant, graph.floats(), file)
    tracer = GraphTracer(graph, stored.weights)
    given = graph.inputs(inputs) if inputs else graph.shapes()
    tracer.trace(given)
    return trace_of(
        tracer.recorder,
        stored,
        batch=next((value.shape[0] for value in given.values() if value.shape), 1),
        n_inputs=sum(math.prod(value.shape) for value in given.values()),
        input_sha256=inputs.sha256 if inputs else "",
        test_error=None,
    )


class GraphTracer:
    """Executes a graph's operators and tells a Recorder what each read, made and multiplied.

    Attributes:
        values: what some operator has yet to read, by the name of the tensor.
    """

    def __init__(self, file: OnnxFile, stored: Collection[str]) -> None:
        self.file, self.recorder = file, Recorder()
        self.values: dict[str, Value] = {}
        self._sessions = Sessions(file.opsets)
        for name in stored:
            self.recorder.set_source(name, Source(weights=(name,)))

    # what rules ask

    def value(self, name: str) -> Value:
        """A tensor; those of the file stay in memory until the operator is done."""
        if name not in self.values:
            self.values[name] = Value.of(self.file.array(name))
        return self.values[name]

    def is_activation(self, name: str) -> bool:
        """Whether it depends on the input, or is kept from frame to frame."""
        return self.recorder.source(name).is_activation

    def is_stored(self, name: str) -> bool:
        """Whether it is a stored tensor, or computed from such alone."""
        source = self.recorder.source(name)
        return bool(source.weights) and not source.is_activation

    def read(self, name: str, part: Value | None = None) -> Tensor:
        """A tensor, or a part of it, as an operator sees it; nonzeros of weights and constants are not asked for."""
        source, value = self.recorder.source(name), part or self.value(name)
        n_nonzero = value.n_nonzero if source.is_activation else None
        return Tensor(value.shape, n_nonzero, bytes_to_bits(value.dtype.itemsize), source)

    def reads(self, node: Node) -> list[Tensor]:
        """The tensors that a node reads."""
        return [self.read(name) for name in node.inputs if name]

    def made(self, value: Value) -> Tensor:
        """A tensor as its maker leaves it."""
        return Tensor(value.shape, value.n_nonzero, bytes_to_bits(value.dtype.itemsize))

    # what rules tell

    def add_gemm(
        self,
        kind: str,
        node: Node,
        reads: Iterable[Tensor],
        makes: Iterable[Tensor],
        gemm: Gemm,
        *,
        n_alu_ops: int = 0,
        after: tuple[int, ...] = (),
        outputs: Sequence[str] | None = None,
    ) -> int:
        """Note a matrix product that makes `outputs`, those of the operator by default; its number."""
        event = Event(kind, node.operator, node.module, tuple(reads), tuple(makes), gemm, n_alu_ops, after=after)
        return self.recorder.add(event, *(node.makes if outputs is None else outputs))

    def add_lookup(self, node: Node, n_looked_up: int) -> None:
        """Note that rows of the stored table that is the first input were looked up."""
        table, *others = self.reads(node)
        event = Event(
            "embedding",
            node.operator,
            node.module,
            (*others, table),
            (self.made(self.value(node.outputs[0])),),
            table=table.source.weights[0],
            n_looked_up=n_looked_up,
        )
        self.recorder.add(event, *node.makes)

    def made_by(self, numbers: Sequence[int], node: Node) -> None:
        """Say that several operators together made what a node makes."""
        for name in node.makes:
            self.recorder.set_source(name, Source(tuple(numbers)))

    def rename(self, node: Node) -> None:
        """Say that what a node makes is what it reads."""
        source = Source.merged(map(self.recorder.source, node.inputs))
        for name in node.makes:
            self.recorder.set_source(name, source)

    # executing

    def trace(self, given: Mapping[str, Value]) -> None:
        """Run the whole graph on its inputs."""
        for name, value in given.items():
            self.values[name] = value
            self.recorder.set_source(name, Source((INPUT,)))
        self._run(self.file.nodes, (), set(given))
        for name in self.file.outputs:
            self.recorder.result(name)

    def _run(self, nodes: Sequence[Node], kept: Collection[str], own: set[str]) -> None:
        """Run operators in order. What is their `own` is dropped after its last reader, but for what is `kept`."""
        last = {name: index for index, node in enumerate(nodes) for name in node.reads}
        for index, node in enumerate(nodes):
            self._execute(node)
            own.update(node.makes)
            for name in (*node.reads, *node.makes):
                is_done = name in own and name not in kept and last.get(name, index) == index
                if is_done or name in self.file.tensors:
                    self.values.pop(name, None)

    def _execute(self, node: Node) -> None:
        if node.type == "If":
            self._branch(node)
            return
        if not node.makes:
            return
        if node.branches:
            raise self._refused(
                node, "runs graphs of its own, which dcsim does not follow; export the network unrolled"
            )
        self.values.update(self._results(node))
        if node.type in SHAPES or not any(map(self.is_activation, node.inputs)):
            names = () if node.type in SHAPES else Source.merged(map(self.recorder.source, node.inputs)).weights
            for name in node.makes:
                self.recorder.set_source(name, Source(weights=names))
        elif node.type in RENAMES:
            self.rename(node)
        elif node.type not in RULES or not RULES[node.type](self, node):
            self._compute(node)

    def _branch(self, node: Node) -> None:
        """Of an If only the branch that is taken, as if it stood in its place."""
        condition = self.value(node.inputs[0]).array
        if condition is None:
            raise self._refused(node, "depends on the input: give one with --inputs FILE.npz")
        taken = node.branches["then_branch" if condition.all() else "else_branch"]
        own: set[str] = set()
        self._run(taken.nodes, taken.outputs, own)
        for name, inner in zip(node.outputs, taken.outputs, strict=True):
            self.values[name] = self.value(inner)
            self.recorder.set_source(name, self.recorder.source(inner))
        for inner in own.intersection(taken.outputs):
            self.values.pop(inner, None)

    def _results(self, node: Node) -> dict[str, Value]:
        """What the operator makes, by name; its values where those of all it reads are known."""
        inputs = [self.value(name) if name else None for name in node.inputs]
        if node.type in ("Shape", "Size") and inputs[0]:
            shape = inputs[0].shape[node.attributes.get("start", 0) : node.attributes.get("end")]
            return {node.outputs[0]: Value.of(np.array(shape if node.type == "Shape" else math.prod(shape), np.int64))}
        try:
            if any(value is not None and value.array is None for value in inputs):
                return infer(node, inputs, self.file)
            made = self._sessions.run(node, [value.array if value else None for value in inputs])
        except NetworkError:
            raise
        except Exception as error:  # onnxruntime has no class of its own for them
            given = ", ".join(f"{value.dtype} {value.shape}" for value in inputs if value)
            raise self._refused(node, f"fails on {given}: {first_line(error)}") from error
        if not all(isinstance(array, np.ndarray) for array in made):
            raise self._refused(node, "makes something else than tensors, which dcsim does not follow")
        return {name: Value.of(array) for name, array in zip(node.makes, made, strict=True)}

    def _refused(self, node: Node, reason: str) -> NetworkError:
        return NetworkError(f"{self.file.path}: operator {node.operator}, {node.name}, {reason}")

    def _compute(self, node: Node) -> None:
        """Anything that multiplies no matrices."""
        reads = self.reads(node)
        kind = kind_of(node, len(reads[0].shape) - 2)
        names = node.makes[: 1 if kind in FIRST_RESULT else None]
        makes = tuple(self.made(self.value(name)) for name in names)
        activations = [tensor for tensor in reads if tensor.source.is_activation]
        n_read, n_made = (sum(tensor.n_elements for tensor in tensors) for tensors in (activations, makes))
        cost: int | None
        if node.type in POINTWISE:
            cost = pointwise_operations(n_made, len(activations))
        else:
            cost = n_operations(kind, {"kernel_size": node.attributes.get("kernel_shape")}, n_read, n_made)
        event = Event(
            kind,
            node.operator,
            node.module,
            tuple(reads),
            makes,
            n_alu_ops=cost or 0,
            rides=node.type in POINTWISE or kind == "batch_norm",
            known=cost is not None,
        )
        self.recorder.add(event, *node.makes)
