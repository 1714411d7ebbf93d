"""What takes how many bytes in a variant's file, in SRAM and in DRAM, layer by layer."""

from dataclasses import dataclass

from dcsim.explore.checks import WHOLE_SOC
from dcsim.simulation.layer_plan import expands
from dcsim.simulation.placement import INPUT_NAME, activation_bytes_of, spilled_together, state_bytes
from dcsim.simulation.result import RunResult
from dcsim.soc.dram_spec import NoDram
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import INPUT, Trace
from dcsim.units import kib_to_bytes


@dataclass(frozen=True)
class Part:
    """What one layer, or the whole chip, keeps of one kind: `weights`, `activations`, `buffers`, `state`, `header`."""

    layer: str
    kind: str
    n_bytes: int


def in_file(trace: Trace) -> list[Part]:
    """The variant's file: weights by the layer that is the first to read them, and the header."""
    return [Part(WHOLE_SOC, "header", trace.header_bytes), *_weights(trace)]


def in_sram(trace: Trace, soc: SocSpec, result: RunResult) -> list[Part]:
    """What lies in SRAM at some time: working buffers, resident weights, activations.

    Activations of different layers share room, so that the sum may be above the peak.
    """
    n_roles = 1 + any(expands(layer, soc) for layer in trace.layers)
    buffer_bytes = soc.tiles.n_buffers * kib_to_bytes(soc.tiles.tile_kib) * n_roles
    resident = [part for part in _weights(trace) if part.layer in result.placement.weights]
    held = [part for part in _activations(trace, soc) if part.layer in result.placement.activations]
    return [Part(WHOLE_SOC, "buffers", buffer_bytes), *resident, *held]


def in_dram(trace: Trace, soc: SocSpec, result: RunResult) -> list[Part]:
    """What needs room in DRAM: the whole file, what is kept between frames, and of the activations that do not fit the
    SRAM those that are there together where they take most.

    Weights that stay in SRAM are in DRAM too: they are loaded from there. Nothing without a DRAM.
    """
    if isinstance(soc.dram, NoDram):
        return []
    names, sizes = _names(trace), activation_bytes_of(trace, soc)
    kept = {index for index, name in names.items() if name in result.placement.activations}
    together = spilled_together(trace, sizes, kept)
    spilled = [Part(names[index], "activations", sizes[index]) for index in together]
    state = [Part(layer.name, "state", state_bytes(layer, soc)) for layer in trace.layers]
    return [*in_file(trace), *spilled, *state]


def total_bytes(parts: list[Part]) -> int:
    """Bytes of all parts together."""
    return sum(part.n_bytes for part in parts)


def _weights(trace: Trace) -> list[Part]:
    return [Part(layer.name, "weights", layer.stored_bytes) for layer in trace.layers]


def _names(trace: Trace) -> dict[int, str]:
    return {INPUT: INPUT_NAME} | {index: layer.name for index, layer in enumerate(trace.layers)}


def _activations(trace: Trace, soc: SocSpec) -> list[Part]:
    names = _names(trace)
    return [Part(names[index], "activations", n_bytes) for index, n_bytes in activation_bytes_of(trace, soc).items()]
