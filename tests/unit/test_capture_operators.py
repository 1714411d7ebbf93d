"""Is every operator's cost exact? Held against the same operator applied to 0/1 masks, and against plain arithmetic."""

import contextlib
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from dcsim.artifact import pack
from dcsim.compression.pipeline import state_weights
from dcsim.errors import NetworkError
from dcsim.traces.capture import capture, export, open_exported
from dcsim.traces.inputs import Inputs
from dcsim.traces.trace import INPUT, OWN, Layer, Trace
from dcsim.zoo import settled
from tests.unit.test_capture import Net, named, noise, pruned, traced

torch.set_num_threads(1)


def traced_on(model: nn.Module, *inputs: object) -> Trace:
    """As `traced`, with any arguments."""
    given = Inputs.of(tuple(inputs))
    return capture(export(model, given), pack("toy", "dense", state_weights(model)), given, test_error=None)


def ones(tensor: torch.Tensor) -> torch.Tensor:
    """1 where an element is not zero, in double precision so that sums are exact."""
    return (tensor != 0).double()


def gemms(trace: Trace) -> list[Layer]:
    return [layer for layer in trace.layers if layer.has_gemm]


def sizes(layer: Layer) -> tuple[int, ...]:
    return (layer.n_steps, layer.n_groups, layer.m, layer.n, layer.k)


# --- convolutions ----------------------------------------------------------------------------------------------------

CONVOLUTIONS = {
    "plain": (nn.Conv2d(4, 6, 3), (2, 4, 7, 6)),
    "strided": (nn.Conv2d(4, 6, 3, stride=(2, 3), padding=(1, 2)), (2, 4, 9, 11)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=2, padding=2), (1, 4, 8, 7)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 7, 6)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, padding=1), (2, 4, 7, 6)),
    "1-d": (nn.Conv1d(3, 5, 4, stride=2, padding=1), (2, 3, 11)),
    "3-d": (nn.Conv3d(2, 3, (1, 2, 3), stride=(1, 2, 1)), (1, 2, 3, 5, 6)),
    "reflected": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (1, 2, 6, 6)),
    "not batched": (nn.Conv2d(2, 3, 3), (2, 6, 6)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3), (2, 4, 5, 4)),
    "transposed, cropped": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (2, 4, 5, 4)),
    "transposed, dilated": (nn.ConvTranspose2d(4, 6, 3, dilation=2, padding=3, groups=2), (1, 4, 5, 6)),
    "transposed, 1-d": (nn.ConvTranspose1d(3, 5, 4, stride=3, padding=2), (2, 3, 7)),
    "transposed, 3-d": (nn.ConvTranspose3d(2, 3, 2, stride=2, padding=1), (1, 2, 3, 4, 3)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_of_masks_counts_the_nonzero_macs(name: str) -> None:
    model, shape = CONVOLUTIONS[name]
    pruned(model)
    inputs = noise(*shape, density=0.5)
    (layer,) = gemms(traced(model, inputs))
    masked = settled(model).double()
    masked.weight.data, masked.bias.data = ones(model.weight), torch.zeros_like(model.bias)
    expected = masked(ones(torch.from_numpy(inputs))).detach().sum()
    model.float()
    assert layer.n_macs_nonzero == round(float(expected))
    assert layer.n_groups * layer.m * layer.n * layer.k == layer.n_macs_dense
    assert (layer.counts, layer.n_steps) == ("exact", 1)


def test_a_transposed_convolution_multiplies_every_input_by_every_tap() -> None:
    (layer,) = traced(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), noise(2, 4, 5, 4)).layers
    assert (layer.kind, *sizes(layer)) == ("conv_transpose2d", 1, 2, 2 * 5 * 4, 3 * 9, 2)
    assert len(layer.column_nonzeros) == 4  # as many as there are columns in all groups
    assert layer.n_weights == 4 * 3 * 9


def test_filters_that_are_computed_from_the_input_are_no_weights() -> None:
    model = Net(lambda self, x: functional.conv2d(x, self.a(x.mean((2, 3))).view(3, 2, 3, 3)), a=nn.Linear(2, 54))
    _, conv = gemms(traced(model, noise(1, 2, 6, 6)))
    assert (conv.kind, conv.m, conv.n, conv.k, conv.n_weights, conv.stored_bytes) == ("conv2d", 16, 3, 18, 0, 0)
    assert conv.n_inputs == 72 + 54
    assert conv.weight_bitmap is None


# --- matrix products and attention -----------------------------------------------------------------------------------

PRODUCTS: dict[str, tuple[Callable[[Net, torch.Tensor], torch.Tensor], tuple[int, ...], tuple[int, ...]]] = {
    # how, shape of x, (groups, M, N, K); w is 5 x 4, pruned
    "x @ w.T": (lambda self, x: x @ self.w.T, (2, 3, 4), (1, 6, 5, 4)),
    "w @ x": (lambda self, x: self.w @ x, (4, 3), (1, 3, 5, 4)),
    "x @ x.T": (lambda self, x: x @ x.mT, (2, 3, 4), (2, 3, 3, 4)),
    "vector": (lambda self, x: self.w @ x, (4,), (1, 1, 5, 4)),
    "einsum": (lambda self, x: torch.einsum("bik,jk->bij", x, self.w), (2, 3, 4), (1, 6, 5, 4)),
    "addmm": (lambda self, x: torch.addmm(self.b, x, self.w.T), (3, 4), (1, 3, 5, 4)),
    "slice of weights": (lambda self, x: functional.linear(x, self.w[:2]), (3, 4), (1, 3, 2, 4)),
}


@pytest.mark.parametrize("how", PRODUCTS)
def test_products_of_matrices_are_told_from_those_with_weights(how: str) -> None:
    function, shape, (n_groups, m, n, k) = PRODUCTS[how]
    weight = nn.Parameter(torch.from_numpy(noise(5, 4, density=0.5)))
    inputs = noise(*shape, density=0.6)
    (layer,) = gemms(traced(Net(function, w=weight, b=nn.Parameter(torch.ones(5))), inputs))
    assert sizes(layer) == (1, n_groups, m, n, k)
    mask, stored = ones(torch.from_numpy(inputs)), ones(weight.data)
    expected = (
        function(Net(function, w=nn.Parameter(stored), b=nn.Parameter(torch.zeros(5).double())), mask).detach().sum()
    )
    assert layer.n_macs_nonzero == round(float(expected))
    if how == "x @ x.T":
        assert (layer.n_weights, layer.encoding, layer.stored_bytes) == (0, None, 0)
    else:
        assert layer.n_weights == n * k
        assert layer.stored_bytes == 4 * (20 + 5 * (how == "addmm"))


def test_attention_is_scores_with_their_softmax_and_a_mix_that_never_leave_the_chip() -> None:
    model = Net(lambda self, q, k, v: functional.scaled_dot_product_attention(q, k, v))
    query, key, value = noise(2, 3, 5, 8, density=0.7), noise(2, 3, 7, 8, density=0.7), noise(2, 3, 7, 4, density=0.7)
    scores, mix = traced_on(model, query, key, value).layers
    assert (scores.kind, mix.kind) == ("attention_scores", "attention_mix")
    assert (sizes(scores), sizes(mix)) == ((1, 6, 5, 7, 8), (1, 6, 5, 4, 7))
    q, k, v = (ones(torch.from_numpy(array)) for array in (query, key, value))
    assert scores.n_macs_nonzero == int((q @ k.mT).sum())
    assert mix.n_macs_nonzero == int((torch.ones(2, 3, 5, 7).double() @ v).sum())  # no probability is zero
    assert scores.n_alu_ops == 5 * 6 * 5 * 7
    assert (scores.n_outputs, mix.n_inputs) == (0, value.size)
    assert mix.producers == (INPUT, 0)


def test_a_causal_mask_leaves_a_triangle_of_probabilities() -> None:
    model = Net(lambda self, x: functional.scaled_dot_product_attention(x, x, x, is_causal=True))
    scores, mix = traced(model, noise(1, 2, 6, 4)).layers
    assert (scores.n_macs_dense, scores.n_macs_nonzero) == (2 * 6 * 6 * 4, 2 * 6 * 6 * 4)
    assert (mix.n_macs_dense, mix.n_macs_nonzero) == (2 * 6 * 4 * 6, 2 * 4 * 21)  # 1 + 2 + ... + 6


@pytest.mark.parametrize("boolean", [True, False])
def test_a_given_mask_leaves_what_it_lets_through(boolean: bool) -> None:
    seen = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    seen[:, 0] = True
    mask = seen if boolean else torch.zeros(6, 6).masked_fill(~seen, -math.inf)
    model = Net(lambda self, x: functional.scaled_dot_product_attention(x, x, x, attn_mask=mask))
    _, mix = traced(model, noise(1, 2, 6, 4)).layers
    assert mix.n_macs_nonzero == 2 * 4 * int(seen.sum())


def test_grouped_queries_share_keys_and_values() -> None:
    model = Net(lambda self, q, k: functional.scaled_dot_product_attention(q, k, k, enable_gqa=True))
    query, key = noise(1, 4, 3, 8, density=0.6), noise(1, 2, 5, 8, density=0.6)
    scores, mix = traced_on(model, query, key).layers
    repeated = ones(torch.from_numpy(key)).repeat_interleave(2, 1)
    assert scores.n_macs_nonzero == int((ones(torch.from_numpy(query)) @ repeated.mT).sum())
    assert (scores.n_inputs, mix.n_inputs) == (query.size + key.size, key.size)  # read once, not once a head
    assert scores.n_groups == mix.n_groups == 4


@pytest.mark.parametrize("needs_weights", [True, False], ids=["with its weights", "fused"])
def test_multi_head_attention_costs_the_same_however_it_is_executed(needs_weights: bool) -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    model = Net(lambda self, x: self.a(x, x, x, need_weights=needs_weights)[0], a=attention)
    trace = traced(model, noise(2, 5, 8))
    # projection of 3 x 8, scores and mix of 2 heads of 4 for each of 2 sequences, projection back
    expected = [10 * 8 * 24, 4 * 5 * 5 * 4, 4 * 5 * 4 * 5, 10 * 8 * 8]
    assert [layer.n_macs_dense for layer in gemms(trace)] == expected
    assert trace.header_bytes + sum(layer.stored_bytes for layer in trace.layers) == trace.file_bytes


# --- recurrent layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_layer_is_what_the_input_gives_and_step_by_step_what_the_hidden_units_give(kind: type) -> None:
    n_gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    model = Net(lambda self, x: self.a(x)[0], a=kind(3, 5, batch_first=True))
    ih, hh = traced(model, noise(2, 7, 3, density=0.5)).layers
    assert (sizes(ih), sizes(hh)) == ((1, 1, 14, n_gates * 5, 3), (7, 1, 2, n_gates * 5, 5))
    assert hh.n_macs_dense == 7 * 2 * n_gates * 5 * 5
    # the hidden units begin at zero; after that none is
    assert hh.n_macs_nonzero == 6 * 2 * n_gates * 5 * 5
    assert ih.n_macs_nonzero == n_gates * 5 * ih.n_inputs_nonzero
    assert (ih.stored_bytes, hh.stored_bytes) == (4 * n_gates * 5 * (3 + 1), 4 * n_gates * 5 * (5 + 1))
    assert hh.producers == (0,)


def test_layers_and_directions_follow_each_other_and_see_what_the_ones_before_gave() -> None:
    lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    trace = traced(Net(lambda self, x: self.b(self.a(x)[0]), a=lstm, b=nn.Linear(10, 2)), noise(7, 2, 3))
    assert [layer.k for layer in trace.layers] == [3, 5, 3, 5, 10, 5, 10, 5, 10]
    assert [layer.n_steps for layer in trace.layers] == [1, 7] * 4 + [1]
    assert trace.layers[4].producers == (1, 3)  # both directions of the first layer
    assert trace.layers[8].producers == (5, 7)
    first = functional.relu(lstm(torch.from_numpy(noise(7, 2, 3)))[0])
    assert trace.layers[8].n_inputs == first.numel()


def test_packed_sequences_are_followed_step_by_step() -> None:
    def run(self: Net, x: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 1]))
        return self.a(packed)[1]

    trace = traced(Net(run, a=nn.GRU(4, 5)), noise(3, 2, 4))
    # the input gives to all 4 steps of both sequences at once, the hidden units to each time's sequences but at the start
    assert sum(layer.n_macs_dense for layer in gemms(trace)) == 4 * 15 * 4 + (1 + 1) * 15 * 5


def test_a_cell_is_its_two_products() -> None:
    model = Net(lambda self, x: self.a(x)[0], a=nn.LSTMCell(4, 3))
    assert [layer.n_macs_dense for layer in gemms(traced(model, noise(2, 4)))] == [2 * 12 * 4]  # it starts at zero


# --- tables, moves and what is not known -----------------------------------------------------------------------------


def test_an_embedding_reads_the_rows_that_are_asked_for_once() -> None:
    trace = traced_on(nn.Embedding(100, 8), torch.tensor([[3, 5, 3]]))
    (layer,) = trace.layers
    assert (layer.kind, layer.n_macs_dense, layer.n_outputs) == ("embedding", 0, 24)
    assert (layer.stored_bytes, layer.read_bytes) == (3200, 2 * 8 * 4)
    assert trace.n_network_inputs == 3
    assert layer.producers == (INPUT,)


def test_concatenation_moves_and_remembers_both_branches() -> None:
    model = Net(lambda self, x: torch.cat([self.a(x), self.b(x)], 1), a=nn.Linear(4, 2), b=nn.Linear(4, 3))
    cat = traced(model, noise(1, 4)).layers[2]
    assert (cat.kind, cat.producers, cat.n_inputs, cat.n_outputs, cat.n_alu_ops) == ("cat", (0, 1), 5, 5, 0)


@pytest.mark.parametrize(
    ("model", "n_alu_ops"),
    [
        (nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6)), 7 * 12),
        (nn.Sequential(nn.Linear(4, 6), nn.RMSNorm(6)), 4 * 12),
        (nn.Sequential(nn.Linear(4, 6), nn.Softmax(1)), 5 * 12),
        (nn.Sequential(nn.Linear(4, 6), nn.GroupNorm(2, 6)), 7 * 12),
        (nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (2, 3)), nn.MaxPool1d(2, stride=1)), 2 * 2 * 4),
    ],
)
def test_operations_beside_products(model: nn.Module, n_alu_ops: int) -> None:
    trace = traced(model, noise(2, 4))
    assert len(trace.layers) == 2
    assert trace.layers[1].n_alu_ops == n_alu_ops


def test_batch_normalisation_that_no_layer_can_take_over_costs_a_product_and_a_sum() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    norm, conv = traced(model, noise(1, 3, 4, 4)).layers
    assert (norm.kind, norm.n_alu_ops, norm.stored_bytes) == ("batch_norm", 2 * 48, 4 * 12)
    assert conv.producers == (0,)


def test_an_operator_without_a_cost_model_is_listed_and_counted_as_data_movement() -> None:
    model = Net(lambda self, x: torch.linalg.svd(self.a(x))[1], a=nn.Linear(4, 4))
    layer = traced(model, noise(3, 4)).layers[1]
    assert (layer.kind, layer.counts, layer.n_alu_ops) == ("linalg_svd", "unknown", 0)
    assert (layer.n_inputs, layer.n_outputs > 0) == (12, True)
    assert layer.operator.startswith("aten.")


# --- weights: tied, masked, kept -------------------------------------------------------------------------------------


def test_tied_weights_are_stored_once_and_read_twice() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.words.weight

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.head(self.words(tokens))

    trace = traced_on(Tied(), torch.tensor([[1, 2]]))
    words, head = trace.layers
    assert (words.stored_bytes, head.stored_bytes) == (160, 0)
    assert (words.read_bytes, head.read_bytes) == (32, 160)
    assert (words.weights_of, head.weights_of) == (OWN, 0)
    assert trace.n_parameters == 40
    assert trace.header_bytes + 160 == trace.file_bytes


def test_a_module_that_runs_twice_has_one_set_of_weights() -> None:
    first, second = traced(Net(lambda self, x: self.a(self.a(x)), a=nn.Linear(4, 4)), noise(1, 4)).layers
    assert (second.weights_of, second.stored_bytes, second.read_bytes) == (0, 0, first.stored_bytes)
    assert first.name != second.name


def test_masks_of_pruning_are_applied_before_anything_is_stored() -> None:
    model = nn.Linear(6, 5)
    prune.l1_unstructured(model, "weight", 0.5)
    (layer,) = traced(settled(model), noise(1, 6)).layers
    assert (layer.n_weights_nonzero, layer.stored_bytes) == (15, 4 * 35)


def test_a_mask_in_the_forward_counts_as_what_it_leaves() -> None:
    model = nn.Linear(6, 5)
    prune.l1_unstructured(model, "weight", 0.5)
    (layer,) = traced(model, noise(1, 6)).layers
    assert (layer.n_weights_nonzero, layer.n_macs_nonzero) == (15, 15)
    assert layer.stored_bytes == 4 * (30 + 30 + 5)  # the file holds weights and mask


class Cached(nn.Module):
    """Attention of one token over the ones before, whose keys and values are kept in buffers."""

    def __init__(self, n_tokens: int, at: int) -> None:
        super().__init__()
        self.at = at
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))
        self.register_buffer("keys", torch.rand(1, 2, n_tokens, 4), persistent=False)
        self.register_buffer("values", torch.rand(1, 2, n_tokens, 4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (part(x).view(1, 1, 2, 4).transpose(1, 2) for part in (self.q, self.k, self.v))
        self.keys[:, :, self.at : self.at + 1] = key
        self.values[:, :, self.at : self.at + 1] = value
        seen = slice(0, self.at + 1)
        return functional.scaled_dot_product_attention(query, self.keys[:, :, seen], self.values[:, :, seen])


def test_what_a_network_keeps_is_read_and_written_but_no_weight() -> None:
    model = Cached(10, at=6)
    before = model.keys.clone()
    trace = traced(model, noise(1, 1, 8))
    by_kind = {layer.kind: layer for layer in trace.layers}
    assert by_kind["attention_scores"].n_state_inputs == by_kind["attention_mix"].n_state_inputs == 7 * 8
    written = [layer for layer in trace.layers if layer.n_state_outputs]
    assert [layer.n_state_outputs for layer in written] == [8, 8]
    assert [layer.n_outputs for layer in written] == [0, 0]  # they leave nothing in the activation memory
    assert torch.equal(model.keys, before)  # tracing leaves the model as it was


def test_state_that_is_read_before_it_is_written() -> None:
    class Running(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(8, 4)
            self.register_buffer("h", torch.zeros(1, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            new = self.a(torch.cat([x, self.h], 1))
            self.h.copy_(new)
            return new

    cat, linear, keep = traced(Running(), noise(1, 4)).layers
    assert (cat.n_state_inputs, linear.n_state_inputs, keep.n_state_outputs) == (4, 0, 4)


def test_writing_into_a_part_of_a_tensor_keeps_what_made_the_rest() -> None:
    def write(self: Net, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        y[:, :2] = self.b(x)
        return self.c(y)

    trace = traced(Net(write, a=nn.Linear(4, 4), b=nn.Linear(4, 2), c=nn.Linear(4, 3)), noise(1, 4))
    assert named(trace) == ["linear", "linear", "copy", "linear"]
    assert trace.layers[3].producers == (0, 2)


# --- what torch.export refuses, and files of its own -----------------------------------------------------------------


def test_a_forward_that_depends_on_the_data_is_followed_as_it_runs() -> None:
    branching = Net(lambda self, x: self.b(self.a(x)) if x.sum() > 0 else x, a=nn.Linear(4, 4), b=nn.Linear(4, 2))
    program = export(branching, abs(noise(1, 4)))
    assert program.exported is None
    assert program.refusal
    trace = traced(branching, abs(noise(1, 4)))
    assert [(layer.name, layer.kind, layer.n_macs_dense) for layer in trace.layers] == [
        ("sum", "sum", 0),  # comparing it with zero rides on it
        ("a", "linear", 16),
        ("b", "linear", 8),
    ]


@pytest.mark.parametrize(
    "model",
    [
        pruned(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))),
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(2), nn.TransformerEncoderLayer(16, 2, 8, batch_first=True)),
        pruned(nn.Sequential(nn.ConvTranspose2d(2, 3, 3), nn.Softmax(1), nn.GroupNorm(1, 3))),
        nn.Sequential(nn.Flatten(0, 1), nn.Flatten(1), Net(lambda self, x: self.a(x)[0], a=nn.GRU(36, 3, 2))),
    ],
    ids=["convolution", "transformer", "transposed", "recurrent"],
)
def test_both_ways_of_following_a_model_find_the_same(model: nn.Module) -> None:
    inputs = noise(1, 2, 6, 6, density=0.8)
    exported, seen = (
        traced(model, inputs),
        traced(Net(_distrust, inner=model, flag=nn.Parameter(torch.ones(2))), inputs),
    )
    kept = ("kind", "n_macs_dense", "n_macs_nonzero", "n_alu_ops", "n_outputs_nonzero", "producers", "stored_bytes")
    for ours, theirs in zip(exported.layers, seen.layers, strict=True):
        assert {key: getattr(ours, key) for key in kept} == {key: getattr(theirs, key) for key in kept}
        assert theirs.module.startswith("inner")


def _distrust(self: Net, x: torch.Tensor) -> torch.Tensor:
    assert float(self.flag.max()) > 0  # which no export can follow
    return self.inner(x)


def test_a_file_of_torch_export_needs_no_code(tmp_path: Path) -> None:
    model, inputs = pruned(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())), noise(1, 1, 6, 6)
    torch.export.save(torch.export.export(model.eval(), (torch.from_numpy(inputs),)), tmp_path / "net.pt2")
    program, examples = open_exported(tmp_path / "net.pt2")
    stored = pack("toy", "dense", state_weights(program.model))
    assert capture(program, stored, examples, None).layers == traced(model, inputs).layers


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no exported program"])
def test_a_file_that_is_no_exported_program_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(content)
    with pytest.raises(NetworkError, match=r"cannot read .*net\.pt2"):
        open_exported(tmp_path / "net.pt2")


def test_an_operator_that_a_file_needs_and_torch_has_not_is_named(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(nn.ReLU(), (torch.ones(1, 4),)), tmp_path / "net.pt2")
    with zipfile.ZipFile(tmp_path / "net.pt2") as ours, zipfile.ZipFile(tmp_path / "theirs.pt2", "w") as theirs:
        for name in ours.namelist():
            theirs.writestr(name, ours.read(name).replace(b"torch.ops.aten.relu.", b"torch.ops.nobodys.own_relu."))
    with pytest.raises(NetworkError, match="uses the operator nobodys::own_relu, which is not registered"):
        open_exported(tmp_path / "theirs.pt2")


def test_arguments_by_name_and_several_of_them() -> None:
    model = Net(lambda self, x, scale: self.a(x) * scale, a=nn.Linear(4, 2))
    given = {"x": torch.ones(3, 4), "scale": torch.full((3, 1), 2.0)}
    trace = capture(export(model, Inputs.of(given)), pack("toy", "dense", state_weights(model)), Inputs.of(given), None)
    assert (trace.batch, trace.n_network_inputs) == (3, 15)
    assert trace.layers[1].producers == (0, INPUT)


def test_shapes_alone_are_enough_and_say_so() -> None:
    with torch.device("meta"):
        model, inputs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.ones(1, 4)
    from dcsim.traces.stored import StoredNetwork, plain_weight

    weights = {name: plain_weight(name, tensor.numel()) for name, tensor in model.named_parameters()}
    stored = StoredNetwork("toy", "dense", weights, 23, 92, "", synthetic=True)
    trace = capture(export(model, Inputs.of(inputs)), stored, Inputs.of(inputs), None)
    assert [layer.counts for layer in trace.layers] == ["estimated", "estimated"]
    assert [layer.n_macs_nonzero for layer in trace.layers] == [12, 6]
    assert trace.layers[0].weight_bitmap is trace.layers[0].column_nonzeros is None


def test_nonzero_macs_may_be_estimated_and_say_so() -> None:
    model, inputs = (
        pruned(nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))),
        noise(2, 2, 12, 12, density=0.5),
    )
    stored = pack("toy", "dense", state_weights(model))
    exact, estimated = (capture(export(model, inputs), stored, inputs, None, exact) for exact in (True, False))
    for ours, theirs in zip(exact.layers, estimated.layers, strict=True):
        assert (ours.counts, theirs.counts) == ("exact", "estimated")
        assert theirs.n_macs_nonzero == pytest.approx(ours.n_macs_nonzero, rel=0.25)
        assert (ours.n_outputs_nonzero, ours.n_weights_nonzero) == (theirs.n_outputs_nonzero, theirs.n_weights_nonzero)
    share = estimated.layers[0].n_inputs_nonzero / 576 * estimated.layers[0].n_weights_nonzero / 144
    assert estimated.layers[0].n_macs_nonzero == round(share * estimated.layers[0].n_macs_dense)


# --- corners ---------------------------------------------------------------------------------------------------------


def test_a_tensor_computed_from_weights_and_written_to_is_an_activation() -> None:
    def write(self: Net, x: torch.Tensor) -> torch.Tensor:
        bias = self.w * 1.0
        bias += x
        return self.a(bias)

    add, linear = traced(Net(write, w=nn.Parameter(torch.ones(2, 4)), a=nn.Linear(4, 3)), noise(2, 4)).layers
    assert (add.kind, add.n_outputs, add.n_state_outputs, add.weights) == ("add", 8, 0, ("w",))
    assert linear.producers == (0,)


def test_a_loop_over_a_cell_keeps_its_weights() -> None:
    def loop(self: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.zeros(2, 8)
        for step in x:
            hidden = self.a(step, hidden)
        return hidden

    trace = traced(Net(loop, a=nn.GRUCell(4, 8)), noise(3, 2, 4))
    assert sum(layer.n_state_inputs + layer.n_state_outputs for layer in trace.layers) == 0
    assert sum(layer.stored_bytes for layer in trace.layers) == 4 * (24 * 4 + 24 * 8 + 48)
    assert {layer.counts for layer in trace.layers} == {"exact"}


@pytest.mark.parametrize("how", ["index", "scatter", "mask"])
def test_writing_to_some_places_keeps_what_made_the_others(how: str) -> None:
    def write(self: Net, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        if how == "index":
            y[torch.tensor([0])] = self.c(x)[:1]
        elif how == "scatter":
            y.scatter_(1, torch.zeros(3, 1, dtype=torch.int64), self.c(x)[:, :1])
        else:
            y[y < 0] = 0.0
        return self.b(y)

    trace = traced(Net(write, a=nn.Linear(4, 4), b=nn.Linear(4, 2), c=nn.Linear(4, 4)), noise(3, 4))
    by_name = {layer.name: index for index, layer in enumerate(trace.layers)}
    assert by_name["a"] in trace.layers[by_name["b"]].producers
    assert trace.layers[by_name["a"]].n_outputs_nonzero == 12


def test_an_lstm_that_projects_its_hidden_units() -> None:
    lstm = nn.LSTM(6, 8, 2, proj_size=3, bidirectional=True, batch_first=True)
    trace = traced(Net(lambda self, x: self.a(x)[0], a=lstm), noise(2, 5, 6))
    assert [layer.kind for layer in trace.layers] == ["lstm_input", "lstm_hidden", "lstm_projection"] * 4
    # input 10 x 32 x (6 or 6), hidden 10 x 32 x 3, projection 10 x 3 x 8, in four layers and directions
    assert sum(layer.n_macs_dense for layer in trace.layers) == 2 * 10 * 32 * (6 + 6) + 4 * 10 * (32 * 3 + 3 * 8)
    assert trace.header_bytes + sum(layer.stored_bytes for layer in trace.layers) == trace.file_bytes
    assert trace.layers[1].n_alu_ops == 8 * 10 * 8
    assert not any(layer.weights_of != OWN for layer in trace.layers)


def test_weights_that_are_in_no_file_are_not_taken_for_free() -> None:
    model = Net(lambda self, x: x @ self.table)
    model.table = torch.ones(4, 3)  # neither parameter nor buffer
    (layer,) = traced(model, noise(2, 4)).layers
    assert (layer.counts, layer.n_macs_dense, layer.stored_bytes) == ("unknown", 0, 0)


@pytest.mark.parametrize("shape", [(1, 4, 6, 5), (3, 4, 2, 5), (3, 1, 2, 5)])
def test_weights_that_are_broadcast_count_once(shape: tuple[int, ...]) -> None:
    weight = nn.Parameter(torch.from_numpy(noise(4, 5, 7, density=0.4)))
    inputs = noise(*shape, density=0.7)
    (layer,) = traced(Net(lambda self, x: x @ self.w, w=weight), inputs).layers
    assert (layer.n_groups, layer.n, layer.k, layer.n_weights) == (4, 7, 5, 140)
    assert layer.m == max(shape[0], 1) * shape[2]
    assert layer.n_macs_nonzero == int((ones(torch.from_numpy(inputs)) @ ones(weight.data)).sum())


def test_layers_that_share_any_weight_share_their_place() -> None:
    def both(self: Net, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.a + self.big) + functional.linear(x, self.b + self.big)

    parts = {name: nn.Parameter(torch.ones(8, 8)) for name in ("a", "b", "big")}
    first, second, _ = traced(Net(both, **parts), noise(1, 8)).layers
    assert (first.stored_bytes, second.stored_bytes, second.read_bytes) == (512, 256, 512)
    assert (first.weights_of, second.weights_of) == (OWN, 0)


def test_attention_broadcasts_keys_over_the_batch() -> None:
    model = Net(lambda self, q, k: functional.scaled_dot_product_attention(q, k, k))
    scores, mix = traced_on(model, noise(2, 3, 5, 4), noise(1, 1, 6, 4)).layers
    assert (scores.n_groups, scores.n_macs_nonzero, mix.n_macs_nonzero) == (6, 6 * 5 * 6 * 4, 6 * 5 * 6 * 4)


def test_graphs_within_the_graph_are_followed_as_they_run() -> None:
    def guarded(self: Net, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return self.a(x)

    assert named(traced(Net(guarded, a=nn.Linear(4, 2)), noise(1, 4))) == ["linear"]


def test_inputs_of_an_exported_program_go_by_their_names(tmp_path: Path) -> None:
    model = Net(lambda self, x, y: self.a(x) + self.b(y), a=nn.Linear(4, 4), b=nn.Linear(4, 4))
    given = {"x": torch.ones(1, 4), "y": torch.zeros(1, 4)}
    torch.export.save(torch.export.export(model.eval(), (), given), tmp_path / "net.pt2")
    program, _ = open_exported(tmp_path / "net.pt2")
    stored = pack("toy", "dense", state_weights(program.model))
    turned = Inputs.of({"y": given["y"], "x": given["x"]})
    a, b, _ = capture(program, stored, turned, None).layers
    assert (a.n_macs_nonzero, b.n_macs_nonzero) == (16, 0)
    for wrong in ({"x": given["x"]}, {**given, "z": given["x"]}, {"x": given["x"], "y": torch.ones(2, 4)}):
        with pytest.raises(NetworkError, match="exported program"):
            capture(program, stored, Inputs.of(wrong), None)


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm])
def test_norms_of_weights_are_made_permanent(norm: Callable[[nn.Module], nn.Module]) -> None:
    with pytest.warns(FutureWarning) if norm is nn.utils.weight_norm else contextlib.nullcontext():
        model = norm(nn.Linear(6, 5))
    (layer,) = traced(settled(model.eval()), noise(1, 6)).layers
    assert (layer.weights, layer.stored_bytes) == (("weight", "bias"), 4 * 35)
