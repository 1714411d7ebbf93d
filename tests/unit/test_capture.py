"""Does capture count what the network really does? Checked against numbers worked out by hand and plain loops."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dcsim.artifact import VARIANTS, CompressedModel, Floats, Variant, pack
from dcsim.compression.pipeline import state_weights
from dcsim.errors import NetworkError
from dcsim.traces.capture import capture, export
from dcsim.traces.trace import INPUT, Trace
from dcsim.zoo import lenet_5

torch.set_num_threads(1)


def traced(model: nn.Module, inputs: Floats, variant: Variant = "dense") -> Trace:
    """Export, pack, capture: what `dcsim trace` does with a network of one's own."""
    program = export(model, inputs)
    return capture(program, pack("toy", variant, state_weights(model)), inputs, test_error=None)


def noise(*shape: int, density: float = 1.0) -> Floats:
    generator = np.random.default_rng(1)
    return (generator.standard_normal(shape) * (generator.random(shape) < density)).astype(np.float32)


def pruned(model: nn.Module, density: float = 0.4) -> nn.Module:
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= torch.rand(parameter.shape, generator=torch.Generator().manual_seed(2)) < density
    return model


def named(trace: Trace) -> list[str]:
    return [layer.kind for layer in trace.layers]


def constant_convolution(n_in: int, *values: float) -> nn.Module:
    """A 3 x 3 convolution that gives each output channel one value, whatever its input."""
    model = nn.Conv2d(n_in, len(values), 3, padding=1)
    model.weight.data.zero_()
    model.bias.data = torch.tensor(values)
    return model


class Net(nn.Module):
    """A network whose forward is a function of itself and the input."""

    def __init__(self, forward: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter):
        super().__init__()
        self.how = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        return self.how(self, *inputs, **named)


# --- the GEMM view -------------------------------------------------------------------------------------------------


def test_a_linear_layer_worked_out_by_hand() -> None:
    model = nn.Linear(3, 2)
    model.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    (layer,) = traced(model, np.array([[1, 0, 1], [0, 0, 2]], np.float32)).layers
    assert (layer.n_groups, layer.m, layer.n, layer.k) == (1, 2, 2, 3)
    assert layer.n_macs_dense == 12  # 2 x 2 x 3
    assert layer.column_nonzeros == (1, 0, 2)
    assert layer.n_macs_nonzero == 5  # nonzeros of a column of inputs times those of weights: 1 x 1 + 0 x 0 + 2 x 2
    assert (layer.n_inputs, layer.n_inputs_nonzero, layer.n_outputs) == (6, 3, 4)
    assert (layer.n_weights, layer.n_weights_nonzero) == (6, 3)
    assert layer.weight_bitmap == bytes([0b100101])  # 1 0 1 | 0 0 1, lowest bit first


def test_the_input_of_a_linear_layer_may_have_more_dimensions() -> None:
    (layer,) = traced(nn.Linear(5, 7), noise(2, 3, 5)).layers
    assert (layer.m, layer.n, layer.k) == (6, 7, 5)


def loops(inputs: Floats, weight: Floats, stride: int, padding: int, dilation: int, groups: int) -> tuple[int, int]:
    """All MACs and those of two nonzeros of a 2-d convolution, one by one."""
    padded = np.pad(inputs, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n_batch, _, height, width = padded.shape
    n_out, n_in, kernel, _ = weight.shape
    rows, columns = (range(0, size - dilation * (kernel - 1), stride) for size in (height, width))
    n_dense = n_nonzero = 0
    for image, out, y, x in itertools.product(range(n_batch), range(n_out), rows, columns):
        first = out // (n_out // groups) * n_in
        for channel, dy, dx in itertools.product(range(n_in), range(kernel), range(kernel)):
            value = padded[image, first + channel, y + dy * dilation, x + dx * dilation]
            n_dense += 1
            n_nonzero += bool(value != 0 and weight[out, channel, dy, dx] != 0)
    return n_dense, n_nonzero


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), (2, 0, 1, 1), (1, 1, 1, 1), (1, 0, 2, 1), (1, 0, 1, 2), (2, 1, 2, 2), (1, 1, 1, 4)],
)
def test_nonzero_macs_of_a_convolution_are_those_of_plain_loops(
    stride: int, padding: int, dilation: int, groups: int
) -> None:
    model = pruned(nn.Conv2d(4, 4, 3, stride, padding, dilation, groups))
    inputs = noise(2, 4, 7, 6, density=0.5)
    (layer,) = traced(model, inputs).layers
    expected = loops(inputs, model.weight.detach().numpy(), stride, padding, dilation, groups)
    assert (layer.n_macs_dense, layer.n_macs_nonzero) == expected
    assert layer.n_groups * layer.m * layer.n * layer.k == layer.n_macs_dense


@pytest.mark.parametrize(
    ("model", "shape", "view"),
    [
        (nn.Conv1d(3, 4, 3, stride=2), (2, 3, 8), (1, 6, 4, 9)),  # 2 images x 3 pixels, 3 channels x 3 taps
        (nn.Conv3d(3, 4, (1, 2, 2)), (1, 3, 2, 4, 4), (1, 18, 4, 12)),  # 2 x 3 x 3 pixels, 3 channels x 4 taps
        (nn.Conv2d(4, 6, (1, 3), padding=(0, 1), groups=2), (1, 4, 2, 5), (2, 10, 3, 6)),  # 2 x 5 pixels
    ],
)
def test_convolutions_of_any_rank_have_a_gemm_view(
    model: nn.Module, shape: tuple[int, ...], view: tuple[int, int, int, int]
) -> None:
    (layer,) = traced(model, noise(*shape)).layers
    assert (layer.n_groups, layer.m, layer.n, layer.k) == view


def test_lenet_5_has_the_layers_of_the_papers() -> None:
    trace = traced(lenet_5(), noise(1, 1, 28, 28))
    assert [layer.name for layer in trace.layers] == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2"]
    # Han et al., NIPS 2015, Table 2, printed 576K, 3200K, 800K, 10K FLOP, which are two per MAC
    assert [2 * layer.n_macs_dense for layer in trace.layers if layer.has_gemm] == [576_000, 3_200_000, 800_000, 10_000]
    assert trace.n_parameters == 431_080


# --- which operators are layers, and what they read ----------------------------------------------------------------


def test_pooling_is_a_layer_of_its_own() -> None:
    trace = traced(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)), noise(1, 1, 6, 6))
    conv, pool = trace.layers
    assert (pool.kind, pool.producers, pool.has_gemm) == ("max_pool2d", (0,), False)
    assert (conv.n_outputs, pool.n_inputs, pool.n_outputs, pool.n_alu_ops) == (32, 32, 8, 32)
    assert (pool.stored_bytes, pool.encoding) == (0, None)


@pytest.mark.parametrize("inplace", [False, True])
def test_relu_rides_on_the_layer_before_and_its_zeros_are_counted_after_it(inplace: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(inplace))
    model[0].weight.data = torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 0, 0]])
    (layer,) = traced(model, np.ones((1, 4), np.float32)).layers
    assert (layer.n_outputs, layer.n_outputs_nonzero) == (3, 1)  # 1, -1, 0 -> 1, 0, 0
    assert layer.n_inputs_nonzero == 4


def test_relu_after_a_reshape_still_rides_on_the_layer() -> None:
    model = nn.Sequential(constant_convolution(1, -1.0, 1.0), nn.Flatten(), nn.ReLU(), nn.Linear(72, 3))
    trace = traced(model, noise(1, 1, 6, 6))
    assert named(trace) == ["conv2d", "linear"]
    assert trace.layers[0].n_outputs_nonzero == trace.layers[1].n_inputs_nonzero == 36


def test_relu_on_a_result_that_others_read_too_is_a_layer_of_its_own() -> None:
    trace = traced(Net(lambda self, x: (y := self.a(x)) + y.relu(), a=nn.Linear(4, 4)), noise(1, 4))
    assert named(trace) == ["linear", "relu", "add"]
    assert [layer.producers for layer in trace.layers] == [(INPUT,), (0,), (0, 1)]


def residual(self: Net, x: torch.Tensor) -> torch.Tensor:
    y = functional.relu(self.a(x), inplace=True)
    return functional.relu(self.b(y) + y, inplace=True)


def test_a_residual_addition_reads_both_its_producers() -> None:
    model = Net(residual, a=nn.Conv2d(2, 2, 3, padding=1), b=constant_convolution(2, -1000.0, 1.0))
    trace = traced(model, noise(1, 2, 4, 4))
    assert named(trace) == ["conv2d", "conv2d", "add"]
    assert [layer.producers for layer in trace.layers] == [(INPUT,), (0,), (1, 0)]
    a, b, add = trace.layers
    assert add.n_inputs == 64  # two maps of 2 x 4 x 4
    assert b.n_outputs_nonzero == 32
    assert add.n_inputs_nonzero == a.n_outputs_nonzero + 32
    assert add.n_outputs_nonzero == 16  # its relu rides on it: one of two channels is negative throughout


def test_batch_normalisation_rides_on_the_convolution_and_its_parameters_are_fetched_with_it() -> None:
    trace = traced(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), noise(1, 1, 6, 6))
    (layer,) = trace.layers
    assert layer.stored_bytes == 4 * (18 + 2 + 4 * 2)  # weights, biases, scale, shift, mean, variance of 2 channels
    assert [block.stream for block in layer.blocks] == [
        *("values", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    ]


def test_dropout_and_views_cost_nothing() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(8, 2), nn.Unflatten(1, (2, 1)))
    assert named(traced(model, noise(3, 2, 4))) == ["linear"]


def test_a_batch_makes_one_frame() -> None:
    one, three = (traced(nn.Linear(4, 2), noise(batch, 4)) for batch in (1, 3))
    assert (one.batch, three.batch) == (1, 3)
    assert (three.layers[0].m, three.n_network_inputs) == (3, 12)
    assert three.layers[0].n_macs_dense == 3 * one.layers[0].n_macs_dense
    assert three.layers[0].stored_bytes == one.layers[0].stored_bytes


def test_constants_of_the_forward_are_no_weights() -> None:
    trace = traced(Net(lambda self, x: self.a(x) + torch.ones(2), a=nn.Linear(4, 2)), noise(1, 4))
    assert named(trace) == ["linear"]  # adding a vector is as a bias, which rides on the layer
    assert trace.layers[0].stored_bytes == 4 * (8 + 2)


# --- bytes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_bytes_of_the_layers_and_the_header_are_the_bytes_of_the_file(variant: Variant, tmp_path: Path) -> None:
    model = pruned(nn.Sequential(nn.Conv2d(1, 8, 5), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(512, 20)), 0.1)
    inputs = noise(1, 1, 12, 12)
    weights = {name: np.round(array, 1) for name, array in state_weights(model).items()}  # few distinct values
    pack("toy", variant, weights).save(tmp_path / "toy.dcz")
    stored = CompressedModel.load(tmp_path / "toy.dcz")
    trace = capture(export(model, inputs), stored, inputs, test_error=0.5)
    assert trace.header_bytes + sum(layer.stored_bytes for layer in trace.layers) == trace.file_bytes
    assert trace.file_bytes == (tmp_path / "toy.dcz").stat().st_size
    for layer in trace.layers:
        assert sum(-(-block.n_bits // 8) for block in layer.blocks) == layer.stored_bytes


def test_weights_are_those_of_the_file_not_those_of_the_model() -> None:
    model = nn.Linear(4, 2)
    zeros = {name: np.zeros_like(array) for name, array in state_weights(model).items()}
    (layer,) = capture(export(model, noise(1, 4)), pack("toy", "dense", zeros), noise(1, 4), test_error=None).layers
    assert (layer.n_weights_nonzero, layer.n_macs_nonzero) == (0, 0)


def test_a_parameter_that_no_layer_reads_belongs_to_the_header() -> None:
    trace = traced(Net(lambda self, x: self.a(x), a=nn.Linear(4, 2), unused=nn.Linear(9, 9)), noise(1, 4))
    assert trace.header_bytes + sum(layer.stored_bytes for layer in trace.layers) == trace.file_bytes


def test_what_was_traced_can_be_recognised() -> None:
    model, inputs = nn.Linear(4, 2), noise(1, 4)
    stored = pack("toy", "dense", state_weights(model))
    trace = capture(export(model, inputs), stored, inputs, test_error=0.125)
    assert (trace.file_sha256, trace.test_error, trace.synthetic) == (stored.sha256, 0.125, False)
    assert trace.input_sha256 != traced(model, inputs + 1).input_sha256


def test_inputs_are_left_as_they_are() -> None:
    inputs = np.array([[-1, 2, -3, 4]], np.float32)
    trace = traced(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)), inputs)
    assert inputs.tolist() == [[-1, 2, -3, 4]]
    assert trace.layers[0].n_inputs_nonzero == 4  # counted before the relu overwrites them


# --- odd inputs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("padding", "kernel", "dilation"), [("same", 3, 1), ("same", 4, 2), ("same", 2, 4), ("valid", 3, 1)]
)
def test_padding_given_as_a_word_is_worked_out(padding: str, kernel: int, dilation: int) -> None:
    model, inputs = pruned(nn.Conv2d(1, 2, kernel, padding=padding, dilation=dilation)), noise(1, 1, 7, 7, density=0.5)
    (layer,) = traced(model, inputs).layers
    mask = (torch.from_numpy(inputs) != 0).float()
    kept = (model.weight != 0).float()
    counted = functional.conv2d(mask, kept, padding=padding, dilation=dilation).sum()
    assert layer.n_macs_nonzero == int(counted)
    assert layer.m == layer.output_shapes[0][-1] ** 2


def test_a_forward_that_fails_names_the_shape() -> None:
    with pytest.raises(NetworkError, match=r"forward fails on an input of shape \(2, 4\)"):
        traced(nn.Linear(5, 2), noise(2, 4))


def test_a_forward_that_computes_nothing_is_refused() -> None:
    with pytest.raises(NetworkError, match="executes no operator"):
        traced(nn.Flatten(), noise(1, 2, 2))


def test_weights_that_do_not_fit_are_refused_with_both_shapes() -> None:
    model, inputs = nn.Linear(4, 2), noise(1, 4)
    other = pack("toy", "dense", state_weights(nn.Linear(5, 2)))
    with pytest.raises(NetworkError, match=r"weight \(expected \(2, 4\), found \(2, 5\)\)"):
        capture(export(model, inputs), other, inputs, test_error=None)


@pytest.mark.parametrize(
    "cast",
    [lambda x: x.float(), lambda x: x.to(torch.float32), lambda x: x.contiguous()],
    ids=["float", "to", "layout"],
)
def test_a_cast_that_changes_nothing_costs_nothing(cast: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert named(traced(Net(lambda self, x: self.a(cast(x)), a=nn.Linear(4, 2)), noise(1, 4))) == ["linear"]
