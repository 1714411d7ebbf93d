"""ATen operators that multiply matrices or look rows up: each tells a Tracer the GEMMs that it is."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dcsim.traces.gemms import (
    Gemm,
    Operand,
    Window,
    batched_gemm,
    convolution_gemm,
    linear_gemm,
    transposed_gemm,
)
from dcsim.traces.torch_operators import CELLS, OPERATIONS, Arguments, kind_of

if TYPE_CHECKING:
    from dcsim.traces.tracer import Tracer

SOFTMAX_OPERATIONS = OPERATIONS["softmax"]
N_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
SCORES_AT_ONCE = 1 << 22  # attention scores computed together: their memory stays small

Handler = Callable[["Tracer", str, Arguments, Sequence[torch.Tensor]], None]


# --- matrix products -----------------------------------------------------------------------------------------------


def _linear(tracer: "Tracer", operator: str, arguments: Arguments, made: Sequence[torch.Tensor]) -> None:
    inputs, weight = arguments["input"], arguments["weight"]
    if weight.dim() == 1:
        weight = weight[None]
    rest = (arguments.get("bias"),)
    if tracer.is_activation(weight):
        others = tracer.operand(weight)
        rows = tracer.operand(inputs).arranged(1, inputs.numel() // weight.shape[1], weight.shape[1])
        gemm = batched_gemm(rows, others.arranged(1, *others.shape))
    else:
        gemm = linear_gemm(tracer.operand(inputs), tracer.weights(weight[None]))
    tracer.add_gemm("linear", operator, (inputs, arguments["weight"], *rest), made, gemm)


def _product(left: str, right: str, *rest: str) -> Handler:
    """A product of two matrices, or of two stacks of them, by the names of its arguments."""

    def handle(tracer: "Tracer", operator: str, arguments: Arguments, made: Sequence[torch.Tensor]) -> None:
        first, second = arguments[left], arguments[right]
        _matrix_product(tracer, operator, first, second, [arguments[name] for name in rest], made)

    return handle


def _matrix_product(
    tracer: "Tracer",
    operator: str,
    first: torch.Tensor,
    second: torch.Tensor,
    rest: Sequence[torch.Tensor],
    made: Sequence[torch.Tensor],
) -> None:
    a = first if first.dim() > 1 else first[None]
    b = second if second.dim() > 1 else second[:, None]
    reads = (first, second, *rest)
    if tracer.is_activation(a) and tracer.is_activation(b):
        left, right = (tracer.operand(t if t.dim() == 3 else t[None]) for t in (a, b.mT))
        tracer.add_gemm("matmul", operator, reads, made, batched_gemm(left, right))
        return
    if tracer.is_activation(b):  # weights on the left: turn the product round
        a, b = b.mT, a.mT
    if b.dim() == 3:
        a, b = _unrepeated(tracer, a, b)
    if b.dim() == 2:
        gemm = linear_gemm(tracer.operand(a), tracer.weights(b.mT[None]))
    else:
        gemm = batched_gemm(tracer.operand(a), tracer.operand(b.mT), tracer.weights(b.mT))
    tracer.add_gemm("linear", operator, reads, made, gemm)


def _unrepeated(tracer: "Tracer", a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(groups, M, K) times stored (groups, K, N), of which torch repeats each that it broadcasts: every one once."""
    n_stored = tracer.n_stored(b)
    n_distinct = n_stored // b[0].numel() if b[0].numel() else 0
    if not n_distinct or n_stored >= b.numel() or len(b) % n_distinct:
        return a, b
    n_repeats = len(b) // n_distinct
    rounds = b.reshape(n_repeats, n_distinct, *b.shape[1:])
    if not tracer.knows(b) or torch.equal(rounds, rounds[:1].expand_as(rounds)):
        rows = a.reshape(n_repeats, n_distinct, *a.shape[1:]).transpose(0, 1)
        distinct = rounds[0]
    else:
        runs = b.reshape(n_distinct, n_repeats, *b.shape[1:])
        if not torch.equal(runs, runs[:, :1].expand_as(runs)):
            return a, b
        rows, distinct = a.reshape(n_distinct, n_repeats, *a.shape[1:]), runs[:, 0]
    rows = tracer.alias(rows.reshape(n_distinct, n_repeats * a.shape[1], a.shape[2]), a)
    distinct = tracer.alias(distinct, b)
    return (rows, distinct) if n_distinct > 1 else (rows[0], distinct[0])


# --- convolutions --------------------------------------------------------------------------------------------------


def _convolution(tracer: "Tracer", operator: str, arguments: Arguments, made: Sequence[torch.Tensor]) -> None:
    inputs, weight = arguments["input"], arguments["weight"]
    rank = weight.dim() - 2
    batched = inputs if inputs.dim() == rank + 2 else inputs[None]
    kernel, n_groups = tuple(weight.shape[2:]), arguments["groups"]
    window = Window.of(kernel, arguments["stride"], arguments["padding"], arguments["dilation"])
    reads = (inputs, weight, arguments.get("bias"))
    if arguments.get("transposed") or "conv_transpose" in operator:
        per_group = weight.reshape(n_groups, weight.shape[0] // n_groups, -1).transpose(1, 2)
        sizes = made[0].shape[-rank:]
        gemm = transposed_gemm(
            tracer.operand(batched), tracer.operand(weight), tracer.weights(per_group), window, n_groups, sizes
        )
        kind = f"conv_transpose{rank}d"
    else:
        weights = tracer.weights(weight.reshape(n_groups, weight.shape[0] // n_groups, -1))
        gemm = convolution_gemm(tracer.operand(batched), weights, weight.shape[0], window, n_groups)
        kind = f"conv{rank}d"
    if tracer.is_activation(weight):
        gemm = replace(gemm, weights=None)
    tracer.add_gemm(kind, operator, reads, made, gemm)


# --- attention -----------------------------------------------------------------------------------------------------


def _attention(tracer: "Tracer", operator: str, arguments: Arguments, made: Sequence[torch.Tensor]) -> None:
    """Scores with their softmax, then their mix of the values. The scores are passed on tile by tile, never stored."""
    query, key, value = arguments["query"], arguments["key"], arguments["value"]
    mask = arguments.get("attn_mask", arguments.get("attn_bias"))
    n_queries, n_keys = query.shape[-2], key.shape[-2]
    n_repeats = query.shape[-3] // key.shape[-3] if query.dim() > 2 and arguments.get("enable_gqa") else 1
    lead = made[0].shape[:-2]
    n_groups = math.prod(lead)

    def grouped(tensor: torch.Tensor, times: int) -> Operand:
        shape = (n_groups, *tensor.shape[-2:])
        mask = tracer.operand(tensor).mask
        if mask is None:
            return Operand(shape, None)
        repeated = np.repeat(mask, times, axis=-3) if times > 1 else mask
        return Operand(shape, np.broadcast_to(repeated, (*lead, *tensor.shape[-2:])).reshape(shape))

    scores = batched_gemm(grouped(query, 1), grouped(key, n_repeats))
    n_operations = SOFTMAX_OPERATIONS * n_groups * n_queries * n_keys
    number = tracer.add_gemm("attention_scores", operator, (query, key, mask), (), scores, n_alu_ops=n_operations)
    values = grouped(value, n_repeats)
    if tracer.knows(query):
        columns = _probability_nonzeros(query, key, mask, arguments, n_repeats, lead)
        nonzero = int((columns * values.nonzeros(2)).sum())
    else:
        columns, nonzero = None, n_groups * n_queries * n_keys * value.shape[-1]
    mix = Gemm(n_groups, n_queries, value.shape[-1], n_keys, nonzero, columns, None)
    tracer.add_gemm("attention_mix", operator, (value,), made[:1], mix, after=(number,))


def _probability_nonzeros(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    arguments: Arguments,
    n_repeats: int,
    lead: tuple[int, ...],
) -> npt.NDArray[np.int64]:
    """(groups, keys): how many queries give a key a probability that is not zero."""
    n_queries, n_keys = query.shape[-2], key.shape[-2]
    if not n_queries or not n_keys:
        return np.zeros((math.prod(lead), n_keys), np.int64)
    scale = arguments.get("scale") or 1 / math.sqrt(query.shape[-1])
    keys = key.repeat_interleave(n_repeats, -3) if n_repeats > 1 else key
    queries, keys = (t.expand(*lead, *t.shape[-2:]).reshape(math.prod(lead), *t.shape[-2:]) for t in (query, keys))
    masks = None if mask is None else mask.expand(*lead, n_queries, n_keys).reshape(-1, n_queries, n_keys)
    step = max(1, SCORES_AT_ONCE // (n_queries * n_keys))
    counts = []
    for first in range(0, len(queries), step):
        part = slice(first, first + step)
        scores = (queries[part] * scale) @ keys[part].mT
        if arguments.get("is_causal"):
            hidden = torch.ones(n_queries, n_keys, dtype=torch.bool).triu(1)
            scores.masked_fill_(hidden, -math.inf)
        if masks is not None:
            added = masks[part]
            scores = scores.masked_fill(~added, -math.inf) if added.dtype == torch.bool else scores + added
        counts.append(torch.count_nonzero(scores.softmax(-1), dim=1))
    found: npt.NDArray[np.int64] = torch.cat(counts).numpy()
    return found


# --- recurrent layers ----------------------------------------------------------------------------------------------


def _recurrent(tracer: "Tracer", operator: str, arguments: Arguments, made: Sequence[torch.Tensor]) -> None:
    """For each layer and direction what the input gives to the gates, then, step by step, what the hidden units give.

    The layers are run one by one, because nobody else tells what the hidden units of the inner ones were.
    """
    kind = kind_of(operator.split(".")[1])
    function = getattr(torch, kind)
    states = arguments["hx"] if kind == "lstm" else [arguments["hx"]]
    n_directions = 1 + arguments["bidirectional"]
    parameters, has_biases = arguments["params"], arguments["has_biases"]
    per_cell = len(parameters) // (arguments["num_layers"] * n_directions)
    flow = arguments["input"].transpose(0, 1) if arguments["batch_first"] else arguments["input"]
    sequence = arguments["input"]
    n_per_unit = CELLS[kind]
    n_steps, batch = flow.shape[:2]
    for layer in range(arguments["num_layers"]):
        outputs, numbers = [], []
        for direction in range(n_directions):
            place = layer * n_directions + direction
            weights = parameters[place * per_cell : (place + 1) * per_cell]
            projection = weights[-1] if len(weights) % 2 else None
            first = [state[place : place + 1] for state in states]
            forth = flow.flip(0) if direction else flow
            hx = first if kind == "lstm" else first[0]
            n_hidden = weights[0].shape[0] // N_GATES[kind]
            if tracer.knows(flow):
                result = function(forth, hx, weights, has_biases, 1, 0.0, False, False, False)[0]
            else:
                result = flow.new_empty(n_steps, batch, weights[1].shape[1])
            before = torch.cat([first[0], result[:-1]])
            biases = weights[2:4] if has_biases else (None, None)
            gates = torch.nn.functional.linear(forth, weights[0], biases[0])
            tracer.add_gemm(
                f"{kind}_input",
                operator,
                (sequence, weights[0], biases[0]),
                (gates,),
                linear_gemm(tracer.operand(flow), tracer.weights(weights[0][None])),
            )
            is_last = layer == arguments["num_layers"] - 1
            hidden = result if projection is None else _unprojected(gates, before, weights, biases[1], first[1])
            number = tracer.add_gemm(
                f"{kind}_hidden",
                operator,
                (gates, weights[1], biases[1], *filter(tracer.is_activation, first)),
                (hidden,),
                linear_gemm(tracer.operand(before), tracer.weights(weights[1][None]), n_steps),
                n_alu_ops=n_per_unit * n_steps * batch * n_hidden,
            )
            if projection is not None:
                gemm = linear_gemm(tracer.operand(hidden), tracer.weights(projection[None]), n_steps)
                number = tracer.add_gemm(f"{kind}_projection", operator, (hidden, projection), (result,), gemm)
            numbers.append(number)
            outputs.append(result.flip(0) if direction else result)
        flow = torch.cat(outputs, 2)
        sequence = flow
        tracer.made_by(numbers, flow, *(made if is_last else ()))


def _unprojected(
    gates: torch.Tensor,
    before: torch.Tensor,
    weights: Sequence[torch.Tensor],
    bias: torch.Tensor | None,
    cell: torch.Tensor,
) -> torch.Tensor:
    """(steps, batch, units): the hidden units of an LSTM before they are projected, which torch does not tell."""
    together = gates + torch.nn.functional.linear(before, weights[1], bias)
    let_in, forget, new, out = together.chunk(4, -1)
    hidden = []
    for step in range(len(gates)):
        cell = forget[step].sigmoid() * cell + let_in[step].sigmoid() * new[step].tanh()
        hidden.append(out[step].sigmoid() * cell.tanh())
    return torch.cat(hidden)


def _embedding(tracer: "Tracer", operator: str, arguments: Arguments, made: Sequence[torch.Tensor]) -> None:
    """Rows looked up in a stored table: each is read once, however often it is asked for."""
    weight, indices = arguments["weight"], arguments["indices"]
    n_rows = len(torch.unique(indices)) if tracer.knows(indices) else min(indices.numel(), weight.shape[0])
    tracer.add_lookup(operator, weight, indices, made[0], n_rows * weight.shape[1])


HANDLERS: dict[str, Handler] = {
    "linear": _linear,
    "mm": _product("self", "mat2"),
    "bmm": _product("self", "mat2"),
    "mv": _product("self", "vec"),
    "dot": _product("self", "tensor"),
    "addmm": _product("mat1", "mat2", "self"),
    "addmv": _product("mat", "vec", "self"),
    "baddbmm": _product("batch1", "batch2", "self"),
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "convolution": _convolution,
    "conv_transpose1d": _convolution,
    "conv_transpose2d": _convolution,
    "conv_transpose3d": _convolution,
    "scaled_dot_product_attention": _attention,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn_tanh": _recurrent,
    "rnn_relu": _recurrent,
    "embedding": _embedding,
}


def handler_of(kind: str, overload: str) -> Handler | None:
    """What is known of an operator that multiplies or looks up; packed sequences are left to their parts."""
    if kind in ("lstm", "gru", "rnn_tanh", "rnn_relu") and overload != "input":
        return None
    return HANDLERS.get(kind)
