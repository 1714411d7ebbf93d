"""The compiled pipeline: what it is given, the counts of every layer and the speeds of a chip, and one frame of it."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.simulation import pipeline_tables as columns
from dcsim.simulation.frame import Frame
from dcsim.simulation.layer_plan import LayerPlan
from dcsim.simulation.pipeline_kernels import run_points
from dcsim.simulation.placement import Placement
from dcsim.simulation.tiles import frame_counts, n_steps_of, tile_costs
from dcsim.soc import dram, sram
from dcsim.soc.decoder import Decoder
from dcsim.soc.dram_spec import BankedDram, ConstantDram, Idle
from dcsim.soc.spec import IdealDecoder, OperatingPoint, SocSpec
from dcsim.units import PS_PER_S, cycles_to_ps

Ints = npt.NDArray[np.int64]


class DramSpeed(NamedTuple):
    """`dram.transfer_ps` and `dram.first_access_ps` as numbers [ps]."""

    burst_ps: float
    row_ps: float
    read_ps: float
    n_channels: int
    turn_ps: float
    wake_ps: int
    open_ps: int


def dram_speed(memory: dram.Dram, idle: Idle) -> DramSpeed:
    """How long a burst, a row and so on take the channels of a DRAM."""
    wake_ps, open_ps = dram.first_access_ps(memory, idle), dram.first_access_ps(memory, None)
    if isinstance(memory, BankedDram):
        t = memory.timing
        ps = t.tck_ps / (1 - t.refresh_cycles / t.trefi_cycles)
        in_flight = memory.n_outstanding
        return DramSpeed(
            burst_ps=t.burst_cycles * ps,
            row_ps=max(t.trrd_cycles, t.tfaw_cycles / 4) * ps,
            read_ps=(t.cl_cycles + t.burst_cycles + 2) / in_flight * ps if in_flight else 0.0,
            n_channels=memory.n_channels,
            turn_ps=(t.cl_cycles + 2 + t.twtr_cycles) * ps,
            wake_ps=wake_ps,
            open_ps=open_ps,
        )
    bandwidth = memory.bandwidth_bytes_per_s if isinstance(memory, ConstantDram) else None
    burst_ps = dram.access_bytes(memory) * PS_PER_S / bandwidth if bandwidth else 0.0
    return DramSpeed(burst_ps, 0.0, 0.0, 1, 0.0, wake_ps, open_ps)


def speeds(
    clock_hz: npt.NDArray[Any], port_cycles: npt.NDArray[Any], memory: npt.NDArray[Any], coder: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Columns of the kernel, one row a point. Shape (n_points, N_RATES).

    Args:
        clock_hz, port_cycles: shape (n_points,).
        memory: (n_points, 7), rows of DramSpeed.
        coder: (n_points, 3), rows of `decoder_speed`.
    """
    return np.column_stack([clock_hz, port_cycles, memory, coder]).astype(np.float64)


def decoder_speed(coder: Decoder) -> tuple[float, float, int]:
    """(symbols per cycle, bits per cycle, lanes) of a decoder; 0 where it takes no time."""
    if isinstance(coder, IdealDecoder):
        return (0.0, 0.0, 1)
    return (coder.symbols_per_cycle, coder.bits_per_cycle, coder.lanes)


def analytic_frame(placement: Placement, soc: SocSpec, point: OperatingPoint, cold: bool) -> Frame:
    """What `replay_frame` finds, by closed form: the same counts; times as if all tiles of a layer were the same.

    Stalls are not told apart, and a layer begins when the one before it ends.
    """
    layers = pipeline_layers(placement, soc)
    cycles_per_access = sram.cost(soc.sram, soc.clock_hz).cycles_per_access
    rates = speeds(
        np.array([point.clock_hz]),
        np.array([cycles_per_access]),
        np.array([dram_speed(soc.dram, soc.idle.dram)]),
        np.array([decoder_speed(soc.decoder)]),
    )
    times, ends_ps = run_points(layers, soc.tiles.n_buffers, rates, cold, skips=True)
    service_ps, awake_ps, active_ps, busy_ps = (int(time_ps) for time_ps in times[0])
    frame = Frame(service_ps=service_ps, dram_window_ps=(0, awake_ps) if active_ps else None)
    totals = {"decoder": 0, "array": 0, "sram": 0}
    for plan, end_ps in zip(placement.layers, ends_ps.tolist(), strict=True):
        (cost,) = tile_costs(plan, soc, 1)
        counts = frame_counts(cost)
        frame.counts |= {(plan.index, *event): count for event, count in counts.items()}
        frame.compute_start_ps[plan.index] = frame.compute_end_ps.get(plan.index - 1, 0)
        frame.compute_end_ps[plan.index] = end_ps
        totals["decoder"] += cost.decode.n_cycles
        totals["array"] += cost.compute.n_cycles
        totals["sram"] += (counts["sram", "read"] + counts["sram", "write"]) * cycles_per_access
    for name, n_cycles in totals.items():
        # tiles are rounded one by one, so that together they may be some picoseconds short of the whole
        frame.meters[name].busy_ps = min(cycles_to_ps(n_cycles, point.clock_hz), service_ps)
    frame.meters["dram"].busy_ps = busy_ps
    frame.meters["dram"].stall_ps["latency"] = active_ps - busy_ps
    for name, meter in frame.meters.items():
        meter.stall_ps["no_request" if name == "dram" else "waiting"] = service_ps - meter.used_ps
    return frame


def pipeline_layers(placement: Placement, soc: SocSpec) -> Ints:
    """Counts of every layer as the kernel takes them. Shape (n_layers, N_COLUMNS)."""
    return np.array([_row(plan, soc) for plan in placement.layers], np.int64)


def _row(plan: LayerPlan, soc: SocSpec) -> list[int]:
    (cost,) = tile_costs(plan, soc, 1)
    fetch, decode, compute, write = cost.fetch, cost.decode, cost.compute, cost.write
    row = [0] * columns.N_COLUMNS
    streams = list(plan.layer.decoded_streams().values()) if plan.decodes else []
    values = {
        columns.N_STEPS: n_steps_of(plan),
        columns.DECODES: plan.decodes,
        columns.SPILLS_OUTPUT: plan.output_spilled,
        columns.WAITS_FOR: max(plan.layer.producers) + 1 if plan.n_input_bytes_spilled else 0,
        columns.FETCH_BURSTS: fetch.n_bursts,
        columns.FETCH_ROWS: fetch.n_rows,
        columns.FETCH_ACCESSES: fetch.n_sram_accesses,
        columns.WRITE_BURSTS: write.dram.n_bursts,
        columns.WRITE_ROWS: write.dram.n_rows,
        columns.WRITE_ACCESSES: write.dram.n_sram_accesses,
        columns.LOAD_BURSTS: cost.load.n_bursts,
        columns.LOAD_ROWS: cost.load.n_rows,
        columns.LOAD_ACCESSES: cost.load.n_sram_accesses,
        columns.DECODE_ACCESSES: decode.n_sram_reads + decode.n_sram_writes,
        columns.DECODE_PASSES: plan.n_decode_passes,
        columns.COMPUTE_CYCLES: compute.n_cycles,
        columns.COMPUTE_ACCESSES: compute.n_sram_reads + compute.n_sram_writes,
        columns.OUTPUT_ACCESSES: write.n_sram_writes,
        columns.N_STREAMS: len(streams),
    }
    for place, (n_symbols, n_bits) in enumerate(streams):
        values[columns.STREAM_SYMBOLS + place] = n_symbols
        values[columns.STREAM_BITS + place] = n_bits
    for column, value in values.items():
        row[column] = int(value)
    return row
