"""A network's files -> their traces, captured now or found again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.artifact import VARIANTS, CompressedModel, Variant, repack
from dcsim.compression.store import Stage, shipped_path
from dcsim.config import did_you_mean
from dcsim.datasets import Dataset
from dcsim.errors import ConfigError, NetworkError, TraceError
from dcsim.prepare.as_they_are import ONNX, is_graph, load_inputs, trace_graph, trace_module
from dcsim.prepare.compressing import Compression, compress
from dcsim.prepare.loading import SILENT, Listener, load_dataset
from dcsim.traces.inputs import Inputs
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, find_network, require_torch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def synthetic_traces(network: Network, variants: Sequence[Variant], batch: int = 1) -> tuple[Trace, ...]:
    """Traces of a network given by numbers. Raises ConfigError for a batch below 1."""
    assert network.spec is not None
    _require_batch(batch, batch)
    if network.spec.kind == "decoder":
        require_torch("tracing a decoder")
        from dcsim.traces.virtual import decoder_traces

        return decoder_traces(network.spec, variants, batch)
    return tuple(synthesize(network.spec, variant, batch) for variant in variants)


def _require_batch(batch: int, n_examples: int) -> None:
    if not 1 <= batch <= n_examples:
        raise ConfigError(f"batch {batch} is not possible: expected 1 to {n_examples}, the examples of the test set")


def trace_variants(
    network: Network, compression: Compression, variants: Sequence[Variant], batch: int = 1, listener: Listener = SILENT
) -> tuple[Trace, ...]:
    """The traces of the compression's files, reused when they are there, captured on the first test examples if not.

    Raises:
        DcsimError: bad input of any kind.
    """
    by_variant = {stage.variant: stage for stage in compression.stages}
    traces = {variant: _kept_trace(compression.folder, by_variant[variant], batch) for variant in variants}
    missing = [variant for variant, trace in traces.items() if trace is None]
    if missing:
        require_torch("tracing a network")
        from dcsim.traces import capture

        model, data = network.build(), load_dataset(network, listener)
        _require_batch(batch, len(data.test_inputs))
        inputs = data.test_inputs[:batch]
        listener.say(f"tracing {', '.join(missing)} on {len(inputs)} example{'s' if len(inputs) > 1 else ''}")
        program = capture.export(model, inputs)
        for variant in missing:
            trace = capture.capture(program, compression.load(variant), inputs, by_variant[variant].test_error)
            if compression.folder != shipped_path(network.name, compression.recipe):  # that one may be read-only
                trace.save(_trace_path(compression.folder, variant, batch))
            traces[variant] = trace
    return tuple(trace for trace in traces.values() if trace is not None)


def _trace_path(folder: Path, variant: str, batch: int) -> Path:
    return folder / (f"{variant}.parquet" if batch == 1 else f"{variant}-batch{batch}.parquet")


def _kept_trace(folder: Path, stage: Stage, batch: int) -> Trace | None:
    try:
        trace = Trace.load(_trace_path(folder, stage.variant, batch))
    except TraceError:
        return None
    return trace if trace.file_sha256 == stage.file_sha256 else None


def trace(
    network: str,
    variant: Variant | None = None,
    *,
    recipe: str | None = None,
    file: Path | str | None = None,
    weights: Path | None = None,
    dataset: str = "",
    inputs: "str | Inputs | None" = None,
    batch: int | None = None,
    exact: bool = True,
    context: int | None = None,
    tokens: int | None = None,
    listener: Listener = SILENT,
) -> Trace:
    """The trace of one storage variant of a network.

    Args:
        network: see `run`; also a `.pt2` file of torch.export, an `.onnx` file, or a YAML table of layers.
        recipe, weights, dataset: see `run` and `compress`.
        variant: `huffman` by default; with a file, that of the file, or the one as which its weights are packed again;
            with inputs and no file, how the network's own weights are packed, `dense` by default.
        file: a `.dcz` file to trace instead of the one `compress` leaves; its test error is measured anew.
        inputs: what to run the network on as it is, without compressing it: see `load_inputs`.
        batch: examples that make one frame: 1 of the test set by default, all of the inputs.
        exact: count MACs with two nonzero operands; False estimates them from densities, for networks run on inputs.
        context, tokens: of a decoder, how many tokens it has behind it and how many it reads in this step.

    Raises:
        DcsimError: bad input of any kind.
    """
    if variant not in (None, *VARIANTS):
        raise ConfigError(f"no variant named {variant!r}{did_you_mean(str(variant), list(VARIANTS))}")
    if not exact and (network.endswith(ONNX) or not (inputs or is_graph(network))):
        raise ConfigError("nonzero MACs are estimated only for a module or a .pt2 file that is run on inputs")
    file = Path(file) if file else None
    given = load_inputs(inputs) if isinstance(inputs, str) else inputs
    if given and batch:
        given = given.first(batch)
    if is_graph(network):
        if recipe or weights or dataset:
            raise ConfigError(f"{network} holds its weights; a recipe, weights or data have no place in its trace")
        return trace_graph(network, given, variant, file, exact)
    found = find_network(network, dataset).with_step(context, tokens)
    if found.synthetic:
        if file or given:
            raise NetworkError(
                f"{network} is given by numbers only, so no file and no inputs belong to it; name a variant instead"
            )
        return synthetic_traces(found, [variant or "huffman"], batch or 1)[0]
    if given:
        if recipe:
            raise ConfigError("with --inputs a network is traced as it is; compress it first, then give --file")
        return trace_module(found, given, variant, file, weights, listener, exact=exact)
    if file:
        return _trace_file(found, file, variant, batch or 1, listener)
    compression = compress(network, recipe, weights=weights, dataset=dataset, listener=listener)
    return trace_variants(found, compression, [variant or "huffman"], batch or 1, listener)[0]


def _trace_file(network: Network, file: Path, variant: Variant | None, batch: int, listener: Listener) -> Trace:
    stored = CompressedModel.load(file)
    if variant and variant != stored.variant:
        stored = repack(stored, variant)
    require_torch("tracing a network")
    from dcsim.compression import pipeline
    from dcsim.compression.training import error_rate
    from dcsim.traces import capture

    model, data = network.build(), load_dataset(network, listener)
    _require_batch(batch, len(data.test_inputs))
    pipeline.load_weights(model, stored.decode())
    test_error = error_rate(model, data)
    inputs = data.test_inputs[:batch]
    return capture.capture(capture.export(model, inputs), stored, inputs, test_error)


def post_training_traces(
    network: Network,
    file: Path,
    variants: Sequence[Variant],
    examples: "Dataset | npt.NDArray[np.generic]",
    batch: int,
    errors: tuple[float | None, float | None],
    weights: Path | None = None,
    listener: Listener = SILENT,
) -> tuple[Trace, ...]:
    """Traces of a network that was compressed without training: `dense` as it was, the others from the file's weights.

    Args:
        examples: labelled ones, or inputs alone; the first `batch` of them are run.
        errors: on the test set before and after; None without labels.

    Raises:
        DcsimError: bad input of any kind.
    """
    inputs = Inputs.of(examples.test_inputs if isinstance(examples, Dataset) else examples).first(batch)
    stored = CompressedModel.load(file)
    traces = []
    for variant in variants:
        listener.say(f"tracing {variant} on {batch} example{'s' if batch > 1 else ''}")
        is_dense = variant == "dense"
        source = None if is_dense else stored
        traces.append(trace_module(network, inputs, variant, source, weights, listener, errors[not is_dense]))
    return tuple(traces)
