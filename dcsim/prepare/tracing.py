"""A network's files -> their traces, captured now or found again."""

from collections.abc import Sequence
from pathlib import Path

from dcsim.artifact import VARIANTS, CompressedModel, Variant, repack
from dcsim.compression.store import Stage, shipped_path
from dcsim.config import did_you_mean
from dcsim.errors import ConfigError, NetworkError, TraceError
from dcsim.prepare.compressing import Compression, compress
from dcsim.prepare.loading import SILENT, Listener, load_dataset
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, find_network, require_torch


def synthetic_traces(network: Network, variants: Sequence[Variant], batch: int = 1) -> tuple[Trace, ...]:
    """Traces of a network given by numbers. Raises ConfigError for a batch below 1."""
    assert network.spec is not None
    _require_batch(batch, batch)
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
    batch: int = 1,
    listener: Listener = SILENT,
) -> Trace:
    """The trace of one storage variant of a network.

    Args:
        network, recipe, weights, dataset, batch: see `run` and `compress`.
        variant: `huffman` by default; with a file, that of the file, or the one as which its weights are packed again.
        file: a `.dcz` file to trace instead of the one `compress` leaves; its test error is measured anew.

    Raises:
        DcsimError: bad input of any kind.
    """
    if variant not in (None, *VARIANTS):
        raise ConfigError(f"no variant named {variant!r}{did_you_mean(str(variant), list(VARIANTS))}")
    found = find_network(network, dataset)
    if found.synthetic:
        if file:
            raise NetworkError(f"{network} is given by numbers only, so no file belongs to it; name a variant instead")
        return synthetic_traces(found, [variant or "huffman"], batch)[0]
    if file:
        return _trace_file(found, Path(file), variant, batch, listener)
    compression = compress(network, recipe, weights=weights, dataset=dataset, listener=listener)
    return trace_variants(found, compression, [variant or "huffman"], batch, listener)[0]


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
