"""What can be turned on a network instead of a chip, how it is stored and the bits of a code; and who turns what."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dcsim.artifact import VARIANTS, Variant
from dcsim.compression.plan import MAX_CODE_BITS, PostTraining
from dcsim.errors import ConfigError
from dcsim.explore.budget import Budget, load_budget
from dcsim.explore.fit import Fit, Wanted, fit, fit_traces
from dcsim.prepare import (
    SILENT,
    Listener,
    compress_network,
    load_examples,
    post_training_traces,
    synthetic_traces,
    trace,
)
from dcsim.simulation.simulate import Engine
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.tables import WeightedSpec
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, NetworkSpec, find_network

Makers = dict[int | str, Callable[[], Trace]]
TRACE_SUFFIX = ".parquet"
BITS_STRIDE = 3  # samples of the bits of a code: 1, 4, 7 and 10
VARIANT, CODEBOOK_BITS = "variant", "codebook_bits"


@dataclass(frozen=True)
class Source:
    """A saved trace, or a network and what it takes to trace it.

    Attributes:
        name: path of a trace, or a network as `dcsim.prepare.trace` takes it.
        variant: huffman by default; a saved trace has its own.
    """

    name: str
    variant: Variant | None = None
    recipe: str | None = None
    dataset: str = ""
    listener: Listener = SILENT

    @property
    def saved(self) -> bool:
        """Whether it is a trace that was saved."""
        return self.name.endswith(TRACE_SUFFIX)

    def trace(self, variant: Variant | None = None) -> Trace:
        """The trace, or that of another variant. Raises DcsimError."""
        if not self.saved:
            return trace(
                self.name,
                variant or self.variant,
                recipe=self.recipe,
                dataset=self.dataset,
                listener=self.listener,
            )
        if variant or self.variant or self.recipe or self.dataset:
            raise ConfigError(f"{self.name} is a trace of one variant: no other, and no recipe or data belong to it")
        return Trace.load(Path(self.name))


def fit_source(
    source: Source,
    soc: SocSpec | str,
    fps: float,
    budget: Budget | str,
    knob: str,
    wanted: Wanted,
    lowest: float | None = None,
    highest: float | None = None,
    engine: Engine = "event",
) -> Fit:
    """`fit` of any knob: of the chip, `fps`, or of the network, `variant` and `codebook_bits`. Raises DcsimError."""
    soc = load_soc(soc) if isinstance(soc, str) else soc
    budget = load_budget(budget) if isinstance(budget, str) else budget
    if knob not in (VARIANT, CODEBOOK_BITS):
        error = _dense_error(source, budget)
        bounds = {"lowest": lowest, "highest": highest}
        return fit(source.trace(), soc, fps, budget, knob, wanted, **bounds, reference_error=error, engine=engine)
    if source.saved:
        raise ConfigError(f"{source.name} is a trace of one variant: give the network to turn {knob}")
    if lowest is not None or highest is not None:
        raise ConfigError(f"{knob} has few values: bounds have no place here")
    if knob == VARIANT and source.variant:
        raise ConfigError("--variant has no place where the variant is the knob")
    makers, stride = (variants_by_size(source), 1) if knob == VARIANT else (by_codebook_bits(source), BITS_STRIDE)
    error = _dense_error(source, budget)
    return fit_traces(makers, soc, fps, budget, knob, wanted, stride=stride, reference_error=error, engine=engine)


def _dense_error(source: Source, budget: Budget) -> float | None:
    """Of the dense variant, where the budget asks for it and it can be had."""
    asked = "accuracy_loss" in budget.limits.levels() | budget.warning_levels()
    return source.trace("dense").test_error if asked and not source.saved else None


def variants_by_size(source: Source) -> Makers:
    """All storage variants of a network, the smallest file first. Raises DcsimError."""
    made = sorted((source.trace(variant) for variant in VARIANTS), key=lambda found: found.file_bytes)
    return {found.variant: partial(_same, found) for found in made}


def by_codebook_bits(source: Source) -> Makers:
    """A network with codes of 1 to 10 bits before Huffman coding, in every layer.

    A network with weights is compressed at each width without training, and its error measured where it has labelled
    data. Of a network given by numbers each layer keeps the share of its code width that Huffman coding leaves.

    Raises:
        ConfigError: the variant has no codes, there is a recipe, or a network of one's own has no data.
    """
    variant = source.variant or "huffman"
    if variant not in ("shared", "huffman"):
        raise ConfigError(f"the {variant} variant has no codes; codebook_bits is for shared and huffman")
    if source.recipe:
        raise ConfigError("codebook_bits compresses without training, which takes no recipe")
    found = find_network(source.name, source.dataset)
    if not found.synthetic and not found.dataset:
        raise ConfigError(f"{source.name} needs something to run on: give --data module:callable")
    make = _of_table if found.synthetic else _without_training
    return {bits: partial(make, found, variant, bits, source.listener) for bits in range(1, MAX_CODE_BITS + 1)}


def with_codebook_bits(spec: NetworkSpec, bits: int) -> NetworkSpec:
    """A network given by numbers, with codes of `bits`; Huffman lengths that are stated keep their share of the width.

    Assumption: that share does not change with the width. In Deep Compression, Tables 4 and 5, it is 0.53 to 0.85.
    """
    layers = tuple(
        layer.model_copy(
            update={
                "code_bits": bits,
                "huffman_bits_per_code": _scaled(layer.huffman_bits_per_code, bits / layer.code_bits),
            }
        )
        if isinstance(layer, WeightedSpec)
        else layer
        for layer in spec.layers
    )
    weights = spec.weights and spec.weights.model_copy(
        update={
            "code_bits": bits,
            "huffman_bits_per_code": _scaled(spec.weights.huffman_bits_per_code, bits / spec.weights.code_bits),
        }
    )
    return spec.model_copy(update={"layers": layers, "weights": weights})


def _scaled(mean_bits: float | None, ratio: float) -> float | None:
    """A code has a bit at least."""
    return None if mean_bits is None else max(1.0, mean_bits * ratio)


def _same(found: Trace) -> Trace:
    return found


def _of_table(network: Network, variant: Variant, bits: int, listener: Listener) -> Trace:
    assert network.spec
    spec = with_codebook_bits(network.spec, bits)
    return synthetic_traces(Network(network.name, "", "", network.folder, spec), [variant])[0]


def _without_training(network: Network, variant: Variant, bits: int, listener: Listener) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "huffman.dcz"
        _, found = compress_network(network.name, file, PostTraining(code_bits=bits), None, network.dataset, listener)
        listener.say(f"{bits} bits: {found}")
        errors = (found.error_before, found.error_after)
        examples = load_examples(network, listener)
        return post_training_traces(network, file, [variant], examples, 1, errors, None, listener)[0]
