"""What stays in SRAM, what is spilled, how layers are tiled: decided before the replay, deterministically.

Objective: fewest DRAM bytes per steady-state frame. Working buffers come first, then tensors by
DRAM bytes saved per byte held over their lifetime; ties by layer order. That puts activations before weights, which are
held at all times. Weights read more than once a frame (recurrent steps, tied layers) come first, by reads; of those
read once, the set of layers is chosen that fills what is left best; tables of which a frame reads some rows come last.
Weights are resident per whole layer or not at all, in stored form. What the network keeps from frame to frame (a KV
cache) lies in DRAM.
"""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import yaml

from dcsim.config import did_you_mean, load_spec
from dcsim.errors import SimulationError
from dcsim.files import write_bytes
from dcsim.simulation.layer_plan import LayerPlan, Places, expands, plan_layer
from dcsim.soc import dram, sram
from dcsim.soc.dram_spec import NoDram
from dcsim.soc.spec import FixedPlacement, SocSpec
from dcsim.traces.trace import INPUT, OWN, Layer, Trace, consumers
from dcsim.units import bits_to_bytes, ceil_div, kib_to_bytes

GRAIN_BYTES = 64
INPUT_NAME = "(input)"


@dataclass(frozen=True)
class Placement:
    """The plan of a whole network on a SoC.

    Attributes:
        layers: in execution order.
        buffer_bytes: working buffers, held all the time.
        resident_bytes: stored weights held across frames.
        peak_bytes: most SRAM held at any layer.
        activations_in_sram: producer index of every activation that stays on chip; -1 is the network's input.
        activation_bytes: size of every activation by producer index.
        last_consumers: for each layer, the producers whose outputs nobody needs after it.
    """

    layers: tuple[LayerPlan, ...]
    buffer_bytes: int
    resident_bytes: int
    peak_bytes: int
    activations_in_sram: frozenset[int]
    activation_bytes: dict[int, int]
    last_consumers: tuple[tuple[int, ...], ...]

    @property
    def dram_bytes_per_frame(self) -> int:
        """Bytes the network asks of the DRAM in a steady-state frame, reads and writes."""
        return sum(plan.dram_read_bytes + plan.dram_write_bytes for plan in self.layers)


@dataclass(frozen=True)
class _Activation:
    """A candidate for SRAM: the DRAM bytes it saves and the layers during which it must be held."""

    index: int
    held_bytes: int
    saved_bytes: int
    first: int
    last: int

    def rank(self) -> tuple[float, int]:
        lifetime = self.last - self.first + 1
        return (-self.saved_bytes / (self.held_bytes * lifetime), self.index)


def place(trace: Trace, soc: SocSpec) -> Placement:
    """Decide what stays on chip, or take what the chip's `placement` says, and how layers are tiled.

    Raises:
        SimulationError: the network does not fit into DRAM, or the working buffers or a given placement not into SRAM.
    """
    capacity = sram.capacity_bytes(soc.sram)
    buffer_bytes = _buffer_bytes(trace, soc, capacity)
    activation_bytes = activation_bytes_of(trace, soc)
    held = [buffer_bytes] * len(trace.layers)
    candidates = _activations(trace, activation_bytes)
    if soc.placement:
        _require_sram_on(soc, soc.placement)
        in_sram, resident = _given(trace, soc.placement, candidates, held, capacity)
    else:
        in_sram = _keep_activations(candidates, held, capacity)
        resident = frozenset() if soc.idle.sram == "off" else _keep_weights(trace, capacity - max(held))
    resident_bytes = sum(trace.layers[index].stored_bytes for index in resident)
    held = [n_bytes + resident_bytes for n_bytes in held]
    left_bytes = capacity - max(held)
    plans = tuple(
        plan_layer(
            index,
            layer,
            soc,
            Places(
                weights_resident=index in resident,
                input_bytes_spilled=sum(activation_bytes[p] for p in layer.producers if p not in in_sram),
                output_bytes=activation_bytes[index],
                output_spilled=index not in in_sram,
                free_bytes=capacity - held[index],
                why_weights=_why_weights(layer, soc, index in resident, left_bytes),
                why_output=_why_output(soc, index in in_sram, activation_bytes[index]),
            ),
        )
        for index, layer in enumerate(trace.layers)
    )
    _require_dram(trace, soc, plans, activation_bytes, in_sram)
    peak_bytes = max(n_bytes + plan.chunk_bytes for n_bytes, plan in zip(held, plans, strict=True))
    ends: list[tuple[int, ...]] = [()] * len(trace.layers)
    for producer, last in consumers(trace):
        ends[max(last, 0)] += (producer,)
    return Placement(plans, buffer_bytes, resident_bytes, peak_bytes, in_sram, activation_bytes, tuple(ends))


def fixed(trace: Trace, placement: Placement) -> FixedPlacement:
    """A placement as names, as the YAML of a chip takes it."""
    names = {INPUT: INPUT_NAME} | {index: layer.name for index, layer in enumerate(trace.layers)}
    return FixedPlacement(
        weights=tuple(plan.layer.name for plan in placement.layers if plan.weights_resident),
        activations=tuple(names[index] for index in sorted(placement.activations_in_sram)),
    )


def save(placement: FixedPlacement, path: Path) -> None:
    """Write a placement as YAML, whole or not at all. Raises OutputError."""
    write_bytes(path, yaml.safe_dump(placement.model_dump(mode="json"), sort_keys=False).encode())


def load_placement(path: Path) -> FixedPlacement:
    """What `save` wrote. Raises ConfigError."""
    return load_spec(FixedPlacement, path)


def _given(
    trace: Trace, wanted: FixedPlacement, candidates: list["_Activation"], held: list[int], capacity: int
) -> tuple[frozenset[int], frozenset[int]]:
    """(activations, weights) that a chip's YAML names; `held` is updated in place. Raises SimulationError."""
    index_of = {INPUT_NAME: INPUT} | {layer.name: index for index, layer in enumerate(trace.layers)}
    for name in (*wanted.weights, *wanted.activations):
        if name not in index_of:
            raise SimulationError(f"placement: {trace.network} has no layer {name!r}{did_you_mean(name, [*index_of])}")
    if INPUT_NAME in wanted.weights:
        raise SimulationError(f"placement: {INPUT_NAME} has no weights, only activations")
    in_sram = {index_of[name] for name in wanted.activations}
    named = [candidate for candidate in candidates if candidate.index in in_sram]
    kept = _keep_activations(named, held, capacity)
    n_lost = len(named) - len(kept)
    resident = {index_of[name] for name in wanted.weights}
    owners = {_owner(index, trace.layers[index]) for index in resident}
    together = {index for index, layer in enumerate(trace.layers) if _owner(index, layer) in owners}
    resident_bytes = sum(trace.layers[index].stored_bytes for index in together)
    if n_lost or max(held) + resident_bytes > capacity:
        raise SimulationError(
            f"placement: what it names does not fit: at some layer the SRAM would hold {max(held) + resident_bytes:,} "
            f"bytes of {capacity:,}" + (f", and {n_lost} activations besides" if n_lost else "")
        )
    return kept, frozenset(together)


def _require_sram_on(soc: SocSpec, wanted: FixedPlacement) -> None:
    """Raises SimulationError where weights are to stay in an SRAM that forgets them."""
    if wanted.weights and soc.idle.sram == "off":
        raise SimulationError(
            f"placement: it keeps the weights of {', '.join(wanted.weights)} in SRAM, which is off between frames; "
            "set idle.sram to on or retain, or name no weights"
        )


def spilled_together(trace: Trace, activation_bytes: dict[int, int], in_sram: Container[int]) -> list[int]:
    """The activations that lie in DRAM at the layer at which they take most room; room is used again."""
    alive: list[list[int]] = [[] for _ in trace.layers]
    for producer, last in consumers(trace):
        if producer not in in_sram:
            for step in range(max(producer, 0), max(last, 0) + 1):
                alive[step].append(producer)
    return max(alive, key=lambda producers: sum(activation_bytes[index] for index in producers), default=[])


def state_bytes(layer: Layer, soc: SocSpec) -> int:
    """What a layer keeps from frame to frame, such as a KV cache: what was there, and what a frame adds."""
    return bits_to_bytes((layer.n_state_inputs + layer.n_state_outputs) * soc.activation_bits)


def _owner(index: int, layer: Layer) -> int:
    """Index of the layer that stores the weights that this one reads."""
    return index if layer.weights_of == OWN else layer.weights_of


def _why_weights(layer: Layer, soc: SocSpec, resident: bool, left_bytes: int) -> str:
    if not layer.read_bytes:
        return ""
    if soc.placement:
        return "given"
    if resident:
        return "fits beside buffers and activations"
    if soc.idle.sram == "off":
        return "SRAM is off between frames"
    return f"{layer.stored_bytes:,} bytes, {left_bytes:,} left"


def _why_output(soc: SocSpec, in_sram: bool, n_bytes: int) -> str:
    if not n_bytes:
        return ""
    if soc.placement:
        return "given"
    return "fits while it is needed" if in_sram else f"{n_bytes:,} bytes do not fit while it is needed"


def _buffer_bytes(trace: Trace, soc: SocSpec, capacity: int) -> int:
    """Working buffers: tiles on their way from or to DRAM, and tiles of expanded weights."""
    n_roles = 1 + any(expands(layer, soc) for layer in trace.layers)
    buffer_bytes = soc.tiles.n_buffers * kib_to_bytes(soc.tiles.tile_kib) * n_roles
    if buffer_bytes > capacity:
        raise SimulationError(
            f"{soc.name}: the working buffers take {buffer_bytes} bytes, the SRAM has {capacity}; "
            "lower tiles.tile_kib or tiles.n_buffers, or raise sram.capacity_kib"
        )
    return buffer_bytes


def activation_bytes_of(trace: Trace, soc: SocSpec) -> dict[int, int]:
    """Bytes of the network's input and of every layer's output, by index."""
    elements = {INPUT: trace.n_network_inputs} | {i: layer.n_outputs for i, layer in enumerate(trace.layers)}
    return {index: bits_to_bytes(count * soc.activation_bits) for index, count in elements.items()}


def _activations(trace: Trace, activation_bytes: dict[int, int]) -> list[_Activation]:
    candidates = []
    for producer, last in consumers(trace):
        size = activation_bytes[producer]
        if size:
            # The network's input is delivered by its producer, so it costs no write of ours.
            n_moves = sum(producer in layer.producers for layer in trace.layers) + (producer != INPUT)
            candidates.append(_Activation(producer, size, size * n_moves, max(producer, 0), max(last, 0)))
    return sorted(candidates, key=_Activation.rank)


def _keep_activations(candidates: list[_Activation], held: list[int], capacity: int) -> frozenset[int]:
    """Keep each in turn if it fits at every layer of its lifetime; `held` is updated in place."""
    kept = set()
    for candidate in candidates:
        span = range(candidate.first, candidate.last + 1)
        if all(held[step] + candidate.held_bytes <= capacity for step in span):
            for step in span:
                held[step] += candidate.held_bytes
            kept.add(candidate.index)
    return frozenset(kept)


def _keep_weights(trace: Trace, free_bytes: int) -> frozenset[int]:
    """Indices of the layers whose weights stay in SRAM; layers that read the same weights stay together."""
    held: dict[int, int] = {}
    saved: dict[int, int] = {}
    for index, layer in enumerate(trace.layers):
        owner = _owner(index, layer)
        held[owner] = held.get(owner, 0) + layer.stored_bytes
        saved[owner] = saved.get(owner, 0) + layer.n_steps * layer.read_bytes
    owners = [owner for owner, n_bytes in held.items() if n_bytes]
    ranked = sorted(owners, key=lambda owner: (-saved[owner] / held[owner], owner))
    kept = set()
    for owner in (owner for owner in ranked if saved[owner] > held[owner]):
        if held[owner] <= free_bytes:
            kept.add(owner)
            free_bytes -= held[owner]
    once = [owner for owner in owners if saved[owner] == held[owner]]
    filling = {once[place] for place in _fill([held[owner] for owner in once], free_bytes)}
    free_bytes -= sum(held[owner] for owner in filling)
    kept |= filling
    for owner in (owner for owner in ranked if 0 < saved[owner] < held[owner]):
        if held[owner] <= free_bytes:
            kept.add(owner)
            free_bytes -= held[owner]
    return frozenset(index for index, layer in enumerate(trace.layers) if _owner(index, layer) in kept)


def _fill(sizes: list[int], free_bytes: int) -> frozenset[int]:
    """The layers whose weights fill `free_bytes` best; of equal sums the one with the earlier layers.

    Exact but for rounding sizes up to GRAIN_BYTES: bit n of a mask says that n grains can be filled by the layers from
    there to the last.
    """
    grains = [ceil_div(size, GRAIN_BYTES) for size in sizes]
    capacity = (1 << (free_bytes // GRAIN_BYTES + 1)) - 1
    reachable = [1]
    for size in reversed(grains):
        reachable.append((reachable[-1] | reachable[-1] << size) & capacity)
    left, kept = reachable.pop().bit_length() - 1, set()
    for index, size in enumerate(grains):
        rest = reachable.pop()
        if 0 < size <= left and rest >> (left - size) & 1:
            kept.add(index)
            left -= size
    return frozenset(kept)


def _require_dram(
    trace: Trace,
    soc: SocSpec,
    plans: tuple[LayerPlan, ...],
    activation_bytes: dict[int, int],
    in_sram: frozenset[int],
) -> None:
    if isinstance(soc.dram, NoDram):
        moved = sum(plan.dram_read_bytes + plan.dram_write_bytes for plan in plans)
        if moved:
            raise SimulationError(
                f"{trace.network}, {trace.variant}: {soc.name} has no DRAM and {moved:,} bytes a frame do not fit its "
                "SRAM; choose a smaller variant with --variant, raise sram.capacity_kib or lower tiles"
            )
        return
    spilled = sum(activation_bytes[index] for index in spilled_together(trace, activation_bytes, in_sram))
    capacity = dram.capacity_bytes(soc.dram)
    needed = trace.file_bytes + spilled + sum(state_bytes(layer, soc) for layer in trace.layers)
    if needed > capacity:
        raise SimulationError(
            f"{trace.network}, {trace.variant}: needs {needed:,} bytes, the DRAM of {soc.name} has {capacity:,}; "
            "choose smaller variants with --variant or raise dram.capacity_mib"
        )
