"""The replay of one frame: simpy processes fetch, decode, compute and write back tiles over shared resources.

Each stage walks through the same list of tiles. A tile's data sits in a bounded number of working buffers, the DRAM
channels and the SRAM port serve one request at a time, and a layer starts when the layer before it is written back.
"""

from collections import deque
from collections.abc import Generator
from typing import Any, NamedTuple

import simpy

from dcsim.simulation.frame import (
    ARRAY,
    COMPUTE,
    DECODE,
    DECODER,
    DRAM,
    FETCH,
    RESOURCES,
    SPILL,
    SRAM,
    WRITE_BACK,
    Frame,
    Meter,
)
from dcsim.simulation.layer_plan import LayerPlan
from dcsim.simulation.placement import Placement
from dcsim.simulation.tiles import EngineCost, TileCosts, Transfer, n_steps_of, tile_costs
from dcsim.soc import dram, sram
from dcsim.soc.spec import OperatingPoint, SocSpec
from dcsim.traces.trace import INPUT
from dcsim.units import cycles_to_ps

Events = Generator[simpy.Event, Any, None]


def replay_frame(placement: Placement, soc: SocSpec, point: OperatingPoint, cold: bool) -> Frame:
    """Run one frame from an empty pipeline to its last write-back.

    Every frame begins so, with the same weights in SRAM, so that all frames but the cold one are the same.

    Args:
        cold: resident weights are loaded first.
    """
    return _Replay(placement, soc, point, cold).run()


class _Gate:
    """Counts what a process has finished; others wait until there is enough of it."""

    def __init__(self, env: simpy.Environment, count: int = 0) -> None:
        self.env, self.count = env, count
        self.opens: simpy.Event | None = None

    def advance(self) -> None:
        self.count += 1
        if self.opens is not None:
            self.opens.succeed()
            self.opens = None

    def reach(self, count: int) -> Events:
        while self.count < count:
            if self.opens is None:
                self.opens = self.env.event()
            yield self.opens


class _Turn:
    """A resource that serves one process at a time, first come first served."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env, self.taken = env, False
        self.queue: deque[simpy.Event] = deque()

    def take(self) -> Events:
        if self.taken:
            granted = self.env.event()
            self.queue.append(granted)
            yield granted
        self.taken = True

    def leave(self) -> None:
        if self.queue:
            self.queue.popleft().succeed()  # it stays taken
        else:
            self.taken = False


class _Tile(NamedTuple):
    """A tile on its way through the stages; `number` counts those of all layers."""

    number: int
    plan: LayerPlan
    costs: TileCosts
    first: bool
    last: bool

    @property
    def holds_slot(self) -> bool:
        """Whether it takes a working buffer of what is fetched, or of what is on its way to DRAM."""
        return bool(self.costs.fetch.n_bursts or self.costs.write.dram.n_bursts)


class _Replay:
    def __init__(self, placement: Placement, soc: SocSpec, point: OperatingPoint, cold: bool) -> None:
        self.soc, self.clock_hz, self.cold = soc, point.clock_hz, cold
        # the SRAM is as many cycles slow at every operating point: it shares the supply of the logic
        self.cycles_per_access = sram.cost(soc.sram, soc.clock_hz).cycles_per_access
        self.tiles: list[_Tile] = []
        for plan in placement.layers:
            costs = tile_costs(plan, soc, n_steps_of(plan))
            before, last = len(self.tiles), len(costs) - 1
            self.tiles += [_Tile(before + at, plan, cost, at == 0, at == last) for at, cost in enumerate(costs)]
        self.frame = Frame(tiles=[tile.costs for tile in self.tiles])
        self.occupancy = _Occupancy(placement, sram.capacity_bytes(soc.sram), self.frame)
        self.env = env = simpy.Environment()
        self.port, self.channel = _Turn(env), _Turn(env)
        self.channel_free_ps = -1
        self.channel_wrote = False
        self.decoding_since_ps: int | None = None
        self.fetched, self.decoded, self.computed, self.layers_done = (_Gate(env) for _ in range(4))
        # free working buffers: those there are and those given back, together
        self.fetch_slots, self.expand_slots, self.output_slots = (_Gate(env, soc.tiles.n_buffers) for _ in range(3))

    @property
    def now_ps(self) -> int:
        return int(self.env.now)  # simpy types its clock as int or float; every delay here is an int

    def run(self) -> Frame:
        for stage in (self._fetch, self._decode, self._compute, self._write):
            self.env.process(stage())
        self.env.run()
        frame = self.frame
        frame.service_ps = self.now_ps
        rests = {"decoder": "drained", "array": "drained", "dram": "no_request", "sram": "no_request"}
        for name, rest in rests.items():
            meter = frame.meters[name]
            meter.stall_ps[rest] = frame.service_ps - meter.used_ps
        return frame

    # --- stages -------------------------------------------------------------------------------------------------

    def _fetch(self) -> Events:
        n_held = 0
        for tile in self.tiles:
            plan, cost = tile.plan, tile.costs
            if plan.n_input_bytes_spilled and tile.first:
                yield from self.layers_done.reach(max(plan.layer.producers) + 1)
            if self.cold and cost.load.n_bursts:
                yield from self._transfer(tile, FETCH, cost.load)
            if tile.holds_slot:
                n_held += 1
                yield from self.fetch_slots.reach(n_held)
            if cost.fetch.n_bursts:  # or the burst of a tile before brought this one's bytes too
                yield from self._transfer(tile, FETCH, cost.fetch)
            self.fetched.advance()

    def _decode(self) -> Events:
        meter, n_held = self.frame.meters["decoder"], 0
        for number, tile in enumerate(self.tiles):
            waiting_ps = self.now_ps
            yield from self.fetched.reach(number + 1)
            waiting_ps = self._stalled(meter, "weights", waiting_ps)
            if tile.plan.decodes:
                n_held += 1
                yield from self.expand_slots.reach(n_held)
                self.decoding_since_ps = self._stalled(meter, "buffer", waiting_ps)
                yield from self._work(tile, DECODE, DECODER, tile.costs.decode)
                self.decoding_since_ps = None
                if tile.holds_slot and not tile.plan.output_spilled:
                    self.fetch_slots.advance()
            self.decoded.advance()

    def _compute(self) -> Events:
        meter = self.frame.meters["array"]
        for number, tile in enumerate(self.tiles):
            plan = tile.plan
            waiting_ps, decoded_ps = self.now_ps, self._decoded_ps()
            yield from self.decoded.reach(number + 1)
            decode_ps = self._decoded_ps() - decoded_ps
            meter.stall_ps["decode"] += decode_ps
            waiting_ps = self._stalled(meter, "weights", waiting_ps + decode_ps)
            if tile.first:  # in order, or the outputs of two layers would need room that the placement gives to one
                yield from self.layers_done.reach(plan.index)
            waiting_ps = self._stalled(meter, "inputs", waiting_ps)
            yield from self.output_slots.reach(number + 1)
            begun_ps = self._stalled(meter, "write_back", waiting_ps)
            if tile.first:
                self.frame.compute_start_ps[plan.index] = begun_ps
                self.occupancy.start(plan, begun_ps)
            yield from self._work(tile, COMPUTE, ARRAY, tile.costs.compute)
            if tile.last:
                self.frame.compute_end_ps[plan.index] = self.now_ps
            if plan.decodes:
                self.expand_slots.advance()
            elif tile.holds_slot and not plan.output_spilled:
                self.fetch_slots.advance()
            self.computed.advance()

    def _write(self) -> Events:
        for number, tile in enumerate(self.tiles):
            yield from self.computed.reach(number + 1)
            plan, cost = tile.plan, tile.costs.write
            yield from self._use_port(tile, WRITE_BACK, 0, cost.n_sram_writes)
            if cost.dram.n_bursts:
                yield from self._transfer(tile, SPILL, cost.dram)
            if tile.holds_slot and plan.output_spilled:  # outputs on their way to DRAM are staged where the tile lay
                self.fetch_slots.advance()
            self.output_slots.advance()
            if tile.last:
                self.occupancy.end(plan, self.now_ps)
                self.layers_done.advance()

    # --- resources ----------------------------------------------------------------------------------------------

    def _work(self, tile: _Tile, action: int, engine: int, cost: EngineCost) -> Events:
        """An engine works while its operands pass the SRAM port; the slower of the two decides."""
        component, index, counts = RESOURCES[engine], tile.plan.index, self.frame.counts
        meter, start_ps = self.frame.meters[component], self.now_ps
        engine_ps = cycles_to_ps(cost.n_cycles, self.clock_hz)
        yield from self._use_port(tile, action, cost.n_sram_reads, cost.n_sram_writes)
        end_ps = start_ps + engine_ps
        late_ps = self.now_ps - end_ps
        if late_ps < 0:
            yield self.env.timeout(-late_ps)
        meter.busy_ps += engine_ps
        meter.stall_ps["sram"] += max(late_ps, 0)
        self.frame.spans.append((action, engine, tile.number, start_ps, end_ps))
        for event, count in cost.events.items():
            counts[index, component, event] += count

    def _use_port(self, tile: _Tile, action: int, n_reads: int, n_writes: int) -> Events:
        n_accesses, frame = n_reads + n_writes, self.frame
        if not n_accesses:
            return
        port_ps = cycles_to_ps(n_accesses * self.cycles_per_access, self.clock_hz)
        if port_ps:
            yield from self.port.take()
            yield self.env.timeout(port_ps)
            self.port.leave()
            frame.meters["sram"].busy_ps += port_ps
        now_ps = self.now_ps
        frame.spans.append((action, SRAM, tile.number, now_ps - port_ps, now_ps))
        index, counts = tile.plan.index, frame.counts
        if n_reads:
            counts[index, "sram", "read"] += n_reads
        if n_writes:
            counts[index, "sram", "write"] += n_writes

    def _transfer(self, tile: _Tile, action: int, cost: Transfer) -> Events:
        """A tile comes from DRAM, or goes there; the slower of channels and SRAM port decides."""
        meter, frame, writes = self.frame.meters["dram"], self.frame, action == SPILL
        n_sram_reads, n_sram_writes = (cost.n_sram_accesses, 0) if writes else (0, cost.n_sram_accesses)
        yield from self.channel.take()
        start_ps = self.now_ps
        idle = self.soc.idle.dram if frame.dram_window_ps is None else None
        streaming = start_ps == self.channel_free_ps
        latency_ps = 0 if streaming else dram.first_access_ps(self.soc.dram, idle)
        n_turnarounds = int(streaming and self.channel_wrote and not writes)
        transfer_ps = dram.transfer_ps(self.soc.dram, cost.n_bursts, cost.n_rows, n_turnarounds)
        yield from self._use_port(tile, action, n_sram_reads, n_sram_writes)
        moves_ps, end_ps = start_ps + latency_ps, start_ps + latency_ps + transfer_ps
        late_ps = self.now_ps - end_ps
        if late_ps < 0:
            yield self.env.timeout(-late_ps)
        now_ps = end_ps + max(late_ps, 0)
        meter.busy_ps += transfer_ps
        meter.stall_ps["latency"] += latency_ps
        meter.stall_ps["sram"] += now_ps - end_ps
        first_ps = start_ps if frame.dram_window_ps is None else frame.dram_window_ps[0]
        frame.dram_window_ps = (first_ps, now_ps)
        frame.spans.append((action, DRAM, tile.number, moves_ps, end_ps))
        frame.channel_ps.append((start_ps, now_ps))
        self.channel_free_ps, self.channel_wrote = now_ps, writes
        self.channel.leave()
        index, counts = tile.plan.index, frame.counts
        counts[index, "dram", "write" if writes else "read"] += cost.n_bursts
        counts[index, "dram", "activate"] += cost.n_rows
        counts[index, "dram_io", "transfer"] += cost.n_bursts

    def _stalled(self, meter: Meter, cause: str, since_ps: int) -> int:
        """Nothing was done since then; the time now."""
        now_ps = self.now_ps
        meter.stall_ps[cause] += now_ps - since_ps
        return now_ps

    def _decoded_ps(self) -> int:
        """Time the decoder has worked so far, waiting for the SRAM included."""
        meter, since_ps = self.frame.meters["decoder"], self.decoding_since_ps
        return meter.busy_ps + meter.stall_ps["sram"] + (0 if since_ps is None else self.now_ps - since_ps)


class _Occupancy:
    """What the SRAM holds at each instant. It is a fault of dcsim if that is ever more than there is."""

    def __init__(self, placement: Placement, capacity_bytes: int, frame: Frame) -> None:
        self.capacity_bytes, self.frame = capacity_bytes, frame
        self.held_bytes = placement.buffer_bytes + placement.resident_bytes
        self.kept = placement.activations_in_sram
        self.sizes = placement.activation_bytes
        self.ends_with = placement.last_consumers
        self._hold(self.sizes[INPUT] if INPUT in self.kept else 0, 0)

    def start(self, plan: LayerPlan, now_ps: int) -> None:
        """A layer begins: room for its output, and for weights while a spilled input passes by."""
        self._hold((self.sizes[plan.index] if plan.index in self.kept else 0) + plan.chunk_bytes, now_ps)

    def end(self, plan: LayerPlan, now_ps: int) -> None:
        """A layer is written back: what it was the last one to need is let go."""
        ended = (self.sizes[index] for index in self.ends_with[plan.index] if index in self.kept)
        self._hold(-plan.chunk_bytes - sum(ended), now_ps)

    def _hold(self, n_bytes: int, now_ps: int) -> None:
        self.held_bytes += n_bytes
        self.frame.held.append((now_ps, self.held_bytes))
        self.frame.peak_sram_bytes = max(self.frame.peak_sram_bytes, self.held_bytes)
        if self.held_bytes > self.capacity_bytes:
            raise AssertionError(f"the SRAM would hold {self.held_bytes} bytes of {self.capacity_bytes}")
