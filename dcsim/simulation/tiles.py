"""A layer's integer counts, cut into tiles so that every count adds up exactly again.

A layer of very many tiles is replayed in at most MAX_STEPS groups of consecutive tiles: it keeps the replay of a
network of 10^9 weights short, and shifts the fill of the pipeline by less than 1 / MAX_STEPS of the layer's time.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from dcsim.simulation.layer_plan import LayerPlan
from dcsim.soc import decoder, dram, pe_array, sram
from dcsim.soc.array_spec import SparseArray
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Layer
from dcsim.units import bytes_to_bits, shares

MAX_STEPS = 128


class Transfer(NamedTuple):
    """A tile's way between DRAM and SRAM."""

    n_bytes: int
    n_bursts: int
    n_rows: int
    n_sram_accesses: int


class EngineCost(NamedTuple):
    """A tile in the decoder or in the array: cycles, accesses to the SRAM, counted events."""

    n_cycles: int
    n_sram_reads: int
    n_sram_writes: int
    events: dict[str, int]


class WriteCost(NamedTuple):
    """A tile's outputs: into SRAM, and on to DRAM when they are spilled."""

    n_sram_writes: int
    dram: Transfer


class TileCosts(NamedTuple):
    """One tile in all stages. `load` brings resident weights into SRAM, in the cold frame only."""

    load: Transfer
    fetch: Transfer
    decode: EngineCost
    compute: EngineCost
    write: WriteCost


def n_steps_of(plan: LayerPlan) -> int:
    """Parts in which a layer is replayed."""
    return min(plan.n_tiles, MAX_STEPS)


def tile_costs(plan: LayerPlan, soc: SocSpec, n_steps: int) -> list[TileCosts]:
    """A layer cut into `n_steps`, in order; each count sums to the layer's total exactly."""
    loaded = plan.layer.stored_bytes if plan.weights_resident else 0
    written = _transfers(soc, (plan.dram_write_bytes,), n_steps)
    n_output_writes = shares(sram.n_accesses(soc.sram, bytes_to_bits(plan.output_bytes)), n_steps)
    stages = zip(
        _transfers(soc, (loaded,), n_steps),
        _transfers(soc, _fetched_regions(plan), n_steps),
        _decode_costs(plan, soc, n_steps),
        _compute_costs(plan, soc, n_steps),
        map(WriteCost, n_output_writes, written),
        strict=True,
    )
    return [TileCosts(*costs) for costs in stages]


def frame_counts(cost: TileCosts) -> dict[tuple[str, str], int]:
    """Events of a steady-state frame by component and action; of a layer that is one tile, all of them."""
    fetch, decode, compute, write = cost.fetch, cost.decode, cost.compute, cost.write
    counts = {
        ("dram", "read"): fetch.n_bursts,
        ("dram", "write"): write.dram.n_bursts,
        ("dram", "activate"): fetch.n_rows + write.dram.n_rows,
        ("dram_io", "transfer"): fetch.n_bursts + write.dram.n_bursts,
        ("sram", "read"): decode.n_sram_reads + compute.n_sram_reads + write.dram.n_sram_accesses,
        ("sram", "write"): fetch.n_sram_accesses + decode.n_sram_writes + compute.n_sram_writes + write.n_sram_writes,
    }
    counts |= {("array", event): count for event, count in compute.events.items()}
    return counts | {("decoder", event): count for event, count in decode.events.items()}


def _fetched_regions(plan: LayerPlan) -> tuple[int, ...]:
    """Contiguous regions read from DRAM each frame: weights and the spilled input once per pass, and kept state."""
    weights, inputs = plan.weight_dram_bytes, plan.n_input_bytes_spilled
    return (*[weights] * plan.n_weight_passes, *[inputs] * plan.n_input_passes, plan.state_read_bytes)


def _transfers(soc: SocSpec, regions: tuple[int, ...], n_steps: int) -> list[Transfer]:
    n_bytes = sum(regions)
    counts = (
        n_bytes,
        sum(dram.n_accesses(soc.dram, region) for region in regions),
        sum(dram.n_activates(soc.dram, region) for region in regions),
        sram.n_accesses(soc.sram, bytes_to_bits(n_bytes)),
    )
    n_bursts = counts[1]
    if not 0 < n_bursts < n_steps:
        return [Transfer(*parts) for parts in zip(*(shares(count, n_steps) for count in counts), strict=True)]
    # a tile without a burst of its own moves nothing: its bytes came with another's
    moving = iter(zip(*(shares(count, n_bursts) for count in counts), strict=True))
    return [Transfer(*next(moving)) if has else Transfer(0, 0, 0, 0) for has in shares(n_bursts, n_steps)]


def _compute_costs(plan: LayerPlan, soc: SocSpec, n_steps: int) -> list[EngineCost]:
    layer, work = plan.layer, plan.work
    side_bits = 0 if plan.decodes else layer.n_steps * (bytes_to_bits(layer.read_bytes) - _values_bits(layer))
    read_bits = (work.weight_read_bits, work.activation_read_bits, work.partial_read_bits, side_bits)
    return _engine_costs(
        shares(work.n_cycles, n_steps),
        sum(sram.n_accesses(soc.sram, n_bits) for n_bits in read_bits),
        sram.n_accesses(soc.sram, work.partial_write_bits),
        pe_array.event_counts(soc.array, work),
    )


def _decode_costs(plan: LayerPlan, soc: SocSpec, n_steps: int) -> list[EngineCost]:
    if not plan.decodes:
        return [EngineCost(0, 0, 0, {})] * n_steps
    layer, work, n_passes = plan.layer, plan.decode, plan.n_decode_passes
    streams = [_stream_parts(layer, stream, n_steps) for stream in layer.decoded_streams()]
    tiles = zip(*streams, strict=True) if streams else [()] * n_steps
    # PEs with memories of their own read entries there, as events of the array
    in_pes = isinstance(soc.array, SparseArray) and not plan.expanded_bits
    events = {"entropy_symbol": work.n_entropy_symbols, "lookup": work.n_lookups, "gap": work.n_gaps}
    return _engine_costs(
        [n_passes * decoder.decode_cycles(soc.decoder, decoder.DecodeWork(tile, 0, 0, 0)) for tile in tiles],
        0 if in_pes else n_passes * sram.n_accesses(soc.sram, bytes_to_bits(layer.read_bytes)),
        sram.n_accesses(soc.sram, plan.expanded_bits),
        {event: n_passes * count for event, count in events.items()},
    )


def _engine_costs(n_cycles: list[int], n_reads: int, n_writes: int, events: dict[str, int]) -> list[EngineCost]:
    n_steps = len(n_cycles)
    parts = zip(*(shares(count, n_steps) for count in events.values()), strict=True)
    counted = [dict(zip(events, part, strict=True)) for part in parts]
    return list(map(EngineCost, n_cycles, shares(n_reads, n_steps), shares(n_writes, n_steps), counted))


def _values_bits(layer: Layer) -> int:
    """Bits of the weights themselves in a layer that is read as it lies; the rest are biases."""
    return next((block.n_bits for block in layer.blocks if block.stream == "values"), 0)


def _stream_parts(layer: Layer, stream: str, n_steps: int) -> list[tuple[int, int]]:
    """(n_symbols, n_bits) of each tile's share of a stream, its bits by the actual lengths of the blocks it meets."""
    blocks = [block for block in layer.blocks if block.stream == stream and block.n_symbols]
    first_symbols = [0, *accumulate(block.n_symbols for block in blocks)]
    first_bits = [0, *accumulate(block.n_bits for block in blocks)]

    def bits_before(symbol: int) -> int:
        place = bisect_right(first_symbols, symbol) - 1
        if place == len(blocks):
            return first_bits[-1]
        block = blocks[place]
        return first_bits[place] + block.n_bits * (symbol - first_symbols[place]) // block.n_symbols

    bounds = [first_symbols[-1] * step // n_steps for step in range(n_steps + 1)]
    bits = [bits_before(symbol) for symbol in bounds]
    return [(bounds[i + 1] - bounds[i], bits[i + 1] - bits[i]) for i in range(n_steps)]
