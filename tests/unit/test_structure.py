"""Are the right tensors tied to a unit, and does a network without its dead units compute the same?"""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional

from dcsim.compression.pipeline import load_weights, state_weights
from dcsim.compression.structure import (
    Units,
    drop_dead_units,
    find_units,
    in_full_shape,
    keep_units,
    set_shapes,
    unit_saliency,
)
from dcsim.zoo import lenet_5, lenet_300_100, resnet_20


def test_units_of_a_chain_are_read_by_the_next_layer() -> None:
    assert find_units(lenet_300_100()) == {
        "fc1": Units("fc1", readers=("fc2",)),
        "fc2": Units("fc2", readers=("fc3",)),
    }
    assert list(find_units(lenet_5())) == ["conv1", "conv2", "fc1"]


def test_only_what_lies_inside_a_residual_block_can_go() -> None:
    found = find_units(resnet_20())
    assert list(found) == [f"block{stage}_{block}.conv1" for stage in (1, 2, 3) for block in (1, 2, 3)]
    assert found["block2_1.conv1"] == Units("block2_1.conv1", ("block2_1.bn1",), ("block2_1.conv2",))


class Odd(nn.Module):
    """Nothing in it can be removed: see the comments."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)  # called twice
        self.viewed = nn.Conv2d(1, 4, 1)  # flattened by a shape that is written down
        self.depthwise = nn.Conv2d(4, 4, 1, groups=4)
        self.before = nn.Conv2d(4, 4, 1)  # read by a depthwise convolution
        self.pixels = nn.Linear(2, 2)  # reads the last axis, which is pixels
        self.softmaxed = nn.Linear(16, 16)  # mixes units
        self.last = nn.Linear(16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.depthwise(self.before(self.viewed(images)))
        found = self.pixels(found).view(-1, 16)
        found = self.last(functional.softmax(self.softmaxed(found), 1))
        result: torch.Tensor = self.twice(self.twice(found))
        return result


def test_what_mixes_units_or_is_read_otherwise_is_left_alone() -> None:
    found = find_units(Odd())
    assert list(found) == ["viewed"]  # whose channels one layer reads, by channel
    assert found["viewed"].readers == ("before",)


class Tied(nn.Module):
    """`a` and `b` are one matrix, `c` is read past its module, `d` normalises rows, `e` computes its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.d, self.norm = nn.Linear(4, 6), nn.BatchNorm1d(5)
        self.e = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))
        self.f = nn.Linear(6, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found = functional.linear(self.c(self.b(self.a(rows))), self.c.weight)
        result: torch.Tensor = self.f(self.e(self.norm(self.d(found))))
        return result


def test_tensors_that_are_used_elsewhere_are_left_alone() -> None:
    model = Tied()
    model(torch.rand(2, 5, 4))
    assert find_units(model) == {}


def test_what_is_frozen_stays_frozen() -> None:
    model = lenet_300_100()
    model.get_parameter("fc2.weight").requires_grad = False
    keep_units(model, find_units(model)["fc1"], torch.arange(10))
    assert [name for name, tensor in model.named_parameters() if not tensor.requires_grad] == ["fc2.weight"]


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.a(inputs) if inputs.sum() > 0 else inputs


def test_a_model_that_cannot_be_followed_has_no_units_to_remove() -> None:
    assert find_units(Branching()) == {}


def scrambled(build: object) -> nn.Module:
    """Batch norms as if trained, so that a wrong place is seen."""
    torch.manual_seed(0)
    model = build() if callable(build) else None
    assert isinstance(model, nn.Module)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.dim() == 1:
            nn.init.uniform_(tensor.data, 0.5, 1.5)
    return model.eval()


def with_norms() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 3),
            bn=nn.BatchNorm2d(6),
            relu=nn.ReLU(),
            conv2=nn.Conv2d(6, 8, 3),
            pool=nn.AdaptiveAvgPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(32, 10),
        )
    )


@pytest.mark.parametrize("build", [lenet_300_100, lenet_5, resnet_20, with_norms])
@torch.no_grad()
def test_removed_units_are_as_good_as_silent_ones_and_the_full_shapes_compute_the_same(build: object) -> None:
    """A unit that no layer reads has no influence; what is left, in full shape, is the network it came from."""
    images = torch.rand(3, 1, 28, 28)
    model, original = scrambled(build), scrambled(build)
    shapes = {name: values.shape for name, values in state_weights(model).items()}
    for units in find_units(model).values():
        n_units = len(model.get_parameter(f"{units.layer}.weight"))
        silent = torch.arange(0, n_units, 2)
        for reader in units.readers:
            weight = model.get_parameter(f"{reader}.weight")
            weight.view(len(weight), n_units, -1)[:, silent] = 0
    expected = model(images)
    n_before = sum(tensor.numel() for tensor in model.parameters())
    drop_dead_units(model)
    assert sum(tensor.numel() for tensor in model.parameters()) < n_before
    assert torch.allclose(model(images), expected, atol=1e-4)
    load_weights(original, in_full_shape(state_weights(model), shapes))
    assert torch.allclose(original(images), expected, atol=1e-4)


@torch.no_grad()
def test_a_unit_without_weights_and_bias_says_nothing_but_one_with_a_bias_does() -> None:
    model = lenet_300_100()
    fc1 = model.get_parameter("fc1.weight"), model.get_parameter("fc1.bias")
    fc1[0][:100] = 0
    fc1[1][:100] = 0
    fc1[1][7] = 0.5
    drop_dead_units(model)
    assert len(model.get_parameter("fc1.weight")) == 201
    assert model.get_parameter("fc2.weight").shape == (100, 201)


@torch.no_grad()
def test_death_spreads_but_leaves_one_unit() -> None:
    model = lenet_300_100()
    model.get_parameter("fc3.weight").zero_()
    drop_dead_units(model)
    assert [tuple(model.get_parameter(f"fc{n}.weight").shape) for n in (1, 2, 3)] == [(1, 784), (1, 1), (10, 1)]


@torch.no_grad()
def test_units_are_kept_in_the_order_asked_for() -> None:
    model = scrambled(with_norms)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    keep_units(model, find_units(model)["conv2"], torch.tensor([5, 2]))
    after = model.state_dict()
    assert torch.equal(after["conv2.weight"], before["conv2.weight"][[5, 2]])
    assert torch.equal(after["conv2.bias"], before["conv2.bias"][[5, 2]])
    columns = before["fc.weight"].view(10, 8, 4)[:, [5, 2]]
    assert torch.equal(after["fc.weight"], columns.reshape(10, 8))
    keep_units(model, find_units(model)["conv1"], torch.tensor([1]))
    assert torch.equal(model.state_dict()["bn.running_var"], before["bn.running_var"][[1]])


def test_saliency_of_a_unit_counts_what_it_has_and_what_reads_it() -> None:
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 2, bias=False), b=nn.Linear(2, 1, bias=False)))
    with torch.no_grad():
        model.get_parameter("a.weight").copy_(torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
        model.get_parameter("b.weight").copy_(torch.tensor([[4.0, 5.0]]))
    squares = {"a.weight": torch.full((2, 2), 2.0), "b.weight": torch.full((1, 2), 0.5)}
    found = unit_saliency(model, find_units(model)["a"], squares)
    assert found.tolist() == [2 * 5 + 0.5 * 16, 2 * 9 + 0.5 * 25]


def test_shapes_of_a_smaller_network_are_taken_over() -> None:
    small, full = lenet_5(), lenet_5()
    keep_units(small, find_units(small)["conv2"], torch.arange(3))
    set_shapes(full, small.state_dict())
    full.load_state_dict(small.state_dict())
    image = torch.rand(1, 1, 28, 28)
    assert torch.equal(small(image), full(image))
