"""Are MACs those that the papers' dimensions give by hand? On whole networks of every kind, of their full size.

Nothing is allocated: the networks are traced by shapes alone, which is how a language model is traced too. That real
tensors give the same, and which of their products have two nonzero operands, is shown on smaller ones in tests/unit.
"""

import pytest
import torch

from dcsim.traces.capture import capture, export
from dcsim.traces.inputs import Inputs
from dcsim.traces.stored import StoredNetwork, plain_weight
from dcsim.traces.trace import Trace
from tests.architectures import ARCHITECTURES, Architecture

NAMES = [architecture.name for architecture in ARCHITECTURES]


def virtual_trace(architecture: Architecture) -> Trace:
    with torch.device("meta"):
        model, inputs = architecture.build(), Inputs.of(tuple(architecture.inputs()))
    tensors = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    tensors |= dict(model.named_parameters())  # the first name of a tied weight only
    weights = {name: plain_weight(name, tensor.numel()) for name, tensor in tensors.items()}
    n_bytes = sum(weight.n_bytes for weight in weights.values())
    stored = StoredNetwork(architecture.name, "dense", weights, architecture.n_parameters, n_bytes, "", synthetic=True)
    return capture(export(model, inputs), stored, inputs, None)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_macs_are_those_worked_out_by_hand(architecture: Architecture) -> None:
    trace = virtual_trace(architecture)
    assert tuple(layer.n_macs_dense for layer in trace.layers if layer.has_gemm) == architecture.macs
    assert {layer.kind for layer in trace.layers if layer.counts == "unknown"} == set()


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a.published_total], ids=lambda a: a.name)
def test_macs_worked_out_by_hand_are_those_published(architecture: Architecture) -> None:
    assert architecture.published_total
    published, tolerance, _ = architecture.published_total
    assert sum(architecture.macs) == pytest.approx(published, rel=tolerance or 1e-12)


def test_there_are_twelve_and_more() -> None:
    assert len(set(NAMES)) >= 12
