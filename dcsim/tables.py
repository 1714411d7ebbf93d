"""A network as a table of layers, for those whose weights are not at hand: what YAML says of a layer, and all shapes.

    input_shape: [3, 32, 32]
    layers:
      - {name: conv1, kind: conv2d, n_inputs: 3, n_outputs: 16, kernel: 3, padding: 1}
      - {name: conv2, kind: conv2d, n_inputs: 16, n_outputs: 16, kernel: 3, padding: 1, weight_density: 0.3}
      - {name: sum, kind: add, inputs: [conv1, conv2]}
      - {name: pool, kind: max_pool2d, kernel: 2}
      - {name: fc, kind: linear, n_inputs: 4096, n_outputs: 10, weight_density: 0.1, activation_density: 0.4}

A layer reads the one before, or what `inputs` names; `network` is the network's own input, whose shape is
[channels, height, width] or [features]. It can be left out where the first layer is linear. Shapes are of one example.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.config import Spec

Count = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Density = Annotated[float, Field(gt=0, le=1)]
Bits = Annotated[float, Field(gt=0, le=32)]
CodeBits = Annotated[int, Field(ge=1, le=10)]
Shape = tuple[int, ...]

NETWORK = "network"  # what a layer calls the network's input
INPUT = -1  # its index


class LayerSpec(Spec):
    """What every row of the table says.

    Attributes:
        name: of its own in the table.
        kind: of operator.
        inputs: layers that it reads; `network` is the network's own input. The layer before unless said.
    """

    name: Annotated[str, Field(min_length=1)]
    kind: str
    inputs: tuple[str, ...] | None = None

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """What it makes of inputs of these shapes. Raises ValueError with what it expects instead."""
        raise NotImplementedError

    def n_operations_per_output(self, n_inputs: int) -> int:
        """Comparisons and additions for each element that it makes of `n_inputs` tensors, MACs not counted."""
        return 0


class WeightedSpec(LayerSpec):
    """A layer with weights: how many are not zero, and the widths that they are stored in.

    Attributes:
        n_inputs, n_outputs: features, or channels of a convolution.
        weight_density, activation_density: nonzero / all of its weights, and of the activations it reads.
        code_bits: width of a code before Huffman coding.
        gap_bits: width of a gap before Huffman coding; `auto` makes the file smallest.
        huffman_bits_per_code: mean over all entries, fillers included, after Huffman coding; drawn codes meet it.
        huffman_bits_per_gap: the same of gaps. With it the layer's sizes follow from the numbers and nothing is drawn.
    """

    n_inputs: Count
    n_outputs: Count
    weight_density: Density = 1.0
    activation_density: Density = 1.0
    code_bits: CodeBits
    gap_bits: Annotated[int, Field(ge=0, le=MAX_GAP_BITS)] | Literal["auto"] = "auto"
    huffman_bits_per_code: Bits | None = None
    huffman_bits_per_gap: Bits | None = None

    @model_validator(mode="after")
    def _shorter_when_coded(self) -> Self:
        for symbol, mean, width in (
            ("code", self.huffman_bits_per_code, self.code_bits),
            ("gap", self.huffman_bits_per_gap, self.gap_bits),
        ):
            if mean is not None and width != "auto" and mean > width:
                raise ValueError(f"huffman_bits_per_{symbol} {mean:g} is more than the {width} bits of an uncoded one")
        return self

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights, output first, as torch has it."""
        raise NotImplementedError

    @property
    def n_weights(self) -> int:
        """Weights, zeros included, without biases."""
        return math.prod(self.weight_shape)

    @property
    def n_groups(self) -> int:
        """Parts of the inputs that do not see each other."""
        return self.n_inputs // self.weight_shape[1]


class LinearSpec(WeightedSpec):
    """A fully connected layer; what it reads is flattened. Five bits a code, as in Deep Compression, section 5."""

    kind: Literal["linear"]
    code_bits: CodeBits = 5

    @property
    def weight_shape(self) -> Shape:
        return (self.n_outputs, self.n_inputs)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if math.prod(_only(inputs)) != self.n_inputs:
            raise ValueError(f"{self.n_inputs:,} features")
        return (self.n_outputs,)


class WindowedSpec(LayerSpec):
    """A window that slides over height and width; sizes are one number for both, or one for each.

    Attributes:
        kernel: size of the window.
        padding: zeros around the image.
    """

    kernel: Count | tuple[Count, Count]
    padding: NotNegative | tuple[NotNegative, NotNegative] = 0

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the window."""
        return _pair(self.kernel)

    @property
    def steps(self) -> tuple[int, int]:
        """From one window to the next, down and to the right."""
        raise NotImplementedError

    def slide(self, image: Shape, n_channels: int | None) -> tuple[int, int]:
        """Where the window can lie over the height and the width of an image. Raises ValueError."""
        expected = f"[{'channels' if n_channels is None else n_channels}, height, width]"
        if len(image) != 3 or image[0] != (n_channels or image[0]):
            raise ValueError(expected)
        size = tuple(size + 2 * margin for size, margin in zip(image[1:], _pair(self.padding), strict=True))
        if any(side < window for side, window in zip(size, self.window, strict=True)):
            raise ValueError(f"{expected} into which a window of {' x '.join(map(str, self.window))} fits")
        height, width = (
            (side - window) // step + 1 for side, window, step in zip(size, self.window, self.steps, strict=True)
        )
        return height, width


class Conv2dSpec(WindowedSpec, WeightedSpec):
    """A convolution; `n_inputs` and `n_outputs` are channels. Eight bits a code, as in Deep Compression, section 5.

    Attributes:
        stride: from one window to the next.
        groups: parts of the channels that do not see each other.
    """

    kind: Literal["conv2d"]
    stride: Count | tuple[Count, Count] = 1
    groups: Count = 1
    code_bits: CodeBits = 8

    @model_validator(mode="after")
    def _even_groups(self) -> Self:
        if self.n_inputs % self.groups or self.n_outputs % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {self.n_inputs} channels into {self.n_outputs}")
        return self

    @property
    def steps(self) -> tuple[int, int]:
        return _pair(self.stride)

    @property
    def weight_shape(self) -> Shape:
        return (self.n_outputs, self.n_inputs // self.groups, *self.window)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.n_outputs, *self.slide(_only(inputs), self.n_inputs))


class _PoolSpec(WindowedSpec):
    """A pool over windows.

    Attributes:
        stride: from one window to the next; the size of the window unless said.
    """

    stride: Count | tuple[Count, Count] | None = None

    @property
    def steps(self) -> tuple[int, int]:
        return self.window if self.stride is None else _pair(self.stride)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        image = _only(inputs)
        return (image[0], *self.slide(image, None))

    def n_operations_per_output(self, n_inputs: int) -> int:
        return math.prod(self.window)


class MaxPool2dSpec(_PoolSpec):
    """The largest of each window."""

    kind: Literal["max_pool2d"]


class AvgPool2dSpec(_PoolSpec):
    """The mean of each window."""

    kind: Literal["avg_pool2d"]


class AddSpec(LayerSpec):
    """The sum of all inputs, element by element."""

    kind: Literal["add"]

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs) < 2 or len(set(inputs)) != 1:
            raise ValueError("two inputs or more of one shape")
        return inputs[0]

    def n_operations_per_output(self, n_inputs: int) -> int:
        return n_inputs - 1


class CatSpec(LayerSpec):
    """All inputs one after the other, channel by channel."""

    kind: Literal["cat"]

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs) < 2 or len({shape[1:] for shape in inputs}) != 1:
            raise ValueError("two inputs or more that differ in channels alone")
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])


TableLayer = Annotated[
    LinearSpec | Conv2dSpec | MaxPool2dSpec | AvgPool2dSpec | AddSpec | CatSpec, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Placed:
    """Where a layer stands in its network.

    Attributes:
        inputs: index and output shape of each layer it reads; -1 is the network's input.
        output_shape: as all shapes of one example.
    """

    inputs: tuple[tuple[int, Shape], ...]
    output_shape: Shape

    @property
    def producers(self) -> tuple[int, ...]:
        """Indices of the layers it reads."""
        return tuple(producer for producer, _ in self.inputs)


def place(layers: Sequence[LayerSpec], input_shape: Shape | None) -> tuple[Placed, ...]:
    """Who reads whom, and all shapes.

    Args:
        input_shape: of the network's input; None for the features that a first linear layer reads.

    Raises:
        ValidationError: names that stand twice or nowhere, shapes that clash; each fault at its place in the file.
    """
    if input_shape is None and isinstance(layers[0], LinearSpec):
        input_shape = (layers[0].n_inputs,)
    shapes: dict[int, Shape | None] = {INPUT: input_shape}  # None where a fault leaves it open
    numbers = {NETWORK: INPUT}
    placed: list[Placed] = []
    faults: list[InitErrorDetails] = []
    if input_shape is None:
        faults.append(_fault(f"{layers[0].name} reads an image: give the network an input_shape", 0))
    for index, layer in enumerate(layers):
        producers, unknown = _producers(index, layer, numbers)
        faults += unknown
        if layer.name in numbers:
            faults.append(_fault(f"the name {layer.name} is taken; every layer has one of its own", index, "name"))
        numbers.setdefault(layer.name, index)
        inputs = [(producer, shape) for producer in producers if (shape := shapes[producer])]
        shapes[index] = None
        if unknown or len(inputs) < len(producers):
            continue
        try:
            shapes[index] = made = layer.output_shape([shape for _, shape in inputs])
            placed.append(Placed(tuple(inputs), made))
        except ValueError as expected:
            given = [f"{'the network' if i == INPUT else layers[i].name} gives {list(shape)}" for i, shape in inputs]
            faults.append(
                _fault(f"{layer.name} expects {expected}; {' and '.join(given) or 'it reads nothing'}", index)
            )
    if faults:
        raise ValidationError.from_exception_data("layers", faults)
    return tuple(placed)


def _producers(index: int, layer: LayerSpec, numbers: dict[str, int]) -> tuple[tuple[int, ...], list[InitErrorDetails]]:
    """Indices of what a layer reads, and what is wrong with the names it gives."""
    if layer.inputs is None:
        return (index - 1,), []
    known = ", ".join(numbers)
    faults = [
        _fault(f"no layer before it is called {name!r}; known: {known}", index, "inputs", at)
        for at, name in enumerate(layer.inputs)
        if name not in numbers
    ]
    return tuple(numbers[name] for name in layer.inputs if name in numbers), faults


def _fault(message: str, *place_in_layers: str | int) -> InitErrorDetails:
    location = ("layers", *place_in_layers)
    return InitErrorDetails(type="value_error", loc=location, input=None, ctx={"error": ValueError(message)})


def _only(inputs: Sequence[Shape]) -> Shape:
    if len(inputs) != 1:
        raise ValueError("one input")
    return inputs[0]


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)
