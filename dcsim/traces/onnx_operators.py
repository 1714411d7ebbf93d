"""ONNX operators and tensors, and by which of torch's kinds an operator is counted. Needs neither onnx nor torch.

Whatever has no entry here, and no rule in onnx_products, is counted as data movement and says so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.traces.gemms import Operand

Array = npt.NDArray[Any]

#: operators that only rename or reorder what is there: no cost
RENAMES = frozenset(
    ("Cast", "CastLike", "Dropout", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze")
    + ("Transpose", "Unsqueeze")
)
#: operators that read no more of a tensor than its shape and type
SHAPES = frozenset(("EyeLike", "RandomNormalLike", "RandomUniformLike", "Shape", "Size"))
#: operators that make each element from one of each operand, and so may ride on the one before
POINTWISE = frozenset(
    ("Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd", "BitwiseNot")
    + ("BitwiseOr", "BitwiseXor", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor")
    + ("Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less")
    + ("LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow")
    + ("Reciprocal",)
    + ("Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub")
    + ("Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor")
)
#: the kind in torch_operators, where it is not the name in small letters; {} is the number of spatial dimensions
KINDS = {
    **{"ArgMax": "argmax", "ArgMin": "argmin", "AveragePool": "avg_pool{}d", "BatchNormalization": "batch_norm"},
    **{"CenterCropPad": "pad", "Col2Im": "col2im", "Compress": "masked_select", "Concat": "cat", "CumSum": "cumsum"},
    **{"Max": "maximum", "Min": "minimum", "Sum": "add"},
    **{"DepthToSpace": "pixel_shuffle", "Gather": "index_select", "GatherElements": "gather", "GatherND": "index"},
    **{"GlobalAveragePool": "adaptive_avg_pool{}d", "GlobalMaxPool": "adaptive_max_pool{}d"},
    **{"GroupNormalization": "group_norm", "InstanceNormalization": "instance_norm", "LogSoftmax": "log_softmax"},
    **{"LayerNormalization": "layer_norm", "MaxPool": "max_pool{}d", "OneHot": "one_hot", "PRelu": "prelu"},
    **{"RMSNormalization": "rms_norm", "ReduceL1": "norm", "ReduceL2": "norm", "ReduceLogSum": "sum"},
    **{"ReduceLogSumExp": "logsumexp", "ReduceMax": "amax", "ReduceMean": "mean", "ReduceMin": "amin"},
    **{"ReduceProd": "prod", "ReduceSum": "sum", "ReduceSumSquare": "sum", "ReverseSequence": "flip"},
    **{"Scatter": "scatter", "ScatterElements": "scatter", "ScatterND": "index_put", "SpaceToDepth": "pixel_unshuffle"},
    **{"Tile": "repeat", "Trilu": "tril"},
}
#: Resize and Upsample by mode and number of spatial dimensions
RESIZES = {"nearest": "upsample_nearest{}d", "linear1": "upsample_linear{}d", "linear2": "upsample_bilinear{}d"}
RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(eq=False)
class Value:
    """A tensor of the graph.

    Attributes:
        array: None where its values are not known.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Array | None = None

    @classmethod
    def of(cls, array: Array) -> "Value":
        """Of an array whose elements are known."""
        return cls(array.shape, array.dtype, array)

    @cached_property
    def n_nonzero(self) -> int | None:
        """Nonzero elements; None where they are not known."""
        return None if self.array is None else int(np.count_nonzero(self.array))

    def is_all(self, number: int) -> bool:
        """Whether every element is known to be this number."""
        return self.array is not None and bool((self.array == number).all())

    @property
    def operand(self) -> Operand:
        """What is not zero in it."""
        return Operand(self.shape, None if self.array is None else self.array != 0)

    def arranged(self, *shape: int, order: Sequence[int]) -> "Value":
        """The same elements in another shape, then with axes in another order."""
        ordered = tuple(shape[axis] for axis in order)
        return Value(ordered, self.dtype, None if self.array is None else self.array.reshape(shape).transpose(order))

    def part(self, *places: int | slice) -> "Value":
        """What lies at places along the first axes, of a tensor whose values are known or not."""
        array = np.broadcast_to(np.zeros((), self.dtype), self.shape) if self.array is None else self.array
        found = np.asarray(array[places])
        return Value(found.shape, self.dtype, None if self.array is None else found)


@dataclass(frozen=True, eq=False)
class Branch:
    """A graph: operators in order, and the names of what it gives back."""

    nodes: tuple["Node", ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of a graph.

    Attributes:
        type: `Conv`; with its domain where that is not ONNX's own.
        name: for messages.
        module: where in the network it says it is; empty when it does not.
        inputs, outputs: names of tensors; empty where an optional one is absent.
        branches: graphs that it runs, by the attribute they are.
        proto: as onnx has it.
    """

    type: str
    name: str
    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    branches: Mapping[str, Branch]
    proto: Any

    @property
    def operator(self) -> str:
        """The graph's own word for it."""
        return self.type if "." in self.type else f"onnx.{self.type}"

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads, in the graphs that it runs too."""
        inner = (name for branch in self.branches.values() for node in branch.nodes for name in node.reads)
        given = (name for branch in self.branches.values() for name in branch.outputs)
        return tuple(filter(None, (*self.inputs, *inner, *given)))

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of what it makes."""
        return tuple(filter(None, self.outputs))

    def input(self, index: int) -> str:
        """The name of an input, empty when it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""


def kind_of(node: Node, rank: int) -> str:
    """The operator in dcsim's words, those of torch where it has the same.

    Args:
        rank: spatial dimensions of the first input.
    """
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.type.rpartition(".")[2]).lower()
    if "." in node.type:
        return f"{node.type.rpartition('.')[0]}.{plain}"
    if node.type in ("Resize", "Upsample"):
        mode = node.attributes.get("mode", "nearest")
        return RESIZES.get(mode, RESIZES.get(f"{mode}{rank}", plain)).format(rank)
    return KINDS.get(node.type, plain).format(rank)
