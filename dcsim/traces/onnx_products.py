"""ONNX operators that multiply matrices or look rows up: each tells a GraphTracer the GEMMs that it is."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dcsim.traces.gemms import (
    Counts,
    Gemm,
    Operand,
    Weights,
    Window,
    batched_gemm,
    convolution_gemm,
    linear_gemm,
    transposed_gemm,
)
from dcsim.traces.onnx_operators import Array, Node, Value
from dcsim.traces.torch_operators import CELLS, OPERATIONS

if TYPE_CHECKING:
    from dcsim.traces.onnx_graph import GraphTracer

SOFTMAX_OPERATIONS = OPERATIONS["softmax"]
EINSUM = re.compile(r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)")

Rule = Callable[["GraphTracer", Node], bool]  # False: this form of the operator has no rule


# --- matrix products -----------------------------------------------------------------------------------------------


def _gemm(graph: "GraphTracer", node: Node) -> bool:
    left, right = (graph.value(name).operand for name in node.inputs[:2])
    if node.attributes.get("transA"):
        left = left.arranged(*left.shape, order=(1, 0))
    if not node.attributes.get("transB"):
        right = right.arranged(*right.shape, order=(1, 0))
    return _multiply(graph, node, left, right)


def _matmul(graph: "GraphTracer", node: Node) -> bool:
    left, right = (graph.value(name).operand for name in node.inputs[:2])
    if len(left.shape) == 1:
        left = left.arranged(1, *left.shape)
    if len(right.shape) == 1:
        return _multiply(graph, node, left, right.arranged(1, *right.shape))
    rank = len(right.shape)
    order = (*range(rank - 2), rank - 1, rank - 2)
    return _multiply(graph, node, left, right.arranged(*right.shape, order=order))


def _einsum(graph: "GraphTracer", node: Node) -> bool:
    """Two operands, where every letter is a batch, a row, a column or what is summed over."""
    equation = EINSUM.fullmatch(node.attributes["equation"].replace(" ", ""))
    if not equation or any(len(set(term)) < len(term) for term in equation.groups()):
        return False
    left, right, made = equation.groups()
    batch = [letter for letter in made if letter in left and letter in right]
    summed = [letter for letter in left if letter in right and letter not in made]
    operands, common = [], set()
    for term, other, name in ((left, right, node.inputs[0]), (right, left, node.inputs[1])):
        operand = graph.value(name).operand
        sizes = dict(zip(term, operand.shape, strict=True))
        own = [letter for letter in made if letter in term and letter not in other]
        if not summed or len(batch + own + summed) < len(term):
            return False
        common.add(tuple(sizes[letter] for letter in (*batch, *summed)))
        ordered = operand.arranged(*operand.shape, order=[term.index(letter) for letter in (*batch, *own, *summed)])
        sides = (math.prod(sizes[letter] for letter in letters) for letters in (batch, own, summed))
        operands.append(ordered.arranged(*sides))
    return len(common) == 1 and _multiply(graph, node, *operands)


def _multiply(graph: "GraphTracer", node: Node, left: Operand, right: Operand) -> bool:
    """Stacks of M x K, times N x K, of the first two inputs: two activations, or one and weights on either side."""
    first, second = node.inputs[:2]
    if not graph.is_activation(first):  # weights on the left: turn the product round
        first, second, left, right = second, first, right, left
    inputs, others = _grouped(left, right)
    if graph.is_activation(second):
        kind, gemm = "matmul", batched_gemm(inputs, others)
    elif graph.is_stored(second):
        kind, gemm = "linear", batched_gemm(inputs, others, Weights.of(others))
    else:
        return False
    graph.add_gemm(kind, node, graph.reads(node), [graph.made(graph.value(node.outputs[0]))], gemm)
    return True


def _grouped(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """(..., M, K) and (..., N, K) as (groups, M, K) and (groups, N, K); where the right side is repeated are rows."""
    (m, k), n = left.shape[-2:], right.shape[-2]
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    own = (1,) * (len(lead) + 2 - len(right.shape)) + right.shape[:-2]
    groups = [axis for axis in range(len(lead)) if own[axis] != 1]
    rows = [axis for axis in range(len(lead)) if own[axis] == 1]
    n_groups, n_rows = math.prod(own), m * math.prod(lead[axis] for axis in rows)
    spread = Operand((*lead, m, k), None if left.mask is None else np.broadcast_to(left.mask, (*lead, m, k)))
    ordered = spread.arranged(*spread.shape, order=(*groups, *rows, len(lead), len(lead) + 1))
    return ordered.arranged(n_groups, n_rows, k), right.arranged(n_groups, n, k)


# --- convolutions --------------------------------------------------------------------------------------------------


def _convolution(graph: "GraphTracer", node: Node) -> bool:
    inputs, filters = (graph.value(name).operand for name in node.inputs[:2])
    rank, n_groups, n_first = len(filters.shape) - 2, node.attributes.get("group", 1), filters.shape[0]
    computed = graph.is_activation(node.inputs[1])
    if not (computed or graph.is_stored(node.inputs[1])):
        return False
    made = graph.value(node.outputs[0])
    kernel, sizes, made_sizes = filters.shape[2:], inputs.shape[2:], made.shape[2:]
    per_group = filters.arranged(n_groups, n_first // n_groups, math.prod(filters.shape[1:]))
    if node.type == "Conv":
        kind, window = f"conv{rank}d", _window(node, kernel, made_sizes, sizes)
        gemm = convolution_gemm(inputs, Weights.of(per_group), n_first, window, n_groups)
    else:
        kind, window = f"conv_transpose{rank}d", _window(node, kernel, sizes, made_sizes)
        weights = Weights.of(per_group.arranged(*per_group.shape, order=(0, 2, 1)))
        gemm = transposed_gemm(inputs, filters, weights, window, n_groups, made_sizes)
    if computed:
        gemm = replace(gemm, weights=None)
    graph.add_gemm(kind, node, graph.reads(node), [graph.made(made)], gemm)
    return True


def _window(node: Node, kernel: Sequence[int], small: Sequence[int], large: Sequence[int]) -> Window:
    """How a filter lies: over `large`, the input of a convolution or what a transposed one makes, to give `small`."""
    rank, given = len(kernel), node.attributes
    stride, dilation = (tuple(given.get(name) or [1] * rank) for name in ("strides", "dilations"))
    auto, added = given.get("auto_pad", "NOTSET"), given.get("output_padding") or [0] * rank
    margins: list[tuple[int, int]]
    if auto.startswith("SAME") or given.get("output_shape"):
        margins = []
        for size, step, gap, extent, more, whole in zip(small, stride, dilation, kernel, added, large, strict=True):
            total = max(0, (size - 1) * step + gap * (extent - 1) + 1 + more - whole)
            half = total // 2
            margins.append((half, total - half) if auto == "SAME_UPPER" else (total - half, half))
    else:
        pads = given.get("pads") if auto == "NOTSET" else None
        pads = pads or [0] * 2 * rank
        margins = list(zip(pads[:rank], pads[rank:], strict=True))
    return Window(tuple(kernel), stride, dilation, tuple(margins))


# --- recurrent layers ----------------------------------------------------------------------------------------------

#: of peepholes, for each hidden unit and step: a product and a sum for three of the gates
PEEPHOLE_OPERATIONS = 2 * 3


def _recurrent(graph: "GraphTracer", node: Node) -> bool:
    """For each direction what the input gives to the gates, then, step by step, what the hidden units give."""
    flow, result, lengths = graph.value(node.inputs[0]), graph.value(node.outputs[0]), node.input(4)
    if node.attributes.get("layout"):  # batch first
        flow = flow.arranged(*flow.shape, order=(1, 0, 2))
        result = result.arranged(*result.shape, order=(1, 2, 0, 3))
    is_whole = not lengths or graph.value(lengths).is_all(flow.shape[0])
    if not (is_whole and all(map(graph.is_stored, node.inputs[1:3]))):
        return False
    made = result.arranged(*result.shape, order=(1, 0, 2, 3))
    numbers = [_direction(graph, node, flow, made.part(index), index) for index in range(made.shape[0])]
    graph.made_by(numbers, node)
    return True


def _direction(graph: "GraphTracer", node: Node, flow: Value, made: Value, index: int) -> int:
    """Both products of one direction; the number of the second one."""
    x, w, r, bias, _, *_, peephole = map(node.input, range(8))
    kind, inner = _cell(node), f"{node.outputs[0]} gates {index}"
    n_steps, batch, n_hidden = made.shape
    ours, hidden = (graph.value(name).part(index) for name in (w, r))
    n_gates, n_per_unit = hidden.shape[0], CELLS[kind] + (PEEPHOLE_OPERATIONS if peephole else 0)
    halves = (slice(n_gates), slice(n_gates, 2 * n_gates)) if bias else ()
    biases = [graph.value(bias).part(index, half) for half in halves]
    gates = _gates(flow, ours, *biases[:1])
    graph.add_gemm(
        f"{kind}_input",
        node,
        [graph.read(x), graph.read(w, ours), *(graph.read(bias, half) for half in biases[:1])],
        [graph.made(gates)],
        linear_gemm(flow.operand, Weights.of(ours.operand.arranged(1, *ours.shape))),
        outputs=[inner],
    )
    states = _states(graph, node, index)
    first = states.get(node.input(5), Value.of(np.zeros((batch, n_hidden), flow.dtype)))
    backward = index == 1 or node.attributes.get("direction") == "reverse"
    return graph.add_gemm(
        f"{kind}_hidden",
        node,
        [graph.read(inner, gates), graph.read(r, hidden), *(graph.read(bias, half) for half in biases[1:])]
        + [graph.read(name, state) for name, state in states.items()],
        [graph.made(made)],
        linear_gemm(_before(made, first, backward), Weights.of(hidden.operand.arranged(1, *hidden.shape)), n_steps),
        n_alu_ops=n_per_unit * n_steps * batch * n_hidden,
        outputs=[],
    )


def _cell(node: Node) -> str:
    """What torch calls it."""
    if node.type != "RNN":
        return node.type.lower()
    return "rnn_relu" if node.attributes.get("activations", ["Tanh"])[0].lower() == "relu" else "rnn_tanh"


def _gates(flow: Value, weights: Value, *biases: Value) -> Value:
    shape = (*flow.shape[:-1], weights.shape[0])
    if flow.array is None or weights.array is None:
        return Value(shape, flow.dtype)
    sums = flow.array.astype(np.float32) @ weights.array.T.astype(np.float32)
    return Value(shape, flow.dtype, sum((bias.array for bias in biases if bias.array is not None), sums))


def _states(graph: "GraphTracer", node: Node, index: int) -> dict[str, Value]:
    """Of one direction: the first state of the hidden units, that of the cell, and peepholes, where they are given."""
    place = (slice(None), index) if node.attributes.get("layout") else (index,)
    found = {name: graph.value(name).part(*place) for name in map(node.input, (5, 6)) if name}
    peephole = node.input(7)
    return found | ({peephole: graph.value(peephole).part(index)} if peephole else {})


def _before(made: Value, first: Value, backward: bool) -> Operand:
    """The hidden units as each step finds them."""
    if made.array is None or first.array is None:
        return Operand(made.shape, None)
    rows = made.array[1:] if backward else made.array[:-1]
    return Value.of(np.concatenate([rows, first.array[None]])).operand


# --- attention -----------------------------------------------------------------------------------------------------


def _attention(graph: "GraphTracer", node: Node) -> bool:
    """Scores with their softmax, then their mix of the values, as in torch; no cache, no scores given back."""
    if any(map(node.input, range(4, 7))) or any(node.outputs[1:]) or node.attributes.get("softcap"):
        return False
    if not all(map(graph.is_activation, node.inputs[:3])):
        return False
    names = ("q_num_heads", "kv_num_heads", "kv_num_heads")
    parts = zip(node.inputs, names, strict=False)
    query, key, value = (_heads(graph.value(name), node.attributes.get(heads, 1)) for name, heads in parts)
    n_groups, n_queries, n_keys = query.shape[0] * query.shape[1], query.shape[2], key.shape[2]
    n_repeats = query.shape[1] // key.shape[1]

    def grouped(tensor: Value) -> Operand:
        found, shape = tensor.operand, (n_groups, *tensor.shape[2:])
        if found.mask is None:
            return Operand(shape, None)
        return Operand(shape, np.repeat(found.mask, n_groups // (tensor.shape[0] * tensor.shape[1]), 1).reshape(shape))

    scores, mixed = batched_gemm(grouped(query), grouped(key)), grouped(value)
    number = graph.add_gemm(
        "attention_scores",
        node,
        [graph.read(name) for name in (*node.inputs[:2], node.input(3)) if name],
        (),
        scores,
        n_alu_ops=SOFTMAX_OPERATIONS * n_groups * n_queries * n_keys,
        outputs=[],
    )
    columns, nonzero = None, n_groups * n_queries * n_keys * value.shape[3]
    mask = graph.value(node.input(3)).array if node.input(3) else None
    if query.array is not None and key.array is not None:
        columns = _probability_nonzeros(query.array, np.repeat(key.array, n_repeats, 1), mask, node)
        nonzero = int((columns * mixed.nonzeros(2)).sum())
    mix = Gemm(n_groups, n_queries, value.shape[3], n_keys, nonzero, columns, None)
    makes = [graph.made(graph.value(node.outputs[0]))]
    graph.add_gemm("attention_mix", node, [graph.read(node.inputs[2])], makes, mix, after=(number,))
    return True


def _heads(value: Value, n_heads: int) -> Value:
    """(batch, heads, tokens, features), which may come as (batch, tokens, heads x features)."""
    if len(value.shape) == 4:
        return value
    batch, n_tokens, n_features = value.shape
    return value.arranged(batch, n_tokens, n_heads, n_features // n_heads, order=(0, 2, 1, 3))


def _probability_nonzeros(query: Array, key: Array, mask: Array | None, node: Node) -> Counts:
    """(groups, keys): how many queries give a key a probability that is not zero; one head after the other."""
    batch, n_heads, n_queries, n_features = query.shape
    scale = node.attributes.get("scale") or 1 / math.sqrt(n_features)
    shape = (batch, n_heads, n_queries, key.shape[2])
    masks = None if mask is None else np.broadcast_to(mask, shape)
    counts = []
    for place in np.ndindex(batch, n_heads):
        scores = (query[place].astype(np.float32) * scale) @ key[place].astype(np.float32).T
        if node.attributes.get("is_causal"):
            scores[np.triu(np.ones_like(scores, bool), 1)] = -np.inf
        if masks is not None:
            added = masks[place]
            scores = np.where(added, scores, -np.inf) if added.dtype == bool else scores + added
        with np.errstate(invalid="ignore"):  # a query that may see nothing
            shares = np.exp(scores - scores.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
        counts.append(np.count_nonzero(shares.astype(query.dtype), axis=0))
    return np.stack(counts)


# --- tables --------------------------------------------------------------------------------------------------------


def _lookup(graph: "GraphTracer", node: Node) -> bool:
    """Rows of a stored table, each read once. One place of an activation, the same always, is but a view of it."""
    table, indices = (graph.value(name) for name in node.inputs)
    if graph.is_activation(node.inputs[0]):
        if indices.shape or graph.is_activation(node.inputs[1]):
            return False
        graph.rename(node)
        return True
    if not graph.is_stored(node.inputs[0]) or node.attributes.get("batch_dims"):
        return False
    axis = node.attributes.get("axis", 0) % len(table.shape)
    sizes = table.shape[: indices.shape[-1]] if node.type == "GatherND" else table.shape[axis : axis + 1]
    n_asked, n_there = math.prod(indices.shape) // (len(sizes) if node.type == "GatherND" else 1), math.prod(sizes)
    n_rows = min(n_asked, n_there)
    if indices.array is not None:
        places = indices.array.reshape(n_asked, len(sizes)) % sizes
        n_rows = len(np.unique(places, axis=0))
    graph.add_lookup(node, n_rows * math.prod(table.shape) // max(1, n_there))
    return True


RULES: dict[str, Rule] = {
    "Attention": _attention,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gather": _lookup,
    "GatherND": _lookup,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matmul,
    "RNN": _recurrent,
}
