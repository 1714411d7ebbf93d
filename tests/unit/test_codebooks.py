"""Do codebooks fit, do weights behind them learn, and does a centroid learn what its members would?"""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from dcsim.compression.codebooks import Codebook, Quantising, Sharing
from tests.recipes import recipe

LAYERS = {"a": {"code_bits": 2}, "b": {"code_bits": 2}}


def network() -> nn.Sequential:
    """Two layers whose weights have two values each, in the relation 1 : 3, on scales of 1 and 10; a third is pruned."""
    model = nn.Sequential(OrderedDict(a=nn.Linear(4, 3), b=nn.Linear(3, 2)))
    with torch.no_grad():
        for name, scale in (("a", 1.0), ("b", 10.0)):
            weight, bias = model.get_parameter(f"{name}.weight"), model.get_parameter(f"{name}.bias")
            values = torch.tensor([1.0, 0.0, 3.0]).repeat(weight.numel())[: weight.numel()]
            weight.copy_(scale * values.view_as(weight))
            bias.zero_()
    return model


def with_gradients(model: nn.Module) -> None:
    for number, tensor in enumerate(model.parameters()):
        tensor.grad = torch.arange(float(tensor.numel())).view_as(tensor) + number


def test_one_codebook_serves_layers_of_different_scales() -> None:
    model = network()
    sharing = Sharing(model, recipe(share={"n_codes": 2}), None)
    shared = sharing.finish()
    assert shared is not None
    assert shared.codebook.tolist() == pytest.approx([1.0, 3.0], rel=2e-3)
    assert shared.scales["a.weight"] == 1
    assert shared.scales["b.weight"] == pytest.approx(10, rel=2e-3)
    assert shared.codes["a.weight"].tolist() == [[1, 0, 2, 1], [0, 2, 1, 0], [2, 1, 0, 2]]
    for name, codes in shared.codes.items():
        values = np.concatenate([[np.float32(0)], shared.codebook])[codes] * np.float32(shared.scales[name])
        assert np.array_equal(values, model.get_parameter(name).detach().numpy())


def test_a_codebook_of_each_layer_has_its_values_and_leaves_one_code_to_zero() -> None:
    model = network()
    plan = recipe(share={"codebook": "layer", "n_codes": None}, layers=LAYERS)
    sharing = Sharing(model, plan, None)
    assert {name: len(book.centroids) for name, book in sharing.distinct.items()} == {"a.weight": 3, "b.weight": 3}
    assert sharing.finish() is None
    assert model.get_parameter("b.weight").unique().tolist() == [0, 10, 30]


def test_the_gradient_of_a_centroid_is_the_sum_over_its_members() -> None:
    """Deep Compression, equation 3; with a scale a member counts as often, and a scale's is the chain rule too."""
    model = network()
    sharing = Sharing(model, recipe(share={"n_codes": 2}), None)
    with_gradients(model)
    expected = [0.0, 0.0]
    for name in ("a.weight", "b.weight"):
        weight = model.get_parameter(name)
        scale = float(sharing._scales[name].detach())
        assert weight.grad is not None
        for code, centroid in enumerate(sharing._centroids["a.weight"].detach()):
            expected[code] += scale * float(weight.grad[torch.isclose(weight, centroid * scale)].sum())
    sharing.after_backward()
    centroids = sharing.parameters()[0]
    assert centroids.grad is not None
    assert centroids.grad.tolist() == pytest.approx(expected)


def test_codes_that_are_rare_cost_more() -> None:
    """500 weights at 1 and 3 each, one between, nearer to 3: with a rate it goes where codes are short."""
    weights = torch.cat([torch.ones(900), torch.full((100,), 3.0), torch.tensor([2.05])])
    plain, cheap = (Codebook(2, rate, "optimal", 0, scaled=True) for rate in (0.0, 0.2))
    for book in (plain, cheap):
        book.fit({"w": weights})
    assert plain.codes("w", weights)[-1] == 1
    assert cheap.codes("w", weights)[-1] == 0


def test_the_forward_pass_sees_the_codebook_and_the_weights_behind_it_learn() -> None:
    model = network()
    weight = model.get_parameter("a.weight")
    with torch.no_grad():
        weight[0, 0] = 1.3
    quantising = Quantising(model, recipe(share={"n_codes": 2}))
    quantising.before_batch(0, 10)
    assert len(weight[weight != 0].unique()) == 2
    with_gradients(model)
    quantising.after_backward()
    assert weight[0, 0].item() == pytest.approx(1.3)
    with torch.no_grad():
        weight += 0.01
    quantising.after_step()
    assert weight[0, 0].item() == pytest.approx(1.31)
    assert weight[0, 1] == 0  # pruned stays pruned


def test_what_one_value_cannot_tell_apart_becomes_zero_and_is_not_stored() -> None:
    """Of 1 and -1 the mean is 0."""
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 1, bias=False)))
    with torch.no_grad():
        model.get_parameter("a.weight").copy_(torch.tensor([[1.0, -1.0]]))
    shared = Sharing(model, recipe(share={"n_codes": 1}), None).finish()
    assert shared is not None
    assert not shared.codes["a.weight"].any()
    assert model.get_parameter("a.weight").tolist() == [[0, 0]]


def test_a_scale_does_not_cross_zero() -> None:
    model = network()
    sharing = Sharing(model, recipe(share={"n_codes": 2}), None)
    with torch.no_grad():
        sharing._scales["b.weight"].fill_(-0.05)
    sharing.after_step()
    assert sharing._scales["b.weight"] > 0


def test_a_layer_that_lost_all_its_weights_does_not_come_back() -> None:
    """With layers named, as without."""
    for layers in ({}, {"*": {}, "*.bias": {}}):
        model = network()
        with torch.no_grad():
            model.get_parameter("a.weight").zero_()
        sharing = Sharing(model, recipe(share={"n_codes": 2}, layers=layers), None)
        assert all(p is not model.get_parameter("a.weight") for p in sharing.parameters())


def test_a_tensor_of_which_nothing_is_left_has_no_part_in_it() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("a.weight").zero_()
    shared = Sharing(model, recipe(share={"n_codes": 2}), None).finish()
    assert shared is not None
    assert not shared.codes["a.weight"].any()
    assert shared.scales["b.weight"] == 1
