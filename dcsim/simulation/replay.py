"""The replay: simpy processes fetch, decode, compute and write back tiles over shared resources.

Each stage walks through the same list of tiles. A tile's data sits in a bounded number of working buffers, the DRAM
channel and the SRAM port serve one request at a time, and a layer starts when the layers it reads are written back.
Frames arrive at the target rate and are served one at a time; weights that are resident stay in SRAM between them.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy

from dcsim.errors import SimulationError
from dcsim.simulation.energy import frame_ledger
from dcsim.simulation.frame import Frame, Meter
from dcsim.simulation.placement import LayerPlan, Placement, place
from dcsim.simulation.result import LayerUse, ResourceUse, RunResult
from dcsim.simulation.tiles import TileCosts, Transfer, tile_costs
from dcsim.soc import dram, sram
from dcsim.soc.ledger import LedgerRow
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import INPUT, Trace
from dcsim.units import cycles_to_ps, ps_to_s, s_to_ps

LEAST_FPS = 1e-6
N_FRAMES = 4  # cold, then until two in a row agree; the schedule is periodic from the second on
Events = Generator[simpy.Event, Any, None]


def simulate(trace: Trace, soc: SocSpec | str = "mobile45", fps: float = 20) -> RunResult:
    """Replay `trace` on `soc` with inferences arriving at `fps` per second.

    Args:
        soc: a chip, or the name or path of its YAML.

    Raises:
        SimulationError: fps is not a positive number, or the network does not fit the SoC's memories.
    """
    require_fps(fps)
    if not trace.layers:
        raise SimulationError(f"{trace.network}: the trace has no layers, so there is nothing to simulate")
    soc = load_soc(soc) if isinstance(soc, str) else soc
    placement = place(trace, soc)
    replay = _Replay(placement, soc, s_to_ps(trace.batch / fps))
    replay.run()
    return _result(trace, soc, fps, placement, replay)


def require_fps(fps: float) -> None:
    """Refuse a frame rate that is not a positive number, or less than a frame a fortnight. Raises SimulationError."""
    if not LEAST_FPS <= fps < float("inf"):
        raise SimulationError(f"fps must be a positive number of at least {LEAST_FPS:g}, found {fps:g}")


@dataclass
class _Tile:
    """A tile on its way through the stages, and the buffer slots it holds."""

    plan: LayerPlan
    costs: TileCosts
    first: bool
    last: bool
    slot: simpy.Container | None = None
    expand_slot: simpy.Container | None = None


class _Replay:
    def __init__(self, placement: Placement, soc: SocSpec, period_ps: int) -> None:
        self.placement, self.soc, self.period_ps = placement, soc, period_ps
        self.sram_cost = sram.cost(soc.sram, soc.clock_hz)
        self.tiles = [(plan, tile_costs(plan, soc)) for plan in placement.layers]
        self.frames: list[Frame] = []
        self.env = simpy.Environment()
        self.port = simpy.Resource(self.env)
        self.channel = simpy.Resource(self.env)
        self.channel_free_ps = -1
        self.channel_wrote = False

    @property
    def now_ps(self) -> int:
        return int(self.env.now)  # simpy types its clock as int or float; every delay here is an int

    def run(self) -> None:
        self.env.process(self._frames())
        self.env.run()

    def _frames(self) -> Events:
        for number in range(N_FRAMES):
            arrival_ps = number * self.period_ps
            if self.now_ps < arrival_ps:
                yield self.env.timeout(arrival_ps - self.now_ps)
            yield from self._frame(Frame(self.now_ps))
            if number > 1 and self.frames[-1].service_ps == self.frames[-2].service_ps:
                return

    def _frame(self, frame: Frame) -> Events:
        env, n_buffers = self.env, self.soc.tiles.n_buffers
        self.frame = frame
        self.cold = not self.frames
        self.done = {plan.index: env.event() for plan in self.placement.layers}
        self.done[INPUT] = env.event()
        self.done[INPUT].succeed()
        self.fetched, self.decoded, self.computed = simpy.Store(env), simpy.Store(env), simpy.Store(env)
        self.fetch_slots, self.expand_slots, self.output_slots = (
            simpy.Container(env, capacity=n_buffers, init=n_buffers) for _ in range(3)
        )
        yield env.all_of([env.process(stage()) for stage in (self._fetch, self._decode, self._compute, self._write)])
        frame.end_ps = self.now_ps
        rests = {"decoder": "drained", "array": "drained", "dram": "no_request", "sram": "no_request"}
        for name, rest in rests.items():
            meter = frame.meters[name]
            meter.stall_ps[rest] = frame.service_ps - meter.used_ps
        self.frames.append(frame)

    # --- stages -------------------------------------------------------------------------------------------------

    def _fetch(self) -> Events:
        for plan, costs in self.tiles:
            for number, cost in enumerate(costs):
                tile = _Tile(plan, cost, number == 0, number == len(costs) - 1)
                if plan.n_input_bytes_spilled and tile.first:
                    yield from self._wait_inputs(plan)
                if plan.weights_resident and self.cold:
                    yield from self._dram_read(plan, cost.load)
                if cost.fetch.n_bytes or cost.write.dram.n_bytes:
                    tile.slot = self.fetch_slots
                    yield self.fetch_slots.get(1)
                if cost.fetch.n_bytes:
                    yield from self._dram_read(plan, cost.fetch)
                yield self.fetched.put(tile)

    def _decode(self) -> Events:
        meter = self.frame.meters["decoder"]
        for _ in range(self._n_tiles()):
            waiting_ps = self.now_ps
            tile: _Tile = yield self.fetched.get()
            self._stalled(meter, "weights", waiting_ps)
            if tile.plan.decodes:
                waiting_ps = self.now_ps
                yield self.expand_slots.get(1)
                self._stalled(meter, "buffer", waiting_ps)
                cost = tile.costs.decode
                yield from self._work(meter, cost.n_cycles, cost.n_sram_reads + cost.n_sram_writes)
                self._count_sram(tile.plan, cost.n_sram_reads, cost.n_sram_writes)
                for event, count in cost.events.items():
                    self.frame.counts[tile.plan.index, "decoder", event] += count
                if not tile.plan.output_spilled:
                    yield from self._release(tile)
                tile.expand_slot = self.expand_slots
            yield self.decoded.put(tile)

    def _compute(self) -> Events:
        meter = self.frame.meters["array"]
        for _ in range(self._n_tiles()):
            waiting_ps = self.now_ps
            tile: _Tile = yield self.decoded.get()
            self._stalled(meter, "weights", waiting_ps)
            waiting_ps = self.now_ps
            if tile.first:
                yield from self._wait_inputs(tile.plan)
            self._stalled(meter, "inputs", waiting_ps)
            waiting_ps = self.now_ps
            yield self.output_slots.get(1)
            self._stalled(meter, "write_back", waiting_ps)
            if tile.first:
                self.frame.compute_start_ps[tile.plan.index] = self.now_ps
            cost = tile.costs.compute
            yield from self._work(meter, cost.n_cycles, cost.n_sram_reads)
            self._count_sram(tile.plan, cost.n_sram_reads, 0)
            for event, count in cost.events.items():
                self.frame.counts[tile.plan.index, "array", event] += count
            self.frame.compute_end_ps[tile.plan.index] = self.now_ps
            if tile.expand_slot is not None:
                yield tile.expand_slot.put(1)
            if not tile.plan.output_spilled:  # outputs on their way to DRAM are staged where the tile lay
                yield from self._release(tile)
            yield self.computed.put(tile)

    def _write(self) -> Events:
        for _ in range(self._n_tiles()):
            tile: _Tile = yield self.computed.get()
            cost = tile.costs.write
            yield from self._use_port(cost.n_sram_writes)
            self._count_sram(tile.plan, 0, cost.n_sram_writes)
            if cost.dram.n_bytes:
                yield from self._dram_write(tile.plan, cost.dram)
            yield from self._release(tile)
            yield self.output_slots.put(1)
            if tile.last:
                self.done[tile.plan.index].succeed()

    # --- resources ----------------------------------------------------------------------------------------------

    def _n_tiles(self) -> int:
        return sum(len(costs) for _, costs in self.tiles)

    def _wait_inputs(self, plan: LayerPlan) -> Events:
        for producer in plan.layer.producers:
            yield self.done[producer]

    def _release(self, tile: _Tile) -> Events:
        if tile.slot is not None:
            yield tile.slot.put(1)
            tile.slot = None

    def _work(self, meter: Meter, n_cycles: int, n_port_accesses: int) -> Events:
        """An engine works `n_cycles` while its operands pass the SRAM port; the slower of the two decides."""
        start_ps = self.now_ps
        engine_ps = cycles_to_ps(n_cycles, self.soc.clock_hz)
        port = self.env.process(self._use_port(n_port_accesses))
        yield self.env.timeout(engine_ps)
        yield port
        meter.busy_ps += engine_ps
        meter.stall_ps["sram"] += self.now_ps - start_ps - engine_ps

    def _use_port(self, n_accesses: int) -> Events:
        port_ps = cycles_to_ps(n_accesses * self.sram_cost.cycles_per_access, self.soc.clock_hz)
        if port_ps:
            with self.port.request() as granted:
                yield granted
                yield self.env.timeout(port_ps)
            self.frame.meters["sram"].busy_ps += port_ps

    def _dram_read(self, plan: LayerPlan, cost: Transfer) -> Events:
        yield from self._use_channel(cost, wrote=False, n_port_accesses=cost.n_sram_accesses)
        self._count_sram(plan, 0, cost.n_sram_accesses)
        self._count_dram(plan, "read", cost)

    def _dram_write(self, plan: LayerPlan, cost: Transfer) -> Events:
        yield from self._use_channel(cost, wrote=True, n_port_accesses=cost.n_sram_accesses)
        self._count_sram(plan, cost.n_sram_accesses, 0)
        self._count_dram(plan, "write", cost)

    def _use_channel(self, cost: Transfer, wrote: bool, n_port_accesses: int) -> Events:
        meter = self.frame.meters["dram"]
        with self.channel.request() as granted:
            yield granted
            start_ps = self.now_ps
            asleep = self.frame.dram_window_ps is None
            streaming = start_ps == self.channel_free_ps
            latency_ps = 0 if streaming else dram.first_access_ps(self.soc.dram, asleep)
            n_turnarounds = int(streaming and self.channel_wrote and not wrote)
            transfer_ps = dram.transfer_ps(self.soc.dram, cost.n_bursts, cost.n_rows, n_turnarounds)
            port = self.env.process(self._use_port(n_port_accesses))
            yield self.env.timeout(latency_ps + transfer_ps)
            yield port
            now_ps = self.now_ps
            meter.busy_ps += transfer_ps
            meter.stall_ps["latency"] += latency_ps
            meter.stall_ps["sram"] += now_ps - start_ps - latency_ps - transfer_ps
            first_ps = start_ps if self.frame.dram_window_ps is None else self.frame.dram_window_ps[0]
            self.frame.dram_window_ps = (first_ps, now_ps)
            self.channel_free_ps, self.channel_wrote = now_ps, wrote

    def _stalled(self, meter: Meter, cause: str, since_ps: int) -> None:
        meter.stall_ps[cause] += self.now_ps - since_ps

    def _count_sram(self, plan: LayerPlan, n_reads: int, n_writes: int) -> None:
        self.frame.counts[plan.index, "sram", "read"] += n_reads
        self.frame.counts[plan.index, "sram", "write"] += n_writes

    def _count_dram(self, plan: LayerPlan, action: str, cost: Transfer) -> None:
        self.frame.counts[plan.index, "dram", action] += cost.n_bursts
        self.frame.counts[plan.index, "dram", "activate"] += cost.n_rows


def _result(trace: Trace, soc: SocSpec, fps: float, placement: Placement, replay: _Replay) -> RunResult:
    steady = replay.frames[-1]
    period_ps = max(replay.period_ps, steady.service_ps)
    sustainable = steady.service_ps <= replay.period_ps
    return RunResult(
        network=trace.network,
        variant=trace.variant,
        soc=soc.name,
        fps=fps,
        batch=trace.batch,
        synthetic=trace.synthetic,
        file_bytes=trace.file_bytes,
        file_sha256=trace.file_sha256,
        compression_ratio=trace.compression_ratio,
        test_error=trace.test_error,
        dram_bytes_per_frame=placement.dram_bytes_per_frame,
        ledger=_ledger(soc, placement, steady, period_ps),
        period_ps=period_ps,
        service_ps=steady.service_ps,
        cold_service_ps=replay.frames[0].service_ps,
        latency_s=ps_to_s(steady.service_ps) if sustainable else None,  # periodic frames that do not queue
        resources=tuple(
            ResourceUse(name, meter.busy_ps, dict(meter.stall_ps), period_ps - steady.service_ps)
            for name, meter in steady.meters.items()
        ),
        layers=tuple(_layer_use(plan, steady) for plan in placement.layers),
        resident_bytes=placement.resident_bytes,
        peak_sram_bytes=placement.peak_bytes,
    )


def _layer_use(plan: LayerPlan, frame: Frame) -> LayerUse:
    return LayerUse(
        layer=plan.layer.name,
        start_s=ps_to_s(frame.compute_start_ps[plan.index] - frame.start_ps),
        end_s=ps_to_s(frame.compute_end_ps[plan.index] - frame.start_ps),
        n_tiles=plan.n_tiles,
        weights_resident=plan.weights_resident,
        dram_read_bytes=plan.dram_read_bytes,
        dram_write_bytes=plan.dram_write_bytes,
    )


def _ledger(soc: SocSpec, placement: Placement, frame: Frame, period_ps: int) -> tuple[LedgerRow, ...]:
    first_ps, last_ps = frame.dram_window_ps or (0, 0)
    channel = frame.meters["dram"]
    return frame_ledger(
        soc,
        [plan.layer.name for plan in placement.layers],
        frame.counts,
        period_ps=period_ps,
        dram_awake_ps=last_ps - first_ps,
        dram_active_ps=channel.used_ps - channel.stall_ps["no_request"],
    )
