"""What ATen operators cost beside products of matrices: operations, or nothing when they only rename or move.

Operators are told apart by their name without underscores and variants; what torch itself tags as pointwise needs no
entry here. Whatever has no entry at all is counted as data movement and says so.
"""

import math
from typing import Any

from dcsim.traces.gemms import each

Arguments = dict[str, Any]

#: operators that only rename or reorder what is there, even where torch copies it: no cost
RENAMES = frozenset(
    ("alias", "assert_tensor_metadata", "clone", "contiguous", "detach", "dropout", "expand", "expand_as")
    + ("feature_dropout", "flatten", "lift_fresh_copy", "native_dropout", "permute", "reshape", "slice", "squeeze", "t")
    + ("to", "to_copy", "transpose", "unflatten", "unsafe_split", "unsafe_split_with_sizes", "unsafe_view", "unsqueeze")
    + ("view",)
)
#: operators that move elements without computing
MOVES = frozenset(
    ("cat", "channel_shuffle", "constant_pad_nd", "copy", "fill", "flip", "gather", "im2col", "index", "index_copy")
    + ("index_put", "index_select", "masked_scatter", "masked_select", "one_hot", "pad", "pixel_shuffle")
    + ("pixel_unshuffle", "reflection_pad1d", "reflection_pad2d", "repeat", "replication_pad2d", "roll", "scatter")
    + ("select_scatter", "slice_scatter", "stack", "tril", "triu", "unfold", "unsafe_index", "upsample_nearest1d")
    + ("upsample_nearest2d", "upsample_nearest3d", "zero")
)
#: one operation for each element read
REDUCTIONS = frozenset(
    ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d")
    + ("all", "amax", "amin", "any", "argmax", "argmin", "col2im", "cumprod", "cumsum", "linalg_vector_norm")
    + ("logsumexp", "max", "mean", "median", "min", "nansum", "norm", "prod", "std", "sum", "var", "var_mean")
)
#: one operation for each element under the window, which slides
POOLS = frozenset(
    ("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices")
    + ("max_pool3d_with_indices", "max_pool1d_with_indices")
)
#: operations for each element, counted from the formula. Softmax: compare, subtract, exponential, add, divide. Layer
#: norm: add; subtract, square, add; scale; times weight, plus bias. RMS norm: square, add; scale; times weight. Batch
#: norm, where it does not ride on a layer: times, plus. Bilinear: three interpolations of a multiply and two adds.
OPERATIONS = {
    "softmax": 5,
    "log_softmax": 5,
    "layer_norm": 7,
    "group_norm": 7,
    "instance_norm": 7,
    "rms_norm": 4,
    "batch_norm": 2,
    "upsample_bilinear2d": 9,
    "upsample_linear1d": 3,
    "glu": 2,
}
#: operations for each hidden unit and step beside the products: the sums of both halves of each gate; then LSTM:
#: f c + i g and o tanh(c); GRU: r hn, 1 - z, (1 - z) n + z h. What squashes is free, as it is elsewhere.
CELLS = {"lstm": 4 + 4, "gru": 3 + 5, "rnn_tanh": 1, "rnn_relu": 1}
#: one operation for each element, though torch does not tag them as pointwise
POINTWISE = frozenset(("hardswish", "log_sigmoid_forward", "masked_fill", "prelu"))
#: names of the same thing at another level of torch
ALIASES = {
    "prelu_kernel": "prelu",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
    "native_batch_norm": "batch_norm",
    "native_batch_norm_legit": "batch_norm",
    "native_batch_norm_legit_no_training": "batch_norm",
    "cudnn_batch_norm": "batch_norm",
    "batch_norm_impl_index": "batch_norm",
    "safe_softmax": "softmax",
    "fused_rms_norm": "rms_norm",
    "max_pool1d_with_indices": "max_pool1d",
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "adaptive_avg_pool2d_backward": "adaptive_avg_pool2d",
    "scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention",
    "scaled_dot_product_flash_attention": "scaled_dot_product_attention",
    "scaled_dot_product_efficient_attention": "scaled_dot_product_attention",
    "scaled_dot_product_fused_attention_overrideable": "scaled_dot_product_attention",
}
#: operators that write without reading what was there
OVERWRITES = frozenset(("copy", "fill", "zero"))
#: operators that write to places picked out of a tensor and leave the others
SCATTERS = frozenset(("index_copy", "index_put", "masked_scatter", "scatter"))
#: first results alone count: the others serve training
FIRST_RESULT = frozenset(
    ("layer_norm", "group_norm", "batch_norm", "max_pool2d", "max_pool3d", "max_pool1d", "rms_norm")
)


def kind_of(name: str) -> str:
    """`aten::_softmax` as `softmax`; in-place twins share the name."""
    plain = name.split("::")[-1].strip("_")
    return ALIASES.get(plain, plain)


def n_operations(kind: str, arguments: Arguments, n_read: int, n_made: int) -> int | None:
    """Comparisons, additions and the like; None when there is no cost model.

    Args:
        n_read, n_made: elements of activations.
    """
    if kind in MOVES:
        return 0
    if kind in REDUCTIONS:
        return n_read
    if kind in POOLS:
        kernel = arguments["kernel_size"]
        rank = int(kind.removeprefix("max_pool").removeprefix("avg_pool")[0])
        return n_made * math.prod(each(kernel, rank))
    if kind == "batch_norm" and arguments.get("training", arguments.get("use_input_stats")):
        return OPERATIONS["instance_norm"] * n_made  # it takes mean and variance of what it reads
    if kind == "instance_norm" and not arguments.get("use_input_stats", True):
        return OPERATIONS["batch_norm"] * n_made
    if kind in OPERATIONS:
        return OPERATIONS[kind] * n_made
    return None


def pointwise_operations(n_made: int, n_operands: int) -> int:
    """One operation for each element made and operand beyond the first."""
    return n_made * max(1, n_operands - 1)


def is_listed(kind: str) -> bool:
    """Whether the operator is in a table here."""
    return any(kind in table for table in (RENAMES, MOVES, REDUCTIONS, POOLS, OPERATIONS, POINTWISE))
