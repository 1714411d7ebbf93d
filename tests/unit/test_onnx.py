"""Does an ONNX graph cost what the same network costs in torch, and what plain arithmetic on its masks says?"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dcsim.artifact import CompressedModel, pack
from dcsim.compression.pipeline import state_floats
from dcsim.errors import NetworkError
from dcsim.traces.inputs import Inputs
from dcsim.traces.trace import INPUT, OWN, Trace
from tests.unit.test_capture import Net, noise, pruned, traced
from tests.unit.test_capture_operators import sizes, traced_on

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper, numpy_helper  # noqa: E402

from dcsim.traces.onnx_execution import Sessions  # noqa: E402
from dcsim.traces.onnx_file import OnnxFile  # noqa: E402
from dcsim.traces.onnx_graph import GraphTracer, trace_onnx  # noqa: E402
from dcsim.traces.onnx_operators import Node  # noqa: E402

torch.set_num_threads(1)

Arrays = Mapping[str, Any]
Shape = Sequence[int | str | None]
SAME = (
    "kind",
    "counts",
    "n_steps",
    "n_groups",
    "m",
    "n",
    "k",
    "n_macs_dense",
    "n_macs_nonzero",
    "n_alu_ops",
    "n_inputs",
)
SAME += ("n_inputs_nonzero", "n_outputs", "n_outputs_nonzero", "n_weights", "n_weights_nonzero", "weight_bitmap")
SAME += ("column_nonzeros", "producers", "element_bits", "output_shapes", "encoding", "weights_of")
BYTES = ("stored_bytes", "read_bytes")


def node(operator: str, reads: str, makes: str = "y", **attributes: Any) -> Any:
    """An operator; names are separated by blanks, an absent one is a dash."""
    inputs, outputs = (["" if name == "-" else name for name in names.split()] for names in (reads, makes))
    return helper.make_node(operator, inputs, outputs, **attributes)


def proto(
    nodes: Sequence[Any],
    inputs: Mapping[str, Shape],
    weights: Arrays | None = None,
    outputs: str = "y",
    dtypes: Mapping[str, Any] | None = None,
    opset: int = 21,
    domains: Sequence[str] = (),
) -> Any:
    """A model of float inputs, if `dtypes` do not say otherwise."""
    types = {name: helper.np_dtype_to_tensor_dtype(np.dtype((dtypes or {}).get(name, np.float32))) for name in inputs}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, types[name], shape) for name, shape in inputs.items()],
        [helper.make_value_info(name, onnx.TypeProto()) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    opsets = [
        helper.make_opsetid(domain, version) for domain, version in (("", opset), *((name, 1) for name in domains))
    ]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(made, data_prop=True)
    for value, known in zip(graph.output, inferred.graph.output, strict=True):
        value.type.CopyFrom(known.type)
        value.type.tensor_type.elem_type = known.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        value.type.tensor_type.shape.SetInParent()  # the checker wants one, whatever it says
    made.graph.CopyFrom(graph)
    return made


@pytest.fixture
def trace(tmp_path: Path) -> Any:
    """Trace nodes on arrays, or by the shapes of the arrays alone."""

    def of(
        nodes: Sequence[Any],
        inputs: Arrays,
        weights: Arrays | None = None,
        *,
        by_shape: bool = False,
        file: CompressedModel | None = None,
        **rest: Any,
    ) -> Trace:
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        made = proto(
            nodes,
            {name: array.shape for name, array in arrays.items()},
            weights,
            dtypes={name: array.dtype for name, array in arrays.items()},
            **rest,
        )
        onnx.save(made, tmp_path / "net.onnx")
        found = trace_onnx(tmp_path / "net.onnx", None if by_shape else Inputs.of(arrays), file=file)
        owned = sum(layer.stored_bytes for layer in found.layers)
        assert found.header_bytes + owned == found.file_bytes
        assert found.n_network_inputs == sum(array.size for array in arrays.values())
        return found

    return of


def state(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in state_floats(model).items()}


def assert_same(ours: Trace, theirs: Trace, *, fields: Sequence[str] = SAME + BYTES) -> None:
    assert len(ours.layers) == len(theirs.layers)
    for our, their in zip(ours.layers, theirs.layers, strict=True):
        assert {key: getattr(our, key) for key in fields} == {key: getattr(their, key) for key in fields}


def ones(array: Any) -> np.ndarray:
    return (np.asarray(array) != 0).astype(np.float64)


def n_products(made: Any, arrays: Arrays) -> int:
    """MACs of two nonzeros, by onnxruntime itself: the operators applied to masks, what they make added up."""
    masks = {
        name: array if array.dtype.kind == "i" else ones(array).astype(np.float32) for name, array in arrays.items()
    }
    (found,) = onnxruntime.InferenceSession(made.SerializeToString()).run(None, masks)
    return round(float(found.astype(np.float64).sum()))


# --- convolutions ----------------------------------------------------------------------------------------------------

CONVOLUTIONS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    # operator, input, filters, attributes
    "plain": ("Conv", (2, 4, 7, 6), (6, 4, 3, 3), {}),
    "strided": ("Conv", (2, 4, 9, 11), (6, 4, 3, 3), {"strides": [2, 3], "pads": [1, 2, 1, 2]}),
    "dilated": ("Conv", (1, 4, 8, 7), (6, 4, 3, 3), {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "grouped": ("Conv", (2, 4, 7, 6), (6, 2, 3, 3), {"group": 2}),
    "depthwise": ("Conv", (2, 4, 7, 6), (8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "padded on one side": ("Conv", (1, 2, 5, 6), (3, 2, 2, 3), {"pads": [1, 0, 0, 2], "strides": [2, 1]}),
    "same, upper": ("Conv", (1, 2, 5, 6), (3, 2, 2, 4), {"auto_pad": "SAME_UPPER", "strides": [1, 2]}),
    "same, lower": ("Conv", (1, 2, 5, 6), (3, 2, 2, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    "same, wider than the filter": ("Conv", (1, 2, 5, 7), (3, 2, 1, 1), {"auto_pad": "SAME_UPPER", "strides": [3, 3]}),
    "valid": ("Conv", (1, 2, 5, 6), (3, 2, 2, 4), {"auto_pad": "VALID"}),
    "1-d": ("Conv", (2, 3, 11), (5, 3, 4), {"strides": [2], "pads": [1, 1]}),
    "3-d": ("Conv", (1, 2, 3, 5, 6), (3, 2, 1, 2, 3), {"strides": [1, 2, 1]}),
    "transposed": ("ConvTranspose", (2, 4, 5, 4), (4, 6, 3, 3), {}),
    "transposed, cropped": (
        "ConvTranspose",
        (2, 4, 5, 4),
        (4, 3, 3, 3),
        {"strides": [2, 2], "pads": [1, 0, 2, 1], "output_padding": [1, 0], "group": 2},
    ),
    "transposed, dilated": ("ConvTranspose", (1, 4, 5, 6), (4, 3, 3, 3), {"dilations": [2, 2], "pads": [3, 3, 3, 3]}),
    "transposed, same": ("ConvTranspose", (1, 2, 5), (2, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [3]}),
    "transposed, to a size": ("ConvTranspose", (1, 2, 5), (2, 3, 4), {"output_shape": [13], "strides": [3]}),
    "transposed, 3-d": ("ConvTranspose", (1, 2, 3, 4, 3), (2, 3, 2, 2, 2), {"strides": [2, 2, 2], "pads": [1] * 6}),
}


@pytest.mark.parametrize("by_shape", [False, True], ids=["on arrays", "by shapes"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_of_masks_counts_the_nonzero_macs(name: str, by_shape: bool, trace: Any) -> None:
    operator, shape, filters, attributes = CONVOLUTIONS[name]
    inputs, weight = noise(*shape, density=0.5), noise(*filters, density=0.6)
    nodes = [node(operator, "x w", **attributes)]
    (layer,) = trace(nodes, {"x": inputs}, {"w": weight}, by_shape=by_shape).layers
    rank = len(shape) - 2
    assert layer.kind == f"conv{rank}d" if operator == "Conv" else f"conv_transpose{rank}d"
    assert layer.operator == f"onnx.{operator}"
    assert layer.n_macs_dense == layer.n_groups * layer.m * layer.n * layer.k
    assert (layer.n_weights, layer.n_weights_nonzero) == (weight.size, np.count_nonzero(weight))
    masked = proto(nodes, {"x": shape}, {"w": ones(weight).astype(np.float32)})
    if not by_shape:
        assert layer.n_macs_nonzero == n_products(masked, {"x": inputs})
        assert layer.counts == "exact"
    elif operator == "Conv":
        assert layer.n_macs_nonzero == layer.m * np.count_nonzero(weight)
        assert layer.counts == "estimated"


@pytest.mark.parametrize(
    ("model", "operator", "shape", "attributes"),
    [
        (
            nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
            "Conv",
            (2, 4, 7, 6),
            {"group": 2, "strides": [2, 2], "pads": [1] * 4},
        ),
        (nn.Conv1d(3, 5, 4, dilation=2), "Conv", (2, 3, 11), {"dilations": [2]}),
        (
            nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1),
            "ConvTranspose",
            (2, 4, 5, 4),
            {"strides": [2, 2], "pads": [1] * 4},
        ),
    ],
    ids=["grouped", "1-d", "transposed"],
)
def test_a_convolution_is_that_of_torch(
    model: nn.Module, operator: str, shape: tuple[int, ...], attributes: dict[str, Any], trace: Any
) -> None:
    inputs = noise(*shape, density=0.5)
    ours = trace([node(operator, "x weight bias", **attributes)], {"x": inputs}, state(pruned(model)))
    assert_same(ours, traced(model, inputs))


def test_filters_that_are_computed_from_the_input_are_no_weights(trace: Any) -> None:
    nodes = [node("Conv", "x f")]
    inputs = {"x": noise(1, 2, 6, 6, density=0.5), "f": noise(3, 2, 3, 3, density=0.5)}
    (layer,) = trace(nodes, inputs).layers
    assert (layer.m, layer.n, layer.k, layer.n_weights, layer.stored_bytes) == (16, 3, 18, 0, 0)
    assert layer.n_macs_nonzero == n_products(proto(nodes, {"x": (1, 2, 6, 6), "f": (3, 2, 3, 3)}), inputs)


# --- matrix products -------------------------------------------------------------------------------------------------

PRODUCTS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    # operator on x and on weights w or another activation v; shapes of both; (groups, M, N, K)
    "gemm": (node("Gemm", "x w", transB=1), (3, 4), (5, 4), (1, 3, 5, 4)),
    "gemm, transposed": (node("Gemm", "x w", transA=1, alpha=0.5), (4, 3), (4, 5), (1, 3, 5, 4)),
    "gemm, weights on the left": (node("Gemm", "w x"), (4, 3), (5, 4), (1, 3, 5, 4)),
    "gemm of two": (node("Gemm", "x v"), (3, 4), (4, 5), (1, 3, 5, 4)),
    "rows": (node("MatMul", "x w"), (2, 3, 4), (4, 5), (1, 6, 5, 4)),
    "weights on the left": (node("MatMul", "w x"), (2, 4, 3), (5, 4), (1, 6, 5, 4)),
    "vector": (node("MatMul", "w x"), (4,), (5, 4), (1, 1, 5, 4)),
    "vector on the left": (node("MatMul", "x w"), (4,), (4, 5), (1, 1, 5, 4)),
    "stack of weights": (node("MatMul", "x w"), (2, 3, 4), (2, 4, 5), (2, 3, 5, 4)),
    "stack of weights for all": (node("MatMul", "x w"), (3, 2, 6, 4), (2, 4, 5), (2, 18, 5, 4)),
    "two activations": (node("MatMul", "x v"), (2, 3, 6, 4), (2, 3, 4, 5), (6, 6, 5, 4)),
    "two activations, spread": (node("MatMul", "x v"), (2, 1, 6, 4), (3, 4, 5), (3, 12, 5, 4)),
    "two activations, one matrix": (node("MatMul", "x v"), (2, 3, 4), (4, 5), (1, 6, 5, 4)),
    "einsum": (node("Einsum", "x w", equation="bik, jk -> bij"), (2, 3, 4), (5, 4), (1, 6, 5, 4)),
    "einsum, batched": (node("Einsum", "x v", equation="bqhd,bkhd->bhqk"), (1, 3, 2, 4), (1, 5, 2, 4), (2, 3, 5, 4)),
    "einsum, weights": (node("Einsum", "w x", equation="hde,bhe->bhd"), (3, 2, 4), (2, 5, 4), (2, 3, 5, 4)),
}


@pytest.mark.parametrize("how", PRODUCTS)
def test_products_of_matrices_are_told_from_those_with_weights(how: str, trace: Any) -> None:
    product, shape, other, (n_groups, m, n, k) = PRODUCTS[how]
    x, w = noise(*shape, density=0.6), noise(*other, density=0.5)
    stored = "w" in product.input
    inputs = {"x": x} if stored else {"x": x, "v": w}
    (layer,) = trace([product], inputs, {"w": w} if stored else {}).layers
    assert sizes(layer) == (1, n_groups, m, n, k)
    masked = proto(
        [
            node(
                product.op_type,
                " ".join(product.input),
                **{each.name: helper.get_attribute_value(each) for each in product.attribute if each.name != "alpha"},
            )
        ],
        {name: array.shape for name, array in inputs.items()},
        {"w": ones(w).astype(np.float32)} if stored else {},
    )
    assert layer.n_macs_nonzero == n_products(masked, inputs)
    expected = ("linear", w.size, 4 * w.size) if stored else ("matmul", 0, 0)
    assert (layer.kind, layer.n_weights, layer.stored_bytes) == expected
    shapes = trace([product], inputs, {"w": w} if stored else {}, by_shape=True).layers[0]
    assert (sizes(shapes), shapes.counts) == (sizes(layer), "estimated")


def test_a_linear_layer_is_that_of_torch(trace: Any) -> None:
    model, inputs = pruned(nn.Linear(6, 5)), noise(2, 3, 6, density=0.5)
    nodes = [node("Transpose", "weight", "t", perm=[1, 0]), node("MatMul", "x t", "h"), node("Add", "h bias")]
    ours = trace(nodes, {"x": inputs}, state(model))
    assert_same(ours, traced(model, inputs))  # the sum rides on the product
    flat = inputs.reshape(6, 6)
    assert_same(trace([node("Gemm", "x weight bias", transB=1)], {"x": flat}, state(model)), traced(model, flat))


@pytest.mark.parametrize("equation", ["ij,jk->i", "ii,ij->j", "ij,jk", "...j,jk->...k", "ij,kl->ijkl"])
def test_an_einsum_that_is_no_product_of_two_matrices_is_listed(equation: str, trace: Any) -> None:
    inputs = {"x": noise(4, 4), "v": noise(4, 4)}
    (layer,) = trace([node("Einsum", "x v", equation=equation)], inputs).layers
    assert (layer.kind, layer.counts, layer.n_macs_dense) == ("einsum", "unknown", 0)


# --- attention and recurrent layers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["plain", "causal", "masked", "grouped queries", "heads side by side"])
def test_attention_is_that_of_torch(case: str, trace: Any) -> None:
    n_heads = 2 if case == "grouped queries" else 4
    q, k, v = noise(2, 4, 5, 8, density=0.6), noise(2, n_heads, 5, 8, density=0.7), noise(2, n_heads, 5, 6, density=0.5)
    mask = np.random.default_rng(0).random((5, 5)) < 0.5
    mask[:, 0] = True
    given, weights, attributes, options = "q k v", {}, {}, {}
    if case == "causal":
        attributes, options = {"is_causal": 1}, {"is_causal": True}
    if case == "masked":
        given, weights, options = "q k v m", {"m": mask}, {"attn_mask": torch.from_numpy(mask)}
    inputs = {"q": q, "k": k, "v": v}
    if case == "heads side by side":
        attributes = {"q_num_heads": 4, "kv_num_heads": 4}
        inputs = {name: array.transpose(0, 2, 1, 3).reshape(2, 5, -1) for name, array in inputs.items()}
    model = Net(
        lambda self, q, k, v: functional.scaled_dot_product_attention(q, k, v, enable_gqa=n_heads == 2, **options)
    )
    theirs = traced_on(model, *map(torch.from_numpy, (q, k, v)))
    ours = trace([node("Attention", given, **attributes)], inputs, weights, opset=23)
    assert_same(ours, theirs, fields=[name for name in SAME if name != "output_shapes"])
    assert trace([node("Attention", given, **attributes)], inputs, weights, opset=23, by_shape=True).layers[1].k == 5


CELLS = {
    "LSTM": (nn.LSTM, [0, 3, 1, 2]),
    "GRU": (nn.GRU, [1, 0, 2]),
    "RNN": (nn.RNN, [0]),
}  # ONNX's order of torch's gates


def gates(tensor: torch.Tensor, order: Sequence[int]) -> np.ndarray:
    return torch.cat([tensor.detach().chunk(len(order))[place] for place in order]).numpy()


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", CELLS)
def test_a_recurrent_layer_is_that_of_torch(operator: str, direction: str, trace: Any) -> None:
    kind, order = CELLS[operator]
    two = direction == "bidirectional"
    model, inputs = kind(3, 5, bidirectional=two), noise(7, 2, 3, density=0.5)
    suffixes = ["l0", "l0_reverse"][: 1 + two]
    ours = {
        name: np.stack(
            [
                np.concatenate([gates(getattr(model, f"{part}_{suffix}"), order) for part in parts])
                for suffix in suffixes
            ]
        )
        for name, parts in {"w": ["weight_ih"], "r": ["weight_hh"], "b": ["bias_ih", "bias_hh"]}.items()
    }
    attributes = {"linear_before_reset": 1} if operator == "GRU" else {}
    forward = inputs[::-1].copy() if direction == "reverse" else inputs
    nodes = [node(operator, "x w r b", hidden_size=5, direction=direction, **attributes)]
    found, theirs = trace(nodes, {"x": forward}, ours), traced(Net(lambda self, x: self.a(x)[0], a=model), inputs)
    no_order = [name for name in SAME if name not in ("weight_bitmap", "weights_of", "output_shapes")]
    assert_same(found, theirs, fields=no_order)
    assert sum(layer.stored_bytes for layer in found.layers) == sum(layer.stored_bytes for layer in theirs.layers)
    assert [layer.read_bytes for layer in found.layers] == [layer.read_bytes for layer in theirs.layers]
    assert_same(
        trace(nodes, {"x": forward}, ours, by_shape=True), found, fields=("kind", "n_steps", "m", "n", "k", "producers")
    )


def test_a_recurrent_layer_of_which_only_the_last_state_is_asked_for(trace: Any) -> None:
    weights = {"w": noise(1, 20, 3), "r": noise(1, 20, 5), "p": noise(1, 15), "h": noise(1, 2, 5)}
    nodes = [node("LSTM", "x w r - - h - p", "- y", hidden_size=5), node("Relu", "y", "z")]
    first, second = trace(nodes, {"x": noise(7, 2, 3)}, weights, outputs="z").layers[:2]
    assert (first.kind, second.kind, second.n_steps) == ("lstm_input", "lstm_hidden", 7)
    assert second.n_macs_nonzero == 7 * 2 * 20 * 5  # the first state is given, and nowhere zero
    assert second.n_alu_ops == (8 + 6) * 7 * 2 * 5
    assert second.weights == ("r", "h", "p")


def test_a_recurrent_layer_that_is_cut_off_at_zero(trace: Any) -> None:
    weights = {"w": noise(1, 5, 3), "r": noise(1, 5, 5)}
    nodes = [node("RNN", "x w r", hidden_size=5, activations=["Relu"])]
    first, second = trace(nodes, {"x": noise(7, 2, 3)}, weights).layers
    assert (first.kind, second.kind, second.counts) == ("rnn_relu_input", "rnn_relu_hidden", "exact")
    hidden, before = np.zeros((2, 5)), 0
    for step in noise(7, 2, 3):
        before += np.count_nonzero(hidden)
        hidden = np.maximum(step @ weights["w"][0].T + hidden @ weights["r"][0].T, 0)
    assert 0 < before < 7 * 2 * 5
    assert second.n_macs_nonzero == 5 * before


def test_a_recurrent_layer_with_the_batch_first(trace: Any) -> None:
    """onnxruntime has no such layer, but shapes do."""
    weights = {"w": noise(1, 20, 3), "r": noise(1, 20, 5)}
    first, second = trace(
        [node("LSTM", "x w r", hidden_size=5, layout=1)], {"x": noise(2, 7, 3)}, weights, by_shape=True
    ).layers
    assert (sizes(first), sizes(second)) == ((1, 1, 14, 20, 3), (7, 1, 2, 20, 5))


def test_sequences_of_several_lengths_are_listed(trace: Any) -> None:
    weights = {"w": noise(1, 20, 3), "r": noise(1, 20, 5), "n": np.array([7, 4], np.int32)}
    (layer,) = trace([node("LSTM", "x w r - n", hidden_size=5)], {"x": noise(7, 2, 3)}, weights).layers
    assert (layer.kind, layer.counts) == ("lstm", "unknown")


# --- tables, moves, and what rides -----------------------------------------------------------------------------------


def test_an_embedding_reads_the_rows_that_are_asked_for_once(trace: Any) -> None:
    model = nn.Embedding(100, 8)
    tokens = np.array([[3, 5, 3]])
    ours = trace([node("Gather", "weight x")], {"x": tokens}, state(model))
    assert_same(ours, traced_on(model, torch.from_numpy(tokens)))
    (layer,) = ours.layers
    assert (layer.kind, layer.read_bytes, layer.producers) == ("embedding", 64, (INPUT,))


@pytest.mark.parametrize(
    ("nodes", "indices", "n_read"),
    [
        ([node("Gather", "w x", axis=1)], [1, -7, 2], 2 * 10),
        ([node("GatherND", "w x")], [[3, 1], [3, -7], [0, 0]], 2),
        ([node("GatherND", "w x")], [[3], [4]], 2 * 8),
    ],
)
def test_places_in_a_table_may_be_counted_from_the_end(
    nodes: list[Any], indices: list[Any], n_read: int, trace: Any
) -> None:
    (layer,) = trace(nodes, {"x": np.array(indices)}, {"w": noise(10, 8)}).layers
    assert (layer.kind, layer.read_bytes) == ("embedding", 4 * n_read)


def test_one_place_of_an_activation_is_a_view_of_it_and_several_are_moved(trace: Any) -> None:
    weights = {"w": noise(4, 4), "one": np.array(0), "two": np.array([2, 0])}
    nodes = [node("MatMul", "x w", "h"), node("Gather", "h one", "a", axis=1), node("Gather", "h two", "b", axis=1)]
    nodes += [node("Relu", "a", "y"), node("Relu", "b", "z")]
    trace_of_both = trace(nodes, {"x": noise(1, 3, 4)}, weights, outputs="y z")
    assert [(layer.kind, layer.n_inputs) for layer in trace_of_both.layers] == [
        ("linear", 12),
        ("index_select", 12),
        ("relu", 4),
    ]


NORMS = {"scale": np.ones(6, np.float32), "bias": noise(6)}
OTHERS: dict[str, tuple[Any, nn.Module, tuple[int, ...], Arrays]] = {
    "max pool": (
        node("MaxPool", "x", kernel_shape=[2, 3], strides=[1, 2]),
        nn.MaxPool2d((2, 3), (1, 2)),
        (2, 3, 6, 7),
        {},
    ),
    "max pool, 1-d": (node("MaxPool", "x", kernel_shape=[2]), nn.MaxPool1d(2, 1), (2, 3, 6), {}),
    "average pool": (node("AveragePool", "x", kernel_shape=[2, 2]), nn.AvgPool2d(2, 1), (2, 3, 6, 7), {}),
    "global pool": (node("GlobalAveragePool", "x"), nn.AdaptiveAvgPool2d(1), (2, 3, 6, 7), {}),
    "softmax": (node("Softmax", "x", axis=-1), nn.Softmax(-1), (2, 6), {}),
    "log softmax": (node("LogSoftmax", "x", axis=-1), nn.LogSoftmax(-1), (2, 6), {}),
    "relu": (node("Relu", "x"), nn.ReLU(), (2, 6), {}),
    "sigmoid": (node("Sigmoid", "x"), nn.Sigmoid(), (2, 6), {}),
    "gelu": (node("Gelu", "x"), nn.GELU(), (2, 6), {}),
    "prelu": (node("PRelu", "x weight"), nn.PReLU(), (2, 6), {"weight": np.full(1, 0.25, np.float32)}),
    "sum": (node("ReduceSum", "x a", keepdims=0), Net(lambda self, x: x.sum(1)), (2, 6, 3), {"a": np.array([1])}),
    "mean": (
        node("ReduceMean", "x a", keepdims=0),
        Net(lambda self, x: x.mean((1, 2))),
        (2, 6, 3),
        {"a": np.array([1, 2])},
    ),
    "largest": (node("ArgMax", "x", axis=1, keepdims=0), Net(lambda self, x: x.argmax(1)), (2, 6), {}),
    "running sum": (node("CumSum", "x a"), Net(lambda self, x: x.cumsum(1)), (2, 6), {"a": np.array(1)}),
    "pad": (node("Pad", "x p"), Net(lambda self, x: functional.pad(x, (1, 2))), (2, 6), {"p": np.array([0, 1, 0, 2])}),
    "shuffle": (node("DepthToSpace", "x", blocksize=2, mode="CRD"), nn.PixelShuffle(2), (1, 8, 2, 3), {}),
    "nearest": (node("Resize", "x - - s"), nn.Upsample((4, 6)), (1, 2, 2, 3), {"s": np.array([1, 2, 4, 6])}),
    "bilinear": (
        node("Resize", "x - - s", mode="linear"),
        nn.Upsample((4, 6), mode="bilinear"),
        (1, 2, 2, 3),
        {"s": np.array([1, 2, 4, 6])},
    ),
    "layer norm": (node("LayerNormalization", "x scale bias"), nn.LayerNorm(6), (2, 6), NORMS),
    "group norm": (node("GroupNormalization", "x scale bias", num_groups=2), nn.GroupNorm(2, 6), (2, 6, 3), NORMS),
    "instance norm": (
        node("InstanceNormalization", "x scale bias"),
        nn.InstanceNorm1d(6, affine=True),
        (2, 6, 3),
        NORMS,
    ),
    "batch norm": (
        node("BatchNormalization", "x scale bias mean var"),
        nn.BatchNorm2d(6),
        (2, 6, 3, 2),
        {**NORMS, "mean": noise(6), "var": np.ones(6, np.float32)},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_operators_cost_what_they_do_in_torch(name: str, trace: Any) -> None:
    operator, model, shape, weights = OTHERS[name]
    inputs = noise(*shape, density=0.7)
    (ours,) = trace([operator], {"x": inputs}, weights).layers
    theirs = traced(model, inputs).layers[-1]
    fields = ["n_alu_ops", "n_inputs", "n_inputs_nonzero", "n_outputs", "n_macs_dense", "stored_bytes", "counts"]
    assert {key: getattr(ours, key) for key in fields} == {key: getattr(theirs, key) for key in fields}
    unlike = {"nearest": "upsample_nearest2d", "pad": "pad"}  # torch has other names for forms of it
    assert ours.kind == unlike.get(name, theirs.kind)
    (shapes,) = trace([operator], {"x": inputs}, weights, by_shape=True).layers
    assert (shapes.n_alu_ops, shapes.n_outputs, shapes.counts) == (ours.n_alu_ops, ours.n_outputs, "estimated")


def test_largest_and_smallest_of_two_are_no_reductions(trace: Any) -> None:
    nodes = [node("Max", "x v", "a"), node("Sum", "a x v", "y")]
    inputs = {"x": noise(2, 3), "v": noise(2, 3)}
    assert [(layer.kind, layer.n_alu_ops) for layer in trace(nodes, inputs).layers] == [("maximum", 6), ("add", 12)]


def test_what_rides_and_what_waits(trace: Any) -> None:
    """A residual block: its norms and activations ride on convolutions, its sum reads two layers."""
    torch.manual_seed(0)
    model = Net(
        lambda self, x: functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))) + self.conv3(x)),
        conv1=nn.Conv2d(3, 4, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(4),
        conv2=nn.Conv2d(4, 4, 3, padding=1, bias=False),
        bn2=nn.BatchNorm2d(4),
        conv3=nn.Conv2d(3, 4, 1),
    )
    inputs = noise(2, 3, 6, 5, density=0.8)
    norm = "{0}.weight {0}.bias {0}.running_mean {0}.running_var"
    nodes = [
        node("Conv", "x conv1.weight", "a", pads=[1] * 4),
        node("BatchNormalization", f"a {norm.format('bn1')}", "b"),
        node("Relu", "b", "c"),
        node("Conv", "c conv2.weight", "d", pads=[1] * 4),
        node("BatchNormalization", f"d {norm.format('bn2')}", "e"),
        node("Conv", "x conv3.weight conv3.bias", "f"),
        node("Add", "e f", "g"),
        node("Relu", "g"),
    ]
    ours, theirs = trace(nodes, {"x": inputs}, state(pruned(model))), traced(model, inputs)
    assert_same(ours, theirs, fields=(*SAME, *BYTES, "name", "weights", "blocks"))
    assert [layer.producers for layer in ours.layers] == [(INPUT,), (0,), (INPUT,), (1, 2)]
    assert ours.file_bytes == theirs.file_bytes


def test_concatenation_moves_and_remembers_both_branches(trace: Any) -> None:
    nodes = [node("MatMul", "x a", "h"), node("MatMul", "x b", "i"), node("Concat", "h i", axis=1)]
    cat = trace(nodes, {"x": noise(1, 4)}, {"a": noise(4, 2), "b": noise(4, 3)}).layers[2]
    assert (cat.kind, cat.producers, cat.n_inputs, cat.n_outputs, cat.n_alu_ops) == ("cat", (0, 1), 5, 5, 0)


def test_what_only_renames_costs_nothing(trace: Any) -> None:
    weights = {
        "w": noise(6, 4),
        "shape": np.array([2, -1]),
        "axes": np.array([0]),
        "from": np.array([0]),
        "to": np.array([2]),
    }
    nodes = [
        node("MatMul", "x w", "a"),
        node("Reshape", "a shape", "b"),
        node("Transpose", "b", "c"),
        node("Unsqueeze", "c axes", "d"),
        node("Dropout", "d", "e"),
        node("Cast", "e", "f", to=onnx.TensorProto.DOUBLE),
        node("Slice", "f from to axes", "g"),
        node("Squeeze", "g axes", "h"),
        node("Split", "h", "i j", num_outputs=2),
        node("Neg", "j", "y"),
    ]
    product, neg = trace(nodes, {"x": noise(2, 6)}, weights, outputs="y i").layers
    assert (product.kind, neg.kind, neg.producers, neg.n_inputs, neg.element_bits) == ("linear", "neg", (0,), 4, 64)


def test_what_the_network_gives_back_is_no_place_to_ride(trace: Any) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h")]
    weights = {"w": noise(4, 4)}
    assert len(trace(nodes, {"x": noise(2, 4)}, weights).layers) == 1
    assert len(trace(nodes, {"x": noise(2, 4)}, weights, outputs="y h").layers) == 2


def test_an_operator_without_a_cost_model_is_listed_and_counted_as_data_movement(trace: Any) -> None:
    weights = {"s": np.float32(0.5), "z": np.uint8(3), "w": np.ones((4, 5), np.uint8)}
    nodes = [node("QuantizeLinear", "x s z", "q"), node("MatMulInteger", "q w z", "i"), node("TopK", "x k", "y j")]
    nodes += [node("DequantizeLinear", "w s", "v"), node("MatMul", "x v", "l")]  # whose weights no file has
    found = trace(nodes, {"x": noise(2, 4)}, {**weights, "k": np.array([2])}, outputs="i y l")
    operators = ["onnx.QuantizeLinear", "onnx.MatMulInteger", "onnx.TopK", "onnx.MatMul"]
    assert [layer.operator for layer in found.layers] == operators
    assert {(layer.counts, layer.n_alu_ops, layer.n_macs_dense) for layer in found.layers} == {("unknown", 0, 0)}
    assert found.layers[2].n_outputs == 8  # values and places


def test_operators_of_other_domains_are_listed(trace: Any) -> None:
    nodes = [node("FusedMatMul", "x w", "h", domain="com.microsoft"), node("Relu", "h")]
    (layer,) = trace(nodes, {"x": noise(2, 4)}, {"w": noise(4, 3)}, domains=["com.microsoft"]).layers
    assert (layer.operator, layer.kind, layer.counts) == (
        "com.microsoft.FusedMatMul",
        "com.microsoft.fused_mat_mul",
        "unknown",
    )
    with pytest.raises(
        NetworkError, match=r"the shape of h is not known without inputs; give inputs with --inputs FILE\.npz"
    ):
        trace(nodes, {"x": noise(2, 4)}, {"w": noise(4, 3)}, domains=["com.microsoft"], by_shape=True)


# --- weights ---------------------------------------------------------------------------------------------------------


def test_tied_weights_are_stored_once_and_read_twice(trace: Any) -> None:
    nodes = [node("Gather", "words x", "h"), node("Transpose", "words", "t"), node("MatMul", "h t")]
    found = trace(nodes, {"x": np.array([[1, 2]])}, {"words": noise(10, 4)})
    words, head = found.layers
    assert (words.stored_bytes, head.stored_bytes) == (160, 0)
    assert (words.read_bytes, head.read_bytes) == (32, 160)
    assert (words.weights_of, head.weights_of) == (OWN, 0)
    assert found.n_parameters == 40


def test_constants_of_floats_are_weights_and_others_are_not(trace: Any) -> None:
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(noise(4, 3))),
        helper.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["shape"], value_ints=[3, 2]),
        node("Gemm", "x w b", "h"),
        node("Mul", "h half", "i"),
        node("Reshape", "i shape"),
    ]
    found = trace(nodes, {"x": noise(2, 4)}, {"nothing": np.zeros((0, 3), np.float32), "number": np.float32(1)})
    assert (found.n_parameters, found.layers[0].weights) == (15, ("w", "b"))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_other_widths_are_stored_as_fp32(dtype: type, trace: Any) -> None:
    x, w = noise(2, 4).astype(dtype), noise(4, 3).astype(np.float16).astype(dtype)
    (layer,) = trace([node("MatMul", "x w")], {"x": x}, {"w": w}).layers
    assert (layer.stored_bytes, layer.element_bits) == (48, 8 * np.dtype(dtype).itemsize)


def test_bfloat16_is_followed_by_its_shapes(trace: Any) -> None:
    bfloat16 = helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16)
    inputs, weights = {"x": noise(2, 4).astype(bfloat16)}, {"w": noise(4, 3).astype(bfloat16)}
    (layer,) = trace([node("MatMul", "x w")], inputs, weights, by_shape=True).layers
    assert (layer.stored_bytes, layer.element_bits, layer.n_weights_nonzero) == (48, 16, 12)


@pytest.mark.parametrize("variant", ["pruned", "huffman"])
def test_weights_of_a_file_are_run_and_the_others_lie_dense_beside_them(variant: Any, trace: Any) -> None:
    nodes = [node("MatMul", "x a.weight", "h"), node("Add", "h a.bias", "i"), node("MatMul", "i b.weight")]
    weights = {"a.weight": noise(40, 50), "a.bias": np.ones(50, np.float32), "b.weight": noise(50, 3)}
    sparse = weights["a.weight"] * (np.random.default_rng(0).random((40, 50)) < 0.1)
    file = pack("toy", variant, {"a.weight": sparse.astype(np.float32)})
    found = trace(nodes, {"x": noise(1, 40)}, weights, file=file)
    first, second = found.layers
    assert (found.variant, found.file_sha256) == (variant, file.sha256)
    assert first.n_macs_nonzero == first.n_weights_nonzero == np.count_nonzero(sparse)
    assert first.stored_bytes == len(file.tensors[0].payload) + 200
    assert (first.encoding, second.encoding, second.stored_bytes) == (file.tensors[0].encoding, "fp32", 600)


def test_a_file_of_another_network_is_refused(trace: Any) -> None:
    for name, shape in {"w": (4, 4), "v": (4, 3)}.items():
        with pytest.raises(NetworkError, match=r"the file does not fit .*expected"):
            trace(
                [node("MatMul", "x w")],
                {"x": noise(1, 4)},
                {"w": noise(4, 3)},
                file=pack("toy", "dense", {name: noise(*shape)}),
            )


def test_values_in_a_file_of_their_own(tmp_path: Path) -> None:
    made = proto([node("MatMul", "x w")], {"x": (2, 4)}, {"w": noise(4, 300)})
    onnx.save(made, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    (layer,) = trace_onnx(tmp_path / "net.onnx", None).layers
    assert layer.n_macs_nonzero == 2 * 4 * 300
    (tmp_path / "net.data").write_bytes(b"cut off")
    with pytest.raises(NetworkError, match=r"net\.onnx: cannot read the values of w: "):
        trace_onnx(tmp_path / "net.onnx", None)
    (tmp_path / "net.data").unlink()
    with pytest.raises(NetworkError, match=r"the values of w are missing: no file .*net\.data"):
        trace_onnx(tmp_path / "net.onnx", None)


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_shapes_that_a_graph_computes_from_its_input_are_followed(tmp_path: Path) -> None:
    """What exporters write for x.view(x.shape[0], -1), with a batch of any size."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axis", "m"),
        node("Concat", "m rest", "shape", axis=0),
        node("Reshape", "x shape", "h"),
        node("MatMul", "h w"),
    ]
    weights = {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1]), "w": noise(12, 3)}
    onnx.save(proto(nodes, {"x": ("batch", 3, 4)}, weights), tmp_path / "net.onnx")
    by_shape = trace_onnx(tmp_path / "net.onnx", None)
    assert [(layer.kind, layer.counts, layer.m, layer.k) for layer in by_shape.layers] == [
        ("linear", "estimated", 1, 12)
    ]
    assert (by_shape.batch, by_shape.n_network_inputs, by_shape.input_sha256) == (1, 12, "")
    found = trace_onnx(tmp_path / "net.onnx", Inputs.of(noise(5, 3, 4)), network="toy")
    assert [(layer.kind, layer.counts, layer.m) for layer in found.layers] == [("linear", "exact", 5)]
    assert (found.network, found.batch, by_shape.network) == ("toy", 5, "net")


def test_of_an_if_the_branch_that_is_taken(trace: Any) -> None:
    def branch(name: str, *nodes: Any) -> Any:
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3])])

    yes = branch("yes", node("Identity", "h", "copy"), node("MatMul", "copy w", "yes"))
    no = branch("no", node("MatMul", "h v", "i"), node("MatMul", "i w", "no"))
    nodes = [
        node("Relu", "x", "h"),
        node("Greater", "n zero", "c"),
        node("If", "c", "j", then_branch=yes, else_branch=no),
        node("Softmax", "j"),
    ]
    inputs, weights = (
        {"x": noise(2, 4), "n": np.float32(1)},
        {"w": noise(4, 3), "v": noise(4, 4), "zero": np.float32(0)},
    )
    kinds = ["relu", "greater", "linear", "softmax"]
    found = trace(nodes, inputs, weights)
    assert [layer.kind for layer in found.layers] == kinds
    assert found.layers[3].producers == (2,)
    other = trace(nodes, {**inputs, "n": np.float32(-1)}, weights)
    assert [layer.kind for layer in other.layers] == [*kinds[:2], "linear", *kinds[2:]]
    with pytest.raises(NetworkError, match=r"operator onnx\.If, that makes j, depends on the input: give one"):
        trace(nodes, inputs, weights, by_shape=True)


def test_functions_of_a_graph_are_put_where_they_are_called(tmp_path: Path) -> None:
    made = proto([node("Twice", "x w", domain="own")], {"x": (2, 4)}, {"w": noise(4, 4)}, domains=["own"])
    parts = [node("MatMul", "a b", "c"), node("Relu", "c", "d"), node("MatMul", "d b", "e")]
    made.functions.append(helper.make_function("own", "Twice", ["a", "b"], ["e"], parts, [helper.make_opsetid("", 21)]))
    made.graph.output[0].type.tensor_type.shape.SetInParent()
    onnx.save(made, tmp_path / "net.onnx")
    assert [layer.weights for layer in trace_onnx(tmp_path / "net.onnx", None).layers] == [("w",), ("w",)]


def test_values_are_dropped_after_their_last_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[set[str]] = []
    run = Sessions.run

    def watched(self: Sessions, operator: Node, arrays: Any) -> Any:
        held.append(set(tracer.values))
        return run(self, operator, arrays)

    monkeypatch.setattr(Sessions, "run", watched)
    chain = [node("MatMul", f"h{index} w", f"h{index + 1}") for index in range(5)]
    made = proto(
        [*chain, node("Split", "h5", "u v", num_outputs=2), node("Add", "v h1", "y")],
        {"h0": (4, 4)},
        {"w": noise(4, 4)},
    )
    made.graph.node[-1].input[1] = "u"
    onnx.save(made, tmp_path / "net.onnx")
    graph = OnnxFile(tmp_path / "net.onnx")
    tracer = GraphTracer(graph, graph.weights)
    tracer.trace(graph.inputs(Inputs.of(noise(4, 4))))
    assert held == [{f"h{index}", "w"} for index in range(5)] + [{"h5"}, {"u", "v"}]
    assert tracer.values == {}


def test_layers_are_called_by_their_weights_or_by_what_the_graph_calls_them(trace: Any) -> None:
    nodes = [
        node("MatMul", "x block.0.weight", "a", name="/block/0/MatMul"),
        node("Softmax", "a", "b", name="/block/act/Softmax"),
        node("Softmax", "b", "c", name="norm_7"),
        node("Softmax", "c", "y"),
    ]
    found = trace(nodes, {"x": noise(1, 4)}, {"block.0.weight": noise(4, 4)})
    assert [(layer.name, layer.module) for layer in found.layers] == [
        ("block.0", "block/0"),
        ("block/act", "block/act"),
        ("norm_7", "norm_7"),
        ("softmax", ""),
    ]


def transformer(tokens: int) -> tuple[list[Any], nn.Module]:
    """A block with attention by hand, and the same in torch."""
    width, heads = 8, 2
    model = Net(
        lambda self, x: block(self, x),
        n1=nn.LayerNorm(width),
        qkv=nn.Linear(width, 3 * width),
        out=nn.Linear(width, width),
        n2=nn.LayerNorm(width),
        up=nn.Linear(width, 16),
        down=nn.Linear(16, width),
    )

    def block(self: Any, x: torch.Tensor) -> torch.Tensor:
        parts = self.qkv(self.n1(x)).view(1, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        shares = (parts[0] @ parts[1].mT / 2).softmax(-1)
        x = x + self.out((shares @ parts[2]).transpose(1, 2).reshape(1, tokens, -1))
        return x + self.down(functional.gelu(self.up(self.n2(x))))

    nodes = [
        node("LayerNormalization", "x n1.weight n1.bias", "a"),
        *linear("a", "qkv", "b"),
        node("Reshape", "b split", "c"),
        node("Transpose", "c", "d", perm=[2, 0, 3, 1, 4]),
        *(node("Gather", f"d at{index}", f"p{index}", axis=0) for index in range(3)),
        node("Transpose", "p1", "k", perm=[0, 1, 3, 2]),
        node("MatMul", "p0 k", "e"),
        node("Div", "e two", "f"),
        node("Softmax", "f", "g", axis=-1),
        node("MatMul", "g p2", "h"),
        node("Transpose", "h", "i", perm=[0, 2, 1, 3]),
        node("Reshape", "i join", "j"),
        *linear("j", "out", "l"),
        node("Add", "x l", "m"),
        node("LayerNormalization", "m n2.weight n2.bias", "n"),
        *linear("n", "up", "o"),
        node("Gelu", "o", "q"),
        *linear("q", "down", "r"),
        node("Add", "m r", "y"),
    ]
    return nodes, model


def linear(reads: str, name: str, makes: str) -> list[Any]:
    return [
        node("Transpose", f"{name}.weight", f"{name}.t", perm=[1, 0]),
        node("MatMul", f"{reads} {name}.t", f"{name}.h"),
        node("Add", f"{name}.h {name}.bias", makes),
    ]


def test_a_block_of_a_transformer_is_that_of_torch(trace: Any) -> None:
    nodes, model = transformer(tokens=5)
    shapes = {"split": np.array([1, 5, 3, 2, -1]), "join": np.array([1, 5, -1]), "two": np.float32(2)}
    inputs = noise(1, 5, 8)
    weights = {**state(pruned(model)), **shapes, **{f"at{index}": np.array(index) for index in range(3)}}
    ours, theirs = trace(nodes, {"x": inputs}, weights), traced(model, inputs)
    assert_same(ours, theirs, fields=[name for name in (*SAME, *BYTES) if name != "output_shapes"])
    assert ours.file_bytes == theirs.file_bytes
    assert all(layer.counts == "estimated" for layer in trace(nodes, {"x": inputs}, weights, by_shape=True).layers)


def test_neither_torch_nor_for_the_rules_onnx_is_needed(tmp_path: Path) -> None:
    onnx.save(proto([node("MatMul", "x w")], {"x": (2, 4)}, {"w": noise(4, 3)}), tmp_path / "net.onnx")
    code = "import sys; from pathlib import Path; import dcsim.traces.onnx_products; "
    code += "print('onnx' in sys.modules); from dcsim.traces.onnx_graph import trace_onnx; "
    code += "print(len(trace_onnx(Path('net.onnx'), None).layers), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1", "False"]


# --- what is refused -------------------------------------------------------------------------------------------------


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"no file .*net\.onnx"):
        trace_onnx(tmp_path / "net.onnx", None)
    for content in (b"", b"no graph at all", b"\x08\x0a"):
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(NetworkError, match=r"cannot read .*net\.onnx: not an ONNX file"):
            trace_onnx(tmp_path / "net.onnx", None)


def test_graphs_that_are_not_valid(tmp_path: Path) -> None:
    made = proto([node("Relu", "x", "y")], {"x": (2, 4)})
    made.graph.node[0].input[0] = "nobody"
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match=r"net\.onnx is not a valid ONNX graph: .*nobody"):
        trace_onnx(tmp_path / "net.onnx", None)
    onnx.save(proto([], {"y": (2, 4)}), tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match="executes no operator"):
        trace_onnx(tmp_path / "net.onnx", None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Inputs.of({"x": noise(2, 4)}), "the input n is missing: expected x, n"),
        (Inputs.of({"x": noise(2, 4), "z": noise(1)}), "has no input z: expected x, n"),
        (Inputs.of(((noise(2, 4),), {"x": noise(2, 4)})), "the input x is given by place and by name"),
        (Inputs.of((noise(2, 4), noise(2, 4), noise(2, 4))), "takes 2 inputs, not 3: expected x, n"),
        (
            Inputs.of((noise(2, 4).astype(np.float64), noise(2, 4))),
            r"the input x is float64 of shape \(2, 4\); expected float32 of shape \(batch, 4\)",
        ),
        (Inputs.of((noise(2, 5), noise(2, 4))), r"the input x is float32 of shape \(2, 5\); expected float32 of shape"),
        (Inputs.of((noise(4), noise(2, 4))), r"the input x is float32 of shape \(4,\); expected float32 of shape"),
    ],
)
def test_inputs_that_do_not_fit(given: Inputs, message: str, tmp_path: Path) -> None:
    onnx.save(proto([node("Add", "x n")], {"x": ("batch", 4), "n": ("batch", 4)}), tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match=message):
        trace_onnx(tmp_path / "net.onnx", given)


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        (
            [node("Relu", "x")],
            ("batch", "tokens"),
            r"the input x: dimension 1, tokens, is not known without inputs; give inputs",
        ),
        ([node("Relu", "x")], (2, None), r"the input x: dimension 1, \?, is not known"),
        ([node("Relu", "x")], (0, 0), r"the input x: dimension 1, \?, is not known"),
        ([node("NonZero", "x", "i"), node("Neg", "i")], (2, 3), r"i: dimension 1, .*, is not known without inputs"),
    ],
)
def test_shapes_that_nobody_knows(nodes: list[Any], shape: Any, message: str, tmp_path: Path) -> None:
    onnx.save(proto(nodes, {"x": shape}), tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match=message):
        trace_onnx(tmp_path / "net.onnx", None)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"w": np.full((4, 3), np.nan, np.float32)}, "w has values that are not finite"),
        ({"w": np.full((4, 3), 1e300)}, "w has values beyond fp32"),
        ({"w": np.full((4, 3), 0.1)}, "w has float64 values that fp32 cannot hold; convert it first"),
    ],
)
def test_weights_that_no_file_can_hold(weights: Arrays, message: str, trace: Any) -> None:
    with pytest.raises(NetworkError, match=message):
        trace([node("MatMul", "x w")], {"x": noise(2, 4).astype(weights["w"].dtype)}, weights)


def test_operators_that_cannot_be_run(trace: Any, tmp_path: Path) -> None:
    custom = [node("Nowhere", "x", domain="own", name="strange")]
    with pytest.raises(NetworkError, match=r"operator own\.Nowhere, strange, fails on .*own"):
        trace(custom, {"x": noise(2, 4)}, domains=["own"])
    with pytest.raises(NetworkError, match=r"operator onnx\.MatMul, that makes y, fails on "):
        trace([node("MatMul", "x v")], {"x": noise(2, 4), "v": noise(3, 4)})
    with pytest.raises(
        NetworkError,
        match=r"operator onnx\.MatMul, that makes y, fails on float32 \(2, 4\), float32 \(3, 4\): .*[Ii]ncompatible",
    ):
        trace([node("MatMul", "x v")], {"x": noise(2, 4), "v": noise(3, 4)}, by_shape=True)
    with pytest.raises(NetworkError, match="makes something else than tensors, which dcsim does not follow"):
        trace([node("SequenceConstruct", "x x", "s"), node("ConcatFromSequence", "s", axis=0)], {"x": noise(2, 4)})


def test_loops_are_refused(trace: Any) -> None:
    step = helper.make_graph(
        [node("Identity", "on", "more"), node("Relu", "h", "i")],
        "step",
        [
            helper.make_tensor_value_info("index", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, [2, 4]),
        ],
        [
            helper.make_tensor_value_info("more", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("i", onnx.TensorProto.FLOAT, [2, 4]),
        ],
    )
    with pytest.raises(
        NetworkError, match=r"operator onnx\.Loop, that makes y, runs graphs of its own.*export the network"
    ):
        trace([node("Loop", "n - x", body=step)], {"x": noise(2, 4)}, {"n": np.array(3)})


def test_inputs_that_are_no_tensors(tmp_path: Path) -> None:
    made = proto([node("ConcatFromSequence", "x", axis=0)], {"x": (2, 3)})
    tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2, 3])
    made.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(tensor))
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match="the input x is not a tensor"):
        trace_onnx(tmp_path / "net.onnx", None)


def test_tensors_of_two_branches_that_are_called_the_same(trace: Any) -> None:
    def branch(name: str) -> Any:
        constant = helper.make_node("Constant", [], ["same"], value_floats=[1.0])
        made = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 4])
        return helper.make_graph([constant, node("Add", "x same", name)], name, [], [made])

    nodes = [node("If", "c", then_branch=branch("yes"), else_branch=branch("no"))]
    with pytest.raises(NetworkError, match="two tensors are called same; rename one of them"):
        trace(nodes, {"x": noise(2, 4)}, {"c": np.array(True)})


def test_tensors_that_are_stored_sparse(tmp_path: Path) -> None:
    made = proto([node("MatMul", "x w")], {"x": (2, 4), "w": (4, 3)})
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [1.0])
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("i", 7, [1], [5]), [4, 3])
    )
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match="w is stored sparse, which dcsim does not read; store it dense"):
        trace_onnx(tmp_path / "net.onnx", None)
