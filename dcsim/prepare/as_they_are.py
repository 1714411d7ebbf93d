"""Networks traced as they are: a module with the weights it has, a file of torch.export, an ONNX graph, a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcsim.artifact import CompressedModel, Variant, repack
from dcsim.errors import ConfigError, NetworkError
from dcsim.files import is_file
from dcsim.prepare.loading import SILENT, Listener
from dcsim.traces.inputs import Inputs
from dcsim.traces.stored import store
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, call, dense_weights, require_package, require_torch

if TYPE_CHECKING:
    from dcsim.traces.capture import Program

EXPORTED, ONNX = ".pt2", ".onnx"


def load_inputs(reference: str) -> Inputs:
    """What a network is run on.

    Args:
        reference: `module:callable` that returns an array or tensor, a tuple of arguments or a dictionary of named
            ones; or an `.npz` file of named arrays, or an `.npy` file.

    Raises:
        NetworkError: the callable fails, or the file cannot be read.
        ConfigError: it is neither.
    """
    path = Path(reference)
    if path.suffix not in (".npz", ".npy"):
        if ":" not in reference:
            raise ConfigError(f"cannot take inputs from {reference!r}: expected module:callable, FILE.npz or FILE.npy")
        return Inputs.of(call(reference))
    try:
        found = np.load(path, allow_pickle=False)
        return Inputs.of(dict(found) if path.suffix == ".npz" else found)
    except FileNotFoundError as error:
        raise NetworkError(f"no file {path}") from error
    except (OSError, ValueError, EOFError) as error:
        raise NetworkError(f"cannot read inputs from {path}: {error}") from error


def is_graph(network: str) -> bool:
    """Whether the network is given as a file that holds its operators and weights."""
    return network.endswith((EXPORTED, ONNX))


def trace_graph(
    network: str, inputs: Inputs | None, variant: Variant | None, file: Path | None, exact: bool = True
) -> Trace:
    """The trace of a `.pt2` or `.onnx` file. Raises DcsimError."""
    path = Path(network)
    if not is_file(path):
        raise NetworkError(f"no file {path}")
    stored = _compressed(file, variant)
    if path.suffix == ONNX:
        require_package("onnxruntime", "tracing an ONNX graph", "onnx")
        from dcsim.traces.onnx_graph import trace_onnx

        return trace_onnx(path, inputs, variant or "dense", stored)
    require_torch("tracing a network")
    from dcsim.traces.capture import open_exported

    program, examples = open_exported(path)
    return trace_program(program, path.stem, inputs or examples, variant, stored, exact=exact)


def trace_module(
    network: Network,
    inputs: Inputs,
    variant: Variant | None,
    file: Path | CompressedModel | None,
    weights: Path | None = None,
    listener: Listener = SILENT,
    test_error: float | None = None,
    exact: bool = True,
) -> Trace:
    """The trace of a module on inputs, with its own weights, those of a safetensors file, or those of a `.dcz` file.

    Args:
        variant: how its weights are packed, dense by default; with a file, that of the file.

    Raises:
        DcsimError: bad input of any kind.
    """
    require_torch("tracing a network")
    from dcsim.compression import pipeline
    from dcsim.traces.capture import export

    model = network.build()
    dense = dense_weights(network, weights)
    if dense is not None:
        pipeline.load_weights(model, dense)
    program = export(model, inputs)
    if program.exported is None:
        listener.say(f"torch.export cannot follow the model, so it is traced as it runs: {program.refusal}")
    return trace_program(program, network.name, inputs, variant, _compressed(file, variant), test_error, exact)


def trace_program(
    program: "Program",
    name: str,
    inputs: Inputs,
    variant: Variant | None,
    file: CompressedModel | None,
    test_error: float | None = None,
    exact: bool = True,
) -> Trace:
    """The trace of what torch runs; layers that the file does not have appear dense. Raises DcsimError."""
    from dcsim.compression.pipeline import fill_weights, state_floats
    from dcsim.traces.capture import capture

    if file:
        fill_weights(program.model, file)
    floats = ((key, tensor.detach().float().numpy()) for key, tensor in state_floats(program.model).items())
    return capture(program, store(name, variant or "dense", floats, file), inputs, test_error, exact)


def _compressed(file: Path | CompressedModel | None, variant: Variant | None) -> CompressedModel | None:
    stored = CompressedModel.load(file) if isinstance(file, Path) else file
    return repack(stored, variant) if stored and variant and variant != stored.variant else stored


def unknown_operators(trace: Trace) -> Sequence[str]:
    """Operators that have no cost model, each once."""
    return list(dict.fromkeys(layer.operator for layer in trace.layers if layer.counts == "unknown"))
