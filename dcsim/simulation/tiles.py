"""A layer's integer counts, cut into tiles so that every count adds up exactly again.

A layer of very many tiles is replayed in at most MAX_STEPS groups of consecutive tiles: it keeps the replay of a
network of 10^9 weights short, and shifts the fill of the pipeline by less than 1 / MAX_STEPS of the layer's time.
"""

from dataclasses import dataclass

from dcsim.simulation.placement import LayerPlan
from dcsim.soc import decoder, dram, sram
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Layer
from dcsim.units import bytes_to_bits, share

MAX_STEPS = 256


@dataclass(frozen=True)
class Transfer:
    """A tile's way between DRAM and SRAM."""

    n_bytes: int
    n_bursts: int
    n_rows: int
    n_sram_accesses: int


@dataclass(frozen=True)
class EngineCost:
    """A tile in the decoder or in the array: cycles, accesses to the SRAM, counted events."""

    n_cycles: int
    n_sram_reads: int
    n_sram_writes: int
    events: dict[str, int]


@dataclass(frozen=True)
class WriteCost:
    """A tile's outputs: into SRAM, and on to DRAM when they are spilled."""

    n_sram_writes: int
    dram: Transfer


@dataclass(frozen=True)
class TileCosts:
    """One tile in all stages. `load` brings resident weights into SRAM, in the cold frame only."""

    load: Transfer
    fetch: Transfer
    decode: EngineCost
    compute: EngineCost
    write: WriteCost


def tile_costs(plan: LayerPlan, soc: SocSpec) -> list[TileCosts]:
    """The costs of every tile of a layer in order; each count sums to the layer's total exactly."""
    n_steps = min(plan.n_tiles, MAX_STEPS)
    layer = plan.layer
    side_bits = 0 if plan.decodes else layer.n_steps * (bytes_to_bits(layer.read_bytes) - _values_bits(layer))
    n_operand_reads = sum(
        sram.n_accesses(soc.sram, n_bits)
        for n_bits in (plan.work.weight_read_bits, plan.work.activation_read_bits, side_bits)
    )
    macs, alu_ops = plan.work.n_macs, plan.work.n_alu_ops
    events = {"mac": macs, "alu": alu_ops, "register": macs * soc.array.register_accesses_per_mac}
    n_output_writes = sram.n_accesses(soc.sram, bytes_to_bits(plan.output_bytes))
    loaded = layer.stored_bytes if plan.weights_resident else 0
    return [
        TileCosts(
            load=_transfer(soc, (loaded,), step, n_steps),
            fetch=_transfer(soc, _fetched_regions(plan), step, n_steps),
            decode=_decode_cost(plan, soc, step, n_steps),
            compute=EngineCost(
                n_cycles=share(plan.work.n_cycles, step, n_steps),
                n_sram_reads=share(n_operand_reads, step, n_steps),
                n_sram_writes=0,
                events={event: share(count, step, n_steps) for event, count in events.items()},
            ),
            write=WriteCost(
                n_sram_writes=share(n_output_writes, step, n_steps),
                dram=_transfer(soc, (plan.dram_write_bytes,), step, n_steps),
            ),
        )
        for step in range(n_steps)
    ]


def _values_bits(layer: Layer) -> int:
    """Bits of the weights themselves in a layer that is read as it lies; the rest are biases."""
    return next((block.n_bits for block in layer.blocks if block.stream == "values"), 0)


def _fetched_regions(plan: LayerPlan) -> tuple[int, ...]:
    """Contiguous regions read from DRAM each frame: weights and the spilled input once per pass, and kept state."""
    weights, inputs = plan.weight_dram_bytes, plan.n_input_bytes_spilled
    return (*[weights] * plan.n_weight_passes, *[inputs] * plan.n_input_passes, plan.state_read_bytes)


def _transfer(soc: SocSpec, regions: tuple[int, ...], step: int, n_steps: int) -> Transfer:
    n_bytes = sum(regions)
    return Transfer(
        n_bytes=share(n_bytes, step, n_steps),
        n_bursts=share(sum(dram.n_accesses(soc.dram, region) for region in regions), step, n_steps),
        n_rows=share(sum(dram.n_activates(soc.dram, region) for region in regions), step, n_steps),
        n_sram_accesses=share(sram.n_accesses(soc.sram, bytes_to_bits(n_bytes)), step, n_steps),
    )


def _decode_cost(plan: LayerPlan, soc: SocSpec, step: int, n_steps: int) -> EngineCost:
    if not plan.decodes:
        return EngineCost(0, 0, 0, {})
    layer, work, n_passes = plan.layer, plan.decode, plan.n_decode_passes
    events = {"entropy_symbol": work.n_entropy_symbols, "lookup": work.n_lookups, "gap": work.n_gaps}
    parts = tuple(_stream_part(layer, stream, step, n_steps) for stream in layer.decoded_streams())
    tile_work = decoder.DecodeWork(parts, 0, 0, 0)
    return EngineCost(
        n_cycles=n_passes * decoder.decode_cycles(soc.decoder, tile_work),
        n_sram_reads=share(n_passes * sram.n_accesses(soc.sram, bytes_to_bits(layer.read_bytes)), step, n_steps),
        n_sram_writes=share(sram.n_accesses(soc.sram, plan.expanded_bits), step, n_steps),
        events={event: share(n_passes * count, step, n_steps) for event, count in events.items()},
    )


def _stream_part(layer: Layer, stream: str, step: int, n_steps: int) -> tuple[int, int]:
    """(n_symbols, n_bits) of one tile's share of a stream, its bits by the actual lengths of the blocks it meets."""
    blocks = [block for block in layer.blocks if block.stream == stream]
    n_symbols = sum(block.n_symbols for block in blocks)

    def bits_before(symbol: int) -> int:
        n_bits = first = 0
        for block in blocks:
            inside = min(max(symbol - first, 0), block.n_symbols)
            n_bits += block.n_bits * inside // block.n_symbols if block.n_symbols else 0
            first += block.n_symbols
        return n_bits

    start, end = n_symbols * step // n_steps, n_symbols * (step + 1) // n_steps
    return end - start, bits_before(end) - bits_before(start)
