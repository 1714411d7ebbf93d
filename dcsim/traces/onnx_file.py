"""An ONNX file: its operators, the tensors it holds or that lie beside it, and what it wants for inputs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import checker, helper, numpy_helper

from dcsim.artifact import CompressedModel, Floats
from dcsim.errors import NetworkError
from dcsim.traces.inputs import Inputs
from dcsim.traces.onnx_operators import RECURRENT, Array, Branch, Node, Value

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
ONNX_DOMAINS = ("", "ai.onnx")
GIVE_INPUTS = "give inputs with --inputs FILE.npz"


class OnnxFile:
    """A graph that onnx's checker finds valid.

    Attributes:
        opsets: versions of the operators.
        nodes, outputs: operators in order; names of what the graph gives back.
        tensors: what the file holds, initializers and constants, by name.
        types: what it says of tensors that operators make, by name.
    """

    def __init__(self, path: Path, stored: CompressedModel | None = None) -> None:
        """Read it, but no tensor that lies in a file of its own.

        Args:
            stored: where some of its weights are taken from instead.

        Raises:
            NetworkError: there is no such file, it is not an ONNX file or not a valid one, or a file of values beside
                it is missing.
        """
        self.path = path
        self._stored = {tensor.name: tensor for tensor in stored.tensors} if stored else {}
        model = _opened(path)
        self.opsets = list(model.opset_import)
        self.tensors: dict[str, Any] = {}
        for name, tensor in _tensors(model.graph):
            if name in self.tensors:
                raise NetworkError(f"{path}: two tensors are called {name}; rename one of them")
            self.tensors[name] = tensor
        weights = set(self.weights)
        for name, tensor in self._stored.items():
            expected = tuple(self.tensors[name].dims) if name in weights else "none of that name"
            if tensor.shape != expected:
                raise NetworkError(f"the file does not fit {path}: {name} of shape {tensor.shape}; expected {expected}")
        top = _branch(model.graph)
        self.nodes, self.outputs = top.nodes, top.outputs
        self._inputs = {each.name: each.type for each in model.graph.input if each.name not in self.tensors}
        self.types = {each.name: each.type for each in (*model.graph.value_info, *model.graph.output)}

    @property
    def weights(self) -> list[str]:
        """Tensors of floats, but for single numbers: what a `.dcz` file holds."""
        return [
            name
            for name, tensor in self.tensors.items()
            if tensor.data_type in FLOATS and tensor.dims and 0 not in tensor.dims
        ]

    def array(self, name: str) -> Array:
        """The values of a tensor. Raises NetworkError when they cannot be read."""
        tensor = self.tensors[name]
        try:
            if name in self._stored:
                dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
                return self._stored[name].decode().astype(dtype, copy=False)
            return numpy_helper.to_array(tensor, str(self.path.parent))
        except (OSError, KeyError, TypeError, ValueError, checker.ValidationError) as error:
            raise NetworkError(f"{self.path}: cannot read the values of {name}: {first_line(error)}") from error

    def floats(self) -> Iterator[tuple[str, Floats]]:
        """The weights one after the other, as fp32. Raises NetworkError for values that fp32 does not have."""
        for name in self.weights:
            values = self.array(name)
            with np.errstate(over="ignore"):
                single = values.astype(np.float32, copy=False)
            if not np.isfinite(single).all():
                what = "values beyond fp32" if np.isfinite(values).all() else "values that are not finite"
                raise NetworkError(f"{self.path}: {name} has {what}, which no file can hold; mend or retrain it")
            if values.dtype == np.float64 and not np.array_equal(single, values):
                raise NetworkError(f"{self.path}: {name} has float64 values that fp32 cannot hold; convert it first")
            yield name, single

    def inputs(self, given: Inputs) -> dict[str, Value]:
        """The graph's inputs by name, those given by place in its order.

        Raises:
            NetworkError: one is missing, unknown, or of another type or shape.
        """
        names = list(self._inputs)
        found = dict(zip(names, given.positional, strict=False))
        expected = f"expected {', '.join(names)}"
        if len(given.positional) > len(names):
            raise NetworkError(f"{self.path} takes {len(names)} inputs, not {len(given.positional)}: {expected}")
        for name in given.named:
            if name not in names:
                raise NetworkError(f"{self.path} has no input {name}: {expected}")
            if name in found:
                raise NetworkError(f"{self.path}: the input {name} is given by place and by name")
        found |= given.named
        missing = [name for name in names if name not in found]
        if missing:
            raise NetworkError(f"{self.path}: the input {missing[0]} is missing: {expected}")
        return {name: self._checked(name, np.asarray(found[name], order="C")) for name in names}

    def _checked(self, name: str, array: Array) -> Value:
        dtype, sizes = self._declared(name)
        fits = len(sizes) == array.ndim and all(
            isinstance(size, str) or size == n for size, n in zip(sizes, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise NetworkError(
                f"{self.path}: the input {name} is {array.dtype} of shape {array.shape}; expected {dtype} "
                f"of shape ({', '.join(map(str, sizes))})"
            )
        return Value.of(array)

    def shapes(self) -> dict[str, Value]:
        """The graph's inputs by name, without values; a batch whose size is open is 1.

        Raises:
            NetworkError: another size is open.
        """
        found = {}
        for name in self._inputs:
            dtype, sizes = self._declared(name)
            batch = [1 if isinstance(size, str) else size for size in sizes[:1]]
            found[name] = Value(closed([*batch, *sizes[1:]], f"{self.path}: the input {name}"), dtype)
        return found

    def _declared(self, name: str) -> tuple[np.dtype[Any], list[int | str]]:
        """Type and sizes of an input. Some exporters write 0 for a size that is open."""
        kind = self._inputs[name]
        if not kind.HasField("tensor_type"):
            raise NetworkError(f"{self.path}: the input {name} is not a tensor, which dcsim does not follow")
        dtype = helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type)
        return dtype, [size or "?" for size in sizes_of(kind) or []]


def sizes_of(kind: Any) -> list[int | str] | None:
    """The dimensions of a tensor's type, by name where they are open; None when nobody says how many there are."""
    if not kind.tensor_type.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param or "?"
        for dim in kind.tensor_type.shape.dim
    ]


def closed(sizes: Sequence[int | str], what: str) -> tuple[int, ...]:
    """A shape. Raises NetworkError when one of its sizes is open."""
    for axis, size in enumerate(sizes):
        if isinstance(size, str):
            raise NetworkError(f"{what}: dimension {axis}, {size}, is not known without inputs; {GIVE_INPUTS}")
    return tuple(size for size in sizes if isinstance(size, int))


def first_line(error: Exception) -> str:
    """What an error says before it goes into detail."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# --- reading -------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> Any:
    """The model as onnx has it, with its functions put where they are called. Raises NetworkError."""
    if not path.is_file():
        raise NetworkError(f"no file {path}")
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:  # whatever the protobuf library at hand raises
        raise NetworkError(f"cannot read {path}: not an ONNX file, or cut off: {first_line(error)}") from error
    if not (model.ir_version and model.HasField("graph")):
        raise NetworkError(f"cannot read {path}: not an ONNX file")
    for name, tensor in _tensors(model.graph):
        place = {entry.key: entry.value for entry in tensor.external_data}.get("location")
        if place is not None and not (path.parent / place).is_file():
            raise NetworkError(f"{path}: the values of {name} are missing: no file {path.parent / place}")
    try:
        checker.check_model(str(path))
    except Exception as error:  # it has a class of its own only for some
        raise NetworkError(f"{path} is not a valid ONNX graph: {first_line(error)}") from error
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise NetworkError(f"{path}: {name} is stored sparse, which dcsim does not read; store it dense")
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _graphs(proto: Any) -> dict[str, Any]:
    """The graphs that an operator runs."""
    return {each.name: each.g for each in proto.attribute if each.type == onnx.AttributeProto.GRAPH}


def _tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    """Initializers and constants by name, those of graphs inside it too."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for proto in graph.node:
        constant = _constant(proto)
        if constant is not None:
            yield proto.output[0], constant
        for inner in _graphs(proto).values():
            yield from _tensors(inner)


def _constant(proto: Any) -> Any:
    """The tensor of a Constant; None for all others, and for constants that are text or sparse."""
    if proto.op_type != "Constant" or proto.domain not in ONNX_DOMAINS:
        return None
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        match attribute.name:
            case "value":
                return value
            case "value_float" | "value_floats":
                return numpy_helper.from_array(np.array(value, np.float32))
            case "value_int" | "value_ints":
                return numpy_helper.from_array(np.array(value, np.int64))
    return None


def _branch(graph: Any) -> Branch:
    nodes = tuple(_node(proto) for proto in graph.node if _constant(proto) is None)
    return Branch(nodes, tuple(each.name for each in graph.output))


def _node(proto: Any) -> Node:
    """An operator; what a recurrent one gives at each step gets a name even where nobody asks for it."""
    path, slash, last = proto.name.rpartition("/")
    outputs = tuple(proto.output)
    if proto.op_type in RECURRENT and any(outputs) and not outputs[0]:
        outputs = (f"steps of {' '.join(outputs[1:])}", *outputs[1:])
    return Node(
        type=proto.op_type if proto.domain in ONNX_DOMAINS else f"{proto.domain}.{proto.op_type}",
        name=proto.name or f"that makes {', '.join(filter(None, outputs))}",
        module=path.strip("/") if slash else last,
        inputs=tuple(proto.input),
        outputs=outputs,
        attributes={each.name: _plain(helper.get_attribute_value(each)) for each in proto.attribute},
        branches={name: _branch(graph) for name, graph in _graphs(proto).items()},
        proto=proto,
    )


def _plain(value: Any) -> Any:
    """Text as text."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
