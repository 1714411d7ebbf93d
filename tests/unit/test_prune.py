"""Does pruning keep the weights that a recipe means, as many as asked for, when it says?"""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from dcsim.compression.pipeline import counted
from dcsim.compression.prune import Pruning, largest_mask, magnitude_mask, quality_density, retrained_dropout
from tests.recipes import recipe


@pytest.mark.parametrize(
    ("values", "density", "kept"),
    [
        ([1, -5, 3, 0], 0.5, [False, True, True, False]),
        ([2, -2, 2, -2], 0.5, [True, True, False, False]),  # ties keep the earlier position
        ([1, 2, 3, 4], 0, [False, False, False, True]),  # never none
        ([1, 2, 3, 4], 0.6, [False, False, True, True]),
        ([1, 2, 3, 4], 0.9, [True, True, True, True]),
        ([0, 0, 1], 1, [True, True, True]),
    ],
)
def test_mask(values: list[float], density: float, kept: list[bool]) -> None:
    assert magnitude_mask(torch.tensor(values).float(), density).tolist() == kept


def test_a_mask_has_the_shape_of_its_weights_and_leaves_them_alone() -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 4).requires_grad_()
    mask = magnitude_mask(tensor, 0.25)
    assert (mask.shape, mask.dtype, int(mask.sum())) == (tensor.shape, torch.bool, 6)
    assert tensor.detach().flatten().tolist() == list(range(24))


def test_ties_among_many_keep_the_earlier_positions() -> None:
    assert largest_mask(torch.ones(1000), 300).tolist() == [True] * 300 + [False] * 700


def test_quality_is_a_threshold_in_standard_deviations() -> None:
    """A Gaussian has 31.7 % beyond one standard deviation, 4.55 % beyond two (any table of the normal distribution)."""
    weights = torch.randn(100_000, generator=torch.Generator().manual_seed(0)) * 0.03
    assert quality_density(weights, 1.0) == pytest.approx(0.3173, abs=0.005)
    assert quality_density(weights, 2.0) == pytest.approx(0.0455, abs=0.002)
    assert quality_density(weights, 0.0) == 1
    assert quality_density(weights, 99.0) == 1e-5  # never none


def test_dropout_falls_with_the_root_of_the_connections_that_stay() -> None:
    assert retrained_dropout(0.5, 0.25) == 0.25
    assert retrained_dropout(0.5, 1.0) == 0.5


def network() -> nn.Sequential:
    """24 + 4 + 8 + 2 = 38 weights and biases, magnitudes 0.01 to 0.38 in that order, of alternating sign."""
    layers = OrderedDict(a=nn.Linear(6, 4), relu=nn.ReLU(), drop=nn.Dropout(0.5), b=nn.Linear(4, 2))
    model = nn.Sequential(layers)
    first = 1
    with torch.no_grad():
        for tensor in model.parameters():
            values = torch.arange(first, first + tensor.numel()) / 100
            tensor.copy_((values * (-1) ** torch.arange(tensor.numel())).view_as(tensor))
            first += tensor.numel()
    return model


def n_nonzero(model: nn.Module) -> dict[str, int]:
    return {name: int(tensor.count_nonzero()) for name, tensor in model.named_parameters()}


def step(pruning: Pruning, model: nn.Module, done: int, total: int, gradient: float = 1.0) -> None:
    """A batch without an optimiser: all gradients are the same."""
    pruning.before_batch(done, total)
    for tensor in model.parameters():
        tensor.grad = torch.full_like(tensor, gradient)
    pruning.after_backward()
    pruning.after_step()


@pytest.mark.parametrize("prune", [{"n_kept": 12}, {"n_kept": None, "density": 12 / 38}])
def test_a_whole_network_keeps_the_largest_magnitudes_wherever_they_are(prune: dict[str, Any]) -> None:
    model = network()
    plan = recipe(prune=prune)
    if plan.prune.density:
        plan = counted(plan, model)
    step(Pruning(model, plan), model, 0, 10)
    assert n_nonzero(model) == {"a.weight": 0, "a.bias": 2, "b.weight": 8, "b.bias": 2}


def test_each_layer_keeps_its_own_share_or_quality() -> None:
    model = network()
    layers = {"a": {"density": 0.25}, "b": {"quality": 1.0}, "*.bias": {"density": 0.5}}
    pruning = Pruning(model, recipe(prune={"n_kept": None}, layers=layers))
    weights = model.get_parameter("b.weight").detach().clone()
    expected = round(8 * quality_density(weights, 1.0))
    step(pruning, model, 0, 10)
    assert n_nonzero(model) == {"a.weight": 6, "a.bias": 2, "b.weight": expected, "b.bias": 1}


def test_one_shot_prunes_before_the_first_batch_and_heals_for_the_rest() -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"n_kept": 5}))
    for done in range(3):
        step(pruning, model, done, 3)
        assert sum(n_nonzero(model).values()) == 5


def test_iterative_keeps_the_same_share_of_the_step_before() -> None:
    model = network()
    prune = {"schedule": "iterative", "n_kept": 6, "n_steps": 2, "epochs_per_step": 2, "epochs": 5}
    pruning = Pruning(model, recipe(prune=prune))
    found = []
    for epoch in range(5):
        pruning.before_epoch(epoch)
        step(pruning, model, epoch, 5)
        found.append(sum(n_nonzero(model).values()))
    middle = round((38 * 6) ** 0.5)
    assert found == [middle, middle, 6, 6, 6]


def test_gradual_goes_down_to_the_target_at_three_quarters_of_the_run() -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"schedule": "gradual", "n_kept": 6}))
    found = []
    for done in range(0, 2000, 100):
        step(pruning, model, done, 2000)
        found.append(sum(n_nonzero(model).values()))
    assert found[0] == 38
    assert found == sorted(found, reverse=True)
    assert found[12] > 6
    assert found[15:] == [6] * 5


def test_saliency_is_squared_weight_times_mean_squared_gradient() -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"criterion": "saliency", "schedule": "gradual", "n_kept": 4}))
    gradients = {name: 1e-3 for name, _ in model.named_parameters()} | {"a.weight": 1.0}
    pruning.before_batch(0, 100)
    for name, tensor in model.named_parameters():
        tensor.grad = torch.full_like(tensor, gradients[name])
    pruning.after_backward()
    pruning.finish()
    assert n_nonzero(model) == {"a.weight": 4, "a.bias": 0, "b.weight": 0, "b.bias": 0}
    assert model.get_parameter("a.weight").flatten()[-4:].ne(0).all()


def test_what_no_example_moves_goes_too() -> None:
    """With the whole network as the measure; of layers the count is exact."""
    for prune, left in (({"n_kept": 38}, 6), ({"n_kept": None}, 38)):
        model = network()
        layers = {"*": {"density": 1.0}, "*.bias": {"density": 1.0}} if left == 38 else {}
        pruning = Pruning(model, recipe(prune=prune, layers=layers))
        pruning.before_batch(0, 1)
        for name, tensor in model.named_parameters():
            tensor.grad = torch.full_like(tensor, float(name in ("a.bias", "b.bias")))
        pruning.after_backward()
        pruning.finish()
        assert sum(n_nonzero(model).values()) == left


@pytest.mark.parametrize("regrow", [True, False])
def test_with_regrowth_a_pruned_weight_goes_on_learning_and_comes_back(regrow: bool) -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"schedule": "gradual", "n_kept": 4, "regrow": regrow}))
    smallest = model.get_parameter("a.weight")
    step(pruning, model, 1900, 2000)
    pruning.before_batch(1901, 2000)
    assert smallest[0, 0] == 0  # what the forward pass sees
    pruning.after_backward()
    with torch.no_grad():
        smallest[0, 0] += 5.0  # as an optimiser may
    pruning.after_step()
    pruning.finish()
    assert bool(smallest[0, 0] != 0) is regrow
    assert sum(n_nonzero(model).values()) == 4


def test_zeros_that_are_there_stay_but_a_fresh_bias_may_grow() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("a.weight")[:2] = 0
        model.get_parameter("b.bias").zero_()
    pruning = Pruning(model, recipe(prune={"n_kept": 38}))
    step(pruning, model, 0, 1)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 1.0  # as an optimiser may
    pruning.after_step()
    assert n_nonzero(model) == {"a.weight": 12, "a.bias": 4, "b.weight": 8, "b.bias": 2}


def test_a_tensor_that_the_loss_does_not_reach_goes_first() -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"n_kept": 38, "regrow": True}))
    pruning.before_batch(0, 1)
    for name, tensor in model.named_parameters():
        tensor.grad = None if name == "a.bias" else torch.ones_like(tensor)
    pruning.after_backward()
    pruning.finish()
    assert n_nonzero(model) == {"a.weight": 24, "a.bias": 0, "b.weight": 8, "b.bias": 2}


def test_a_short_run_is_pruned_in_time_to_heal() -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"schedule": "gradual", "n_kept": 6}))
    for done in range(40):
        step(pruning, model, done, 40)
        if done == 31:
            assert sum(n_nonzero(model).values()) == 6


def test_penalties_pull_weights_towards_zero() -> None:
    model = network()
    pruning = Pruning(model, recipe(prune={"n_kept": 38, "l1_weight": 0.5, "l2_weight": 0.25}))
    step(pruning, model, 0, 1, gradient=0.0)
    for tensor in model.parameters():
        assert tensor.grad is not None
        assert torch.allclose(tensor.grad, 0.5 * tensor.sign() + 2 * 0.25 * tensor)


def test_dropout_follows_the_density_of_the_layer_before_it() -> None:
    model = network()
    layers = {"a": {"density": 0.25}, "b": {"density": 1.0}}
    pruning = Pruning(model, recipe(prune={"n_kept": None}, layers=layers))
    step(pruning, model, 0, 1)
    dropout = model.get_submodule("drop")
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == pytest.approx(0.25)


def test_a_schedule_goes_on_where_it_was() -> None:
    first, second = network(), network()
    plan = recipe(prune={"schedule": "gradual", "criterion": "saliency", "n_kept": 6})
    whole, killed = Pruning(first, plan), Pruning(second, plan)
    for done in range(0, 800, 100):
        step(whole, first, done, 2000, gradient=done + 1)
        step(killed, second, done, 2000, gradient=done + 1)
    again = Pruning(second, plan)
    again.restore(killed.state())
    for done in range(800, 2000, 100):
        step(whole, first, done, 2000, gradient=done + 1)
        step(again, second, done, 2000, gradient=done + 1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
