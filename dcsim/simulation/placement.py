"""What stays in SRAM, what is spilled, how layers are tiled: decided before the replay, deterministically.

Objective: fewest DRAM bytes per steady-state frame. Working buffers come first, then tensors by
DRAM bytes saved per byte held over their lifetime; ties by layer order. That puts activations before weights, which are
held at all times. Weights read more than once a frame (recurrent steps, tied layers) come first, by reads; of those
read once, the set of layers is chosen that fills what is left best; tables of which a frame reads some rows come last.
Weights are resident per whole layer or not at all, in stored form. What the network keeps from frame to frame (a KV
cache) lies in DRAM.
"""

from dataclasses import dataclass

from dcsim.errors import SimulationError
from dcsim.soc import decoder, dram, pe_array, sram
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import INPUT, OWN, POSITIONS, Layer, Trace, consumers
from dcsim.units import FP32_BITS, bits_to_bytes, ceil_div, kib_to_bytes

GRAIN_BYTES = 64


@dataclass(frozen=True)
class LayerPlan:
    """How one layer runs in one frame: all integer counts of its dynamic ledger follow from this.

    Attributes:
        weights_resident: the stored weights stay in SRAM across frames.
        decodes: stored weights pass the decoder.
        n_decode_passes: how often they do: once a step, and once a fold of pixels where the array takes entries
            straight from there.
        expanded_bits: dense operands that the decoder writes into the working buffer; 0 where the array skips zeros.
        n_tiles: parts in which fetch, decode, compute and write-back overlap.
        n_input_passes: how often a spilled input is read from DRAM.
        n_input_bytes_spilled: bytes of its input that lie in DRAM.
        output_spilled: its output goes to DRAM.
        chunk_bytes: SRAM left free that holds weights while a spilled input passes by.
        state_read_bytes, state_write_bytes: what lies in DRAM from frame to frame.
    """

    index: int
    layer: Layer
    weights_resident: bool
    decodes: bool
    n_decode_passes: int
    n_tiles: int
    n_input_passes: int
    n_input_bytes_spilled: int
    output_spilled: bool
    chunk_bytes: int
    work: pe_array.ArrayWork
    decode: decoder.DecodeWork
    expanded_bits: int
    output_bytes: int
    state_read_bytes: int
    state_write_bytes: int

    @property
    def dram_read_bytes(self) -> int:
        """Bytes read from DRAM in a steady-state frame."""
        return (
            self.n_weight_passes * self.weight_dram_bytes
            + self.n_input_passes * self.n_input_bytes_spilled
            + self.state_read_bytes
        )

    @property
    def weight_dram_bytes(self) -> int:
        """Bytes of weights that one pass reads from DRAM."""
        return 0 if self.weights_resident else self.layer.read_bytes

    @property
    def n_weight_passes(self) -> int:
        """Passes over the weights in one frame: a step of a recurrent layer needs them all again."""
        return self.layer.n_steps

    @property
    def dram_write_bytes(self) -> int:
        return (self.output_bytes if self.output_spilled else 0) + self.state_write_bytes


@dataclass(frozen=True)
class Placement:
    """The plan of a whole network on a SoC.

    Attributes:
        layers: in execution order.
        buffer_bytes: working buffers, held all the time.
        resident_bytes: stored weights held across frames.
        peak_bytes: most SRAM held at any layer.
        activations_in_sram: producer index of every activation that stays on chip; -1 is the network's input.
    """

    layers: tuple[LayerPlan, ...]
    buffer_bytes: int
    resident_bytes: int
    peak_bytes: int
    activations_in_sram: frozenset[int]

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
    """Decide what stays on chip and how layers are tiled.

    Raises:
        SimulationError: the network does not fit into DRAM, or the working buffers not into SRAM.
    """
    capacity = sram.capacity_bytes(soc.sram)
    buffer_bytes = _buffer_bytes(trace, soc, capacity)
    activation_bytes = _activation_bytes(trace, soc)
    held = [buffer_bytes] * len(trace.layers)
    in_sram = _keep_activations(_activations(trace, activation_bytes), held, capacity)
    resident = _keep_weights(trace, capacity - max(held))
    resident_bytes = sum(trace.layers[index].stored_bytes for index in resident)
    held = [n_bytes + resident_bytes for n_bytes in held]
    plans = tuple(
        _plan_layer(index, layer, soc, index in resident, in_sram, activation_bytes, capacity - held[index])
        for index, layer in enumerate(trace.layers)
    )
    _require_dram(trace, soc, activation_bytes, in_sram)
    peak_bytes = max(n_bytes + plan.chunk_bytes for n_bytes, plan in zip(held, plans, strict=True))
    return Placement(plans, buffer_bytes, resident_bytes, peak_bytes, in_sram)


def _buffer_bytes(trace: Trace, soc: SocSpec, capacity: int) -> int:
    """Working buffers: tiles on their way from or to DRAM, and tiles of expanded weights."""
    n_roles = 1 + any(_expands(layer, soc) for layer in trace.layers)
    buffer_bytes = soc.tiles.n_buffers * kib_to_bytes(soc.tiles.tile_kib) * n_roles
    if buffer_bytes > capacity:
        raise SimulationError(
            f"{soc.name}: the working buffers take {buffer_bytes} bytes, the SRAM has {capacity}; "
            "lower tiles.tile_kib or tiles.n_buffers, or raise sram.capacity_kib"
        )
    return buffer_bytes


def _activation_bytes(trace: Trace, soc: SocSpec) -> dict[int, int]:
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
        owner = index if layer.weights_of == OWN else layer.weights_of
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
    return frozenset(
        index
        for index, layer in enumerate(trace.layers)
        if (index if layer.weights_of == OWN else layer.weights_of) in kept
    )


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


def _plan_layer(
    index: int,
    layer: Layer,
    soc: SocSpec,
    resident: bool,
    in_sram: frozenset[int],
    activation_bytes: dict[int, int],
    free_bytes: int,
) -> LayerPlan:
    decodes = _decodes(layer, soc)
    skips = decodes and not _expands(layer, soc)
    n_operands = layer.n_outputs if layer.reads_table else layer.n_weights
    dense_bits = n_operands * soc.array.operand_bits
    operand_bytes = layer.read_bytes if skips else bits_to_bytes(dense_bits)
    tile_bytes = kib_to_bytes(soc.tiles.tile_kib)
    spilled = sum(activation_bytes[p] for p in layer.producers if p not in in_sram)
    spilled = min(spilled, bits_to_bytes(layer.n_inputs * soc.activation_bits))  # it may read a slice of what was made
    output_bytes = activation_bytes[index]
    output_spilled = index not in in_sram
    # Weights are held in chunks as large as the SRAM left free; a spilled input is read once per chunk.
    held_whole = resident and (skips or not decodes)
    n_chunks = 1 if held_whole or not spilled else ceil_div(operand_bytes, max(free_bytes, tile_bytes))
    n_input_passes = max(1, n_chunks)
    state_read_bytes = bits_to_bytes(layer.n_state_inputs * soc.activation_bits)
    state_write_bytes = bits_to_bytes(layer.n_state_outputs * soc.activation_bits)
    fetched_bytes = layer.n_steps * layer.read_bytes * (not resident) + n_input_passes * spilled + state_read_bytes
    return LayerPlan(
        index=index,
        layer=layer,
        weights_resident=resident,
        decodes=decodes,
        n_decode_passes=layer.n_steps * (ceil_div(layer.m, soc.array.lanes_pixel) if skips else 1),
        n_tiles=max(1, ceil_div(max(operand_bytes, fetched_bytes, output_bytes * output_spilled), tile_bytes)),
        n_input_passes=n_input_passes,
        n_input_bytes_spilled=spilled,
        output_spilled=output_spilled,
        chunk_bytes=min(free_bytes, operand_bytes) if spilled and not held_whole else 0,
        work=_array_work(layer, soc, skips),
        decode=_decode_work(layer) if decodes else decoder.DecodeWork((), 0, 0, 0),
        expanded_bits=layer.n_steps * dense_bits if decodes and not skips else 0,
        output_bytes=output_bytes,
        state_read_bytes=state_read_bytes,
        state_write_bytes=state_write_bytes,
    )


def _decodes(layer: Layer, soc: SocSpec) -> bool:
    """Whether stored weights pass the decoder: all but those that lie there in the array's own format."""
    return layer.encoding is not None and not (layer.encoding == "fp32" and soc.array.operand_bits == FP32_BITS)


def _expands(layer: Layer, soc: SocSpec) -> bool:
    """Whether the decoder writes dense operands into a working buffer, because the array cannot take stored entries."""
    return _decodes(layer, soc) and not (layer.has_positions and soc.array.skip_zeros == "weights")


def _array_work(layer: Layer, soc: SocSpec, skips: bool) -> pe_array.ArrayWork:
    array, activation_bits = soc.array, soc.activation_bits
    if not layer.has_gemm:
        n_read = layer.n_inputs + (layer.n_outputs if layer.reads_table else 0)
        return pe_array.elementwise_work(array, layer.n_alu_ops, n_read, activation_bits)
    if skips:
        step = pe_array.sparse_gemm_work(
            array, layer.n_groups, layer.m, layer.k, layer.n_entries, layer.n_weights_nonzero, activation_bits
        )
    else:
        weight_bits = array.operand_bits if layer.n_weights else activation_bits
        step = pe_array.gemm_work(array, layer.n_groups, layer.m, layer.n, layer.k, activation_bits, weight_bits)
    return step.times(layer.n_steps).followed_by(pe_array.elementwise_work(array, layer.n_alu_ops, 0, activation_bits))


def _decode_work(layer: Layer) -> decoder.DecodeWork:
    coded = layer.decoded_streams()
    n_entropy = sum(n for n, _ in coded.values()) if layer.encoding == "huffman" else 0
    return decoder.DecodeWork(
        streams=tuple(coded.values()),
        n_entropy_symbols=n_entropy,
        n_lookups=layer.streams().get("codes", (0, 0))[0],
        n_gaps=sum(coded.get(name, (0, 0))[0] for name in POSITIONS),
    )


def _require_dram(trace: Trace, soc: SocSpec, activation_bytes: dict[int, int], in_sram: frozenset[int]) -> None:
    spilled = sum(size for index, size in activation_bytes.items() if index not in in_sram)
    capacity = dram.capacity_bytes(soc.dram)
    needed = trace.file_bytes + spilled
    if needed > capacity:
        raise SimulationError(
            f"{trace.network}, {trace.variant}: needs {needed:,} bytes, the DRAM of {soc.name} has {capacity:,}; "
            "choose smaller variants with --variant or raise dram.capacity_mib"
        )
