"""A network's name -> its compressed files and their traces, made now or found again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.artifact import VARIANTS, CompressedModel, Variant, repack
from dcsim.compression.plan import Overrides
from dcsim.compression.recipe import Recipe
from dcsim.compression.store import (
    CHECKPOINT_FILE,
    STAGES_FILE,
    Stage,
    cache_key,
    cache_path,
    read_stages,
    shipped_path,
)
from dcsim.config import did_you_mean, load_spec
from dcsim.datasets import Dataset, load_mnist, mnist_checksum
from dcsim.errors import ConfigError, NetworkError, TraceError
from dcsim.files import is_file, require_writable, sha256
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, call, dense_weights, find_network, require_torch

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True)
class Listener:
    """Who is told what while a job runs.

    Attributes:
        progress: (stage, done, total, note), called after every batch of training.
        stage: called with every stage whose file has been written, read back and tested.
        say: one line about what is being done.
    """

    progress: Callable[[str, int, int, str], None] = lambda stage, done, total, note: None
    stage: Callable[[Stage], None] = lambda stage: None
    say: Callable[[str], None] = lambda message: None


SILENT = Listener()
NO_OVERRIDES = Overrides()


@dataclass(frozen=True)
class Compression:
    """A finished compression: its folder of `.dcz` files and what each is worth."""

    network: str
    recipe: str
    folder: Path
    stages: tuple[Stage, ...]
    reused: bool

    def load(self, variant: Variant) -> CompressedModel:
        """The file of one variant. Raises ArtifactError."""
        return CompressedModel.load(self.folder / f"{variant}.dcz")

    def frame(self) -> "pd.DataFrame":
        """One row per stage."""
        import pandas as pd

        return pd.DataFrame([vars(stage) for stage in self.stages])

    def _repr_html_(self) -> str:
        return f"<p>{self.network}, recipe {self.recipe}</p>{self.frame().to_html(index=False)}"


def compress(
    network: str,
    recipe: str | None = None,
    *,
    folder: Path | str | None = None,
    weights: Path | str | None = None,
    dataset: str = "",
    overrides: Overrides = NO_OVERRIDES,
    fresh: bool = False,
    listener: Listener = SILENT,
) -> Compression:
    """Deep Compression of a network, or the files it left the last time.

    Args:
        network: a name of models/, or `module:callable`.
        recipe: name of a recipe in the network's folder (`published` for `recipe-published.yaml`) or a path;
            by default `recipe.yaml` in that folder.
        folder: where to write; by default the user cache, and files there or under models/ are reused when recipe and
            weights are the same.
        weights: safetensors with the dense weights; by default those of the network's folder or of its builder.
        dataset: `mnist` or a `module:callable` that returns a Dataset.
        overrides: what replaces the recipe's figures in every layer.

    Raises:
        DcsimError: bad input of any kind.
    """
    found = find_network(network, dataset)
    if found.synthetic:
        raise NetworkError(f"{network} is given by numbers only, it has no weights to compress; use dcsim run or trace")
    plan = overrides.of_recipe(load_recipe(found, recipe))
    folder = Path(folder) if folder else None
    dense = dense_weights(found, Path(weights) if weights else None)
    if found.folder and dense and found.dataset == "mnist":  # known without torch and without data
        key = cache_key(plan, dense, mnist_checksum(), found.builder)
        finished = _finished(found, plan, key, folder, fresh, listener)
        if finished:
            return finished
    require_torch("compressing a network")
    from dcsim.compression import pipeline

    model, data = found.build(), load_dataset(found, listener)
    if dense is not None:
        pipeline.load_weights(model, dense)
    key = cache_key(plan, pipeline.state_weights(model), data.fingerprint, _architecture(found, model, data))
    finished = _finished(found, plan, key, folder, fresh, listener)
    if finished:
        return finished
    target = folder or cache_path(network, key)
    _clear(target, fresh)
    listener.say(f"compressing {network} by recipe {plan.name}")
    stages = pipeline.compress(
        model,
        plan,
        data,
        target,
        network=network,
        key=key,
        on_progress=listener.progress,
        on_stage=listener.stage,
        say=listener.say,
    )
    listener.say(f"files: {target}")
    return Compression(network, plan.name, target, stages, reused=False)


def load_trained(
    network: str, weights: Path | None, dataset: str, listener: Listener
) -> "tuple[Network, torch.nn.Module, Dataset]":
    """A network with its dense weights, and its data. Raises DcsimError for bad input of any kind."""
    from dcsim.compression import pipeline

    found = find_network(network, dataset)
    if found.synthetic:
        raise NetworkError(f"{network} is given by numbers only, it has no weights to try")
    model, data = found.build(), load_dataset(found, listener)
    dense = dense_weights(found, weights)
    if dense is not None:
        pipeline.load_weights(model, dense)
    return found, model, data


def _architecture(network: Network, model: "torch.nn.Module", data: Dataset) -> str:
    """What the network computes: the builder's name for one of models/, the exported operators for one's own.

    Exporting and tracing once also refuses, before any training, what could not be traced after it.
    """
    if network.folder:
        return network.builder
    from dcsim.artifact import pack
    from dcsim.compression.pipeline import state_weights
    from dcsim.traces import capture

    example = data.test_inputs[:1]
    program = capture.export(model, example)
    capture.capture(model, program, pack(network.name, "dense", state_weights(model)), example, None)
    return sha256(program.graph_module.code.encode())


def _clear(folder: Path, fresh: bool) -> None:
    """Remove what an earlier compression left, so that the folder is unfinished; `fresh`, what a killed one left too.

    Raises:
        OutputError: it cannot be written.
    """
    require_writable(folder / STAGES_FILE)
    checkpoint = [folder / CHECKPOINT_FILE] if fresh else []
    for path in (folder / STAGES_FILE, *folder.glob("*.parquet"), *checkpoint):
        path.unlink(missing_ok=True)


def _finished(
    found: Network, recipe: Recipe, key: str, folder: Path | None, fresh: bool, listener: Listener
) -> Compression | None:
    if fresh or folder:
        return None
    for candidate in (cache_path(found.name, key), shipped_path(found.name, recipe.name)):
        stages = read_stages(candidate, key)
        if stages:
            listener.say(f"files: {candidate} (reused)")
            return Compression(found.name, recipe.name, candidate, stages, reused=True)
    return None


def load_recipe(network: Network, recipe: str | None) -> Recipe:
    """The recipe by name, by path, or the network's default. Raises ConfigError."""
    if recipe and (recipe.endswith((".yaml", ".yml")) or "/" in recipe):
        return load_spec(Recipe, Path(recipe))
    if network.folder is None:
        raise ConfigError(f"{network.name} needs a recipe: give one with --recipe FILE.yaml")
    path = network.folder / (f"recipe-{recipe}.yaml" if recipe and recipe != "default" else "recipe.yaml")
    if not is_file(path):
        known = sorted(p.stem.removeprefix("recipe-") for p in network.folder.glob("recipe-*.yaml"))
        raise ConfigError(f"{network.name} has no recipe {recipe!r}; known: default, {', '.join(known)}")
    return load_spec(Recipe, path)


def load_dataset(network: Network, listener: Listener = SILENT) -> Dataset:
    """The data a network is trained and tested on. Raises DatasetError or ConfigError."""
    if network.dataset == "mnist":
        return load_mnist(listener.say)
    if ":" not in network.dataset:
        raise ConfigError(f"{network.name} needs data: give --data mnist or --data module:callable")
    data = call(network.dataset)
    if not isinstance(data, Dataset):
        raise ConfigError(f"{network.dataset} returned {type(data).__name__}, expected a dcsim.datasets.Dataset")
    return data


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
            trace = capture.capture(model, program, compression.load(variant), inputs, by_variant[variant].test_error)
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
    return capture.capture(model, capture.export(model, inputs), stored, inputs, test_error)
