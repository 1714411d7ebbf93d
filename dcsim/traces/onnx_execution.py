"""Single ONNX operators, run by onnxruntime or followed by their shapes alone."""

from collections.abc import Sequence
from typing import Any

import onnx
import onnxruntime
from onnx import helper, numpy_helper, shape_inference

from dcsim.errors import NetworkError
from dcsim.traces.onnx_file import GIVE_INPUTS, OnnxFile, closed, sizes_of
from dcsim.traces.onnx_operators import Array, Node, Value

IR_VERSION = 8  # of the models made here: every onnxruntime that knows the operators reads it
LIKE_THEIR_INPUT = ("GroupNormalization", "MeanVarianceNormalization")  # onnx has no rule for their shapes
MAX_ELEMENTS_THAT_GIVE_A_SHAPE = 1 << 10


class Sessions:
    """onnxruntime on one operator at a time. Operators that differ in values alone share a session, which has none."""

    def __init__(self, opsets: Sequence[Any]) -> None:
        self._opsets = opsets
        self._made: dict[Any, Any] = {}
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = 1  # sums in one order everywhere, and no threads for each operator
        self._options.enable_cpu_mem_arena = False  # what a session has freed is free
        self._options.log_severity_level = 4
        self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def run(self, node: Node, inputs: Sequence[Array | None]) -> list[Any]:
        """What the operator makes of arrays, without its absent outputs. Raises whatever onnxruntime does."""
        proto = _alone(node)
        places = {name: array for name, array in zip(proto.input, inputs, strict=True) if array is not None}
        types = tuple(
            (name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in places.items()
        )
        key = (proto.SerializeToString(deterministic=True), types)
        if key not in self._made:
            given = [helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in types]
            makes = [helper.make_empty_tensor_value_info(name) for name in proto.output if name]
            graph = helper.make_graph([proto], "one", given, makes)
            model = helper.make_model(graph, opset_imports=self._opsets, ir_version=IR_VERSION)
            content = model.SerializeToString()
            self._made[key] = onnxruntime.InferenceSession(content, self._options, ["CPUExecutionProvider"])
        found: list[Any] = self._made[key].run(None, places)
        return found


def _alone(node: Node) -> Any:
    """The operator with names of its own, so that others like it are equal to it."""
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.name, proto.doc_string = "", ""
    del proto.input[:], proto.output[:], proto.metadata_props[:]
    proto.input.extend(f"i{index}" if name else "" for index, name in enumerate(node.inputs))
    proto.output.extend(f"o{index}" if name else "" for index, name in enumerate(node.outputs))
    return proto


def infer(node: Node, inputs: Sequence[Value | None], file: OnnxFile) -> dict[str, Value]:
    """What an operator makes, without values; from what the file says where onnx does not know the operator.

    Raises:
        NetworkError: a size is not known.
        Exception: whatever onnx raises when shapes do not fit each other.
    """
    proto = _alone(node)
    given = {name: value for name, value in zip(proto.input, inputs, strict=True) if value is not None}
    types = {
        name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given.items()
    }
    data = {
        name: numpy_helper.from_array(value.array)
        for name, value in given.items()
        if value.array is not None and value.array.size <= MAX_ELEMENTS_THAT_GIVE_A_SHAPE
    }
    versions = {opset.domain: opset.version for opset in file.opsets}
    found: dict[str, Any] = {}
    if node.type in LIKE_THEIR_INPUT:
        found = {proto.output[0]: types[proto.input[0]]}
    elif onnx.defs.has(proto.op_type, proto.domain):
        schema = onnx.defs.get_schema(proto.op_type, versions.get(proto.domain, 1), proto.domain)
        found = shape_inference.infer_node_outputs(schema, proto, types, data, None, file.opsets, IR_VERSION)
    return {
        name: _known(file, name, found.get(own)) for name, own in zip(node.outputs, proto.output, strict=True) if name
    }


def _known(file: OnnxFile, name: str, inferred: Any) -> Value:
    """A tensor of the shape that was inferred, or that the file says. Raises NetworkError when a size is open."""
    kinds = [kind for kind in (inferred, file.types.get(name)) if kind is not None]
    shapes = [sizes for sizes in map(sizes_of, kinds) if sizes is not None]
    if not shapes:
        raise NetworkError(f"{file.path}: the shape of {name} is not known without inputs; {GIVE_INPUTS}")
    sizes = next((sizes for sizes in shapes if all(isinstance(size, int) for size in sizes)), shapes[0])
    dtype = helper.tensor_dtype_to_np_dtype(kinds[0].tensor_type.elem_type)
    return Value(closed(sizes, f"{file.path}: {name}"), dtype)
