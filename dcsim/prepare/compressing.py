"""A network's name -> its compressed files, made now or found again."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.artifact import CompressedModel, Variant
from dcsim.compression.plan import Overrides, PostTraining
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
from dcsim.datasets import Dataset, mnist_checksum
from dcsim.errors import NetworkError
from dcsim.files import require_writable, sha256
from dcsim.prepare.loading import SILENT, Listener, load_dataset, load_examples, load_recipe
from dcsim.zoo import Network, dense_weights, find_network, require_torch

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from dcsim.compression.post_training import Packed
    from dcsim.compression.similarity import Similarity

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
    key = cache_key(plan, pipeline.state_weights(model), data.fingerprint, architecture(found, model, data))
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


@dataclass(frozen=True)
class Comparison:
    """What compression did to a network's outputs.

    Attributes:
        similarity: to the outputs before; None when there was nothing to run it on.
        error_before, error_after: wrong / all on the test set; None without labels.
    """

    similarity: "Similarity | None" = None
    error_before: float | None = None
    error_after: float | None = None

    def __str__(self) -> str:
        if self.similarity is None:
            return ""
        found = self.similarity
        said = (
            f"outputs: cosine {found.mean:.4f}, lowest {found.lowest:.4f}, the largest one the same in "
            f"{found.n_same_largest} of {found.n_examples} examples"
        )
        if self.error_before is None or self.error_after is None:
            return said
        return f"{said}; test error {100 * self.error_before:.2f} % before, {100 * self.error_after:.2f} % after"


def compress_network(
    network: str, output: Path, plan: PostTraining, weights: Path | None, data: str, listener: Listener = SILENT
) -> "tuple[Packed, Comparison]":
    """Compress a network without training, and say what it does to its outputs.

    Args:
        network: a name of models/, or `module:callable`.
        output: `.dcz` file.
        weights: safetensors; by default those of the network's folder or of its builder.
        data: `module:callable` that returns a Dataset, whose test error is measured, or inputs, batch first, in a
            numpy array of any type, whose outputs are compared. Nothing is measured when there are none.

    Raises:
        DcsimError: bad input of any kind.
    """
    require_torch("compressing a network")
    from safetensors.torch import save_file

    from dcsim.compression import pipeline
    from dcsim.compression.post_training import compress_checkpoint
    from dcsim.compression.similarity import output_similarity
    from dcsim.compression.training import error_rate

    found = find_network(network, data)
    if found.synthetic:
        raise NetworkError(f"{network} is given by numbers only, it has no weights to compress")
    examples = load_examples(found, listener) if found.dataset else None
    model = found.build()
    dense = dense_weights(found, weights)
    if dense is not None:
        pipeline.load_weights(model, dense)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({name: tensor.contiguous().clone() for name, tensor in pipeline.state_floats(model).items()}, file)
        packed = compress_checkpoint(file, output, plan, network=found.name, on_progress=listener.progress)
    if examples is None:
        return packed, Comparison()
    inputs = examples.test_inputs if isinstance(examples, Dataset) else examples
    before = error_rate(model, examples) if isinstance(examples, Dataset) else None
    similarity = output_similarity(model, CompressedModel.load(output).decode(), inputs)
    after = error_rate(model, examples) if isinstance(examples, Dataset) else None
    return packed, Comparison(similarity, before, after)


def architecture(network: Network, model: "torch.nn.Module", data: Dataset) -> str:
    """Fingerprint of what a network computes: the builder's name for one of models/, else its exported operators.

    Exporting and tracing once also refuses, before any training, what could not be traced after it.
    """
    if network.folder:
        return network.builder
    from dcsim.artifact import pack
    from dcsim.compression.pipeline import state_weights
    from dcsim.traces import capture

    example = data.test_inputs[:1]
    program = capture.export(model, example)
    capture.capture(program, pack(network.name, "dense", state_weights(model)), example, None)
    return sha256(program.code.encode())


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
