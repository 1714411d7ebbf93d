"""The pipeline of `replay`, compiled: the same processes, queues and order of events, with tiles of equal size.

Within a layer all tiles cost the same, so that the pipeline soon repeats itself. When everything stands as it stood one
or two tiles before, whole repetitions are skipped: what is left to do is closed form in the number of tiles.
numba keeps compiled code while this file is unchanged: touch it after changes to `pipeline_steps` or `pipeline_tables`.
"""

import numpy as np
import numpy.typing as npt

from dcsim.simulation.pipeline_steps import step, transfer_ps
from dcsim.simulation.pipeline_tables import (
    ACTIVE_PS,
    BEGINS,
    BITS_PER_CYCLE,
    BUSY_PS,
    CHANNEL_FREE_PS,
    CHANNEL_QUEUED,
    CHANNEL_TAKEN,
    CHANNEL_WROTE,
    CLOCK_HZ,
    COMPUTE_ACCESSES,
    COMPUTE_CYCLES,
    DECODE_ACCESSES,
    DECODE_PASSES,
    DRAM_ACTIVE_PS,
    DRAM_AWAKE_PS,
    DRAM_BUSY_PS,
    ENDED,
    EXPAND_SLOTS,
    EXPANSIONS_HELD,
    FETCH_ACCESSES,
    FETCH_BURSTS,
    FETCH_ROWS,
    FETCH_SLOTS,
    FETCHES_HELD,
    FEWEST_TO_SKIP,
    FIRST_USE_PS,
    GATE,
    LANES,
    LAST_USE_PS,
    LAYER,
    LOAD_ACCESSES,
    LOAD_BURSTS,
    LOAD_ROWS,
    N_GATES,
    N_PROCESSES,
    N_REGISTERS,
    N_RESULTS,
    N_SHARED,
    N_STEPS,
    N_STREAMS,
    N_TILE,
    NEEDED,
    NEXT_SEQUENCE,
    NOW_PS,
    NUMBER,
    OUTPUT_ACCESSES,
    OUTPUT_SLOTS,
    PHASE,
    PORT_CYCLES,
    PORT_QUEUED,
    PORT_TAKEN,
    RUNS,
    SEQUENCE,
    SERVICE_PS,
    START_PS,
    STATUS,
    STEP,
    STREAM_BITS,
    STREAM_SYMBOLS,
    SUB,
    SYMBOLS_PER_CYCLE,
    T_COMPUTE,
    T_COMPUTE_PORT,
    T_DECODE,
    T_DECODE_PORT,
    T_FETCH,
    T_FETCH_PORT,
    T_LOAD,
    T_LOAD_PORT,
    T_OUTPUT_PORT,
    T_UNEVEN,
    T_WRITE,
    T_WRITE_PORT,
    UNTIL_PS,
    WAITS,
    WAKE_AT_PS,
    WRITE,
    WRITE_ACCESSES,
    WRITE_BURSTS,
    WRITE_ROWS,
    compiled,
)
from dcsim.units import PS_PER_S

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@compiled
def _mean_transfer_ps(n_bursts, n_rows, n_tiles, rates, point):  # type: ignore[no-untyped-def]
    """Of a tile, some of which have a burst more than others. See `dram.transfer_ps`; without a turnaround."""
    fewer, rows = n_bursts // n_tiles, n_rows / n_tiles
    part = n_bursts / n_tiles - fewer
    return (1 - part) * transfer_ps(fewer, rows, rates, point) + part * transfer_ps(fewer + 1, rows, rates, point)


@compiled
def _decode_cycles(layers, layer, rates, point):  # type: ignore[no-untyped-def]
    """Of one tile: see `decoder.decode_cycles`."""
    n_streams, symbols_per_cycle = layers[layer, N_STREAMS], rates[point, SYMBOLS_PER_CYCLE]
    if n_streams == 0 or symbols_per_cycle == 0:
        return 0.0
    total = longest = 0.0
    for stream in range(n_streams):
        n_symbols = layers[layer, STREAM_SYMBOLS + stream] / layers[layer, N_STEPS]
        n_bits = layers[layer, STREAM_BITS + stream] / layers[layer, N_STEPS]
        cycles = max(np.ceil(n_symbols / symbols_per_cycle), np.ceil(n_bits / rates[point, BITS_PER_CYCLE]))
        total += cycles
        longest = max(longest, cycles)
    lanes_each = rates[point, LANES] // n_streams
    cycles = np.ceil(longest / lanes_each) if lanes_each > 0 else np.ceil(total / rates[point, LANES])
    return cycles * layers[layer, DECODE_PASSES]


@compiled
def _fill_tiles(layers, rates, point, tiles):  # type: ignore[no-untyped-def]
    """Durations of one tile of every layer."""
    cycle_ps = PS_PER_S / rates[point, CLOCK_HZ]
    access_ps = rates[point, PORT_CYCLES] * cycle_ps
    for i in range(layers.shape[0]):
        n = layers[i, N_STEPS]
        tiles[i, T_FETCH] = round(_mean_transfer_ps(layers[i, FETCH_BURSTS], layers[i, FETCH_ROWS], n, rates, point))
        tiles[i, T_FETCH_PORT] = round(layers[i, FETCH_ACCESSES] * access_ps / min(n, max(1, layers[i, FETCH_BURSTS])))
        tiles[i, T_DECODE] = round(_decode_cycles(layers, i, rates, point) * cycle_ps)
        tiles[i, T_DECODE_PORT] = round(layers[i, DECODE_ACCESSES] * access_ps / n)
        tiles[i, T_COMPUTE] = round(layers[i, COMPUTE_CYCLES] * cycle_ps / n)
        tiles[i, T_COMPUTE_PORT] = round(layers[i, COMPUTE_ACCESSES] * access_ps / n)
        tiles[i, T_OUTPUT_PORT] = round(layers[i, OUTPUT_ACCESSES] * access_ps / n)
        tiles[i, T_WRITE] = round(_mean_transfer_ps(layers[i, WRITE_BURSTS], layers[i, WRITE_ROWS], n, rates, point))
        tiles[i, T_WRITE_PORT] = round(layers[i, WRITE_ACCESSES] * access_ps / min(n, max(1, layers[i, WRITE_BURSTS])))
        tiles[i, T_LOAD] = round(_mean_transfer_ps(layers[i, LOAD_BURSTS], layers[i, LOAD_ROWS], n, rates, point))
        tiles[i, T_LOAD_PORT] = round(layers[i, LOAD_ACCESSES] * access_ps / min(n, max(1, layers[i, LOAD_BURSTS])))
        tiles[i, T_UNEVEN] = (
            0 < layers[i, FETCH_BURSTS] < n or 0 < layers[i, WRITE_BURSTS] < n or 0 < layers[i, LOAD_BURSTS] < n
        )


@compiled
def _stands_alike(state, old, back):  # type: ignore[no-untyped-def]
    """Whether the pipeline stands as it stood: processes at the same points, the same times away from there.

    A process that has run ahead of this layer, and waits for nothing that happens in it, does not count.
    """
    (processes, gates, queues, shared), (old_processes, old_gates, old_queues, old_shared) = state, old
    moved_ps = shared[NOW_PS] - old_shared[back, NOW_PS]
    moved = processes[WRITE, NUMBER] - old_processes[back, WRITE, NUMBER]
    for p in range(N_PROCESSES):
        for register in (STATUS, PHASE, SUB):
            if processes[p, register] != old_processes[back, p, register]:
                return False
        gate = processes[p, GATE]
        if processes[p, NUMBER] == old_processes[back, p, NUMBER]:
            waits = processes[p, STATUS] == WAITS and gates[gate] == old_gates[back, gate]
            if processes[p, STATUS] == ENDED or waits:
                continue
            return False
        if processes[p, NUMBER] - old_processes[back, p, NUMBER] != moved:
            return False
        if processes[p, LAYER] != processes[WRITE, LAYER]:
            return False
        if processes[p, STATUS] == RUNS and processes[p, WAKE_AT_PS] - old_processes[back, p, WAKE_AT_PS] != moved_ps:
            return False
        if processes[p, SUB] > BEGINS and processes[p, UNTIL_PS] - old_processes[back, p, UNTIL_PS] != moved_ps:
            return False
    for register in (PORT_TAKEN, CHANNEL_TAKEN, PORT_QUEUED, CHANNEL_QUEUED, CHANNEL_WROTE):
        if shared[register] != old_shared[back, register]:
            return False
    for resource in range(2):
        for place in range(shared[PORT_QUEUED + resource]):
            if queues[resource, place] != old_queues[back, resource, place]:
                return False
    streams = shared[CHANNEL_FREE_PS] == shared[NOW_PS]
    return streams == (old_shared[back, CHANNEL_FREE_PS] == old_shared[back, NOW_PS])


@compiled
def _skip(layers, state, old, back):  # type: ignore[no-untyped-def]
    """Repeat what happened since then as often as the layer has whole repetitions left for every process."""
    (processes, gates, _, shared), (old_processes, old_gates, _, old_shared) = state, old
    furthest = 0
    for p in range(N_PROCESSES):
        if processes[p, NUMBER] != old_processes[back, p, NUMBER]:
            furthest = max(furthest, processes[p, STEP])
    moved = processes[WRITE, NUMBER] - old_processes[back, WRITE, NUMBER]
    times = (layers[processes[WRITE, LAYER], N_STEPS] - 1 - furthest) // moved - 1
    if times <= 0:
        return
    moved_ps = times * (shared[NOW_PS] - old_shared[back, NOW_PS])
    for p in range(N_PROCESSES):
        if processes[p, NUMBER] == old_processes[back, p, NUMBER]:
            continue
        if processes[p, STATUS] == WAITS:
            gate = processes[p, GATE]
            processes[p, NEEDED] += times * (gates[gate] - old_gates[back, gate])
        processes[p, STEP] += times * moved
        processes[p, NUMBER] += times * moved
        for register in (WAKE_AT_PS, START_PS, UNTIL_PS):
            processes[p, register] += moved_ps
    used_channel = shared[LAST_USE_PS] != old_shared[back, LAST_USE_PS]
    for gate in range(N_GATES):
        gates[gate] += times * (gates[gate] - old_gates[back, gate])
    for register in (ACTIVE_PS, BUSY_PS, FETCHES_HELD, EXPANSIONS_HELD):
        shared[register] += times * (shared[register] - old_shared[back, register])
    shared[NOW_PS] += moved_ps
    if used_channel:
        shared[CHANNEL_FREE_PS] += moved_ps
        shared[LAST_USE_PS] += moved_ps


@compiled
def _next_process(processes):  # type: ignore[no-untyped-def]
    """Whose event is next; -1 when all have ended."""
    best = -1
    for p in range(N_PROCESSES):
        if processes[p, STATUS] == RUNS and (
            best < 0
            or processes[p, WAKE_AT_PS] < processes[best, WAKE_AT_PS]
            or (
                processes[p, WAKE_AT_PS] == processes[best, WAKE_AT_PS]
                and processes[p, SEQUENCE] < processes[best, SEQUENCE]
            )
        ):
            best = p
    return best


@compiled
def _run(layers, tiles, cold, n_buffers, rates, point, skips, ends_ps, state, old):  # type: ignore[no-untyped-def]
    """One frame from an empty pipeline. `old_*` is how it stood one and two tiles ago, the later one at `newest`."""
    (processes, gates, queues, shared), (old_processes, old_gates, old_queues, old_shared) = state, old
    processes[:, :] = 0
    gates[:] = 0
    shared[:] = 0
    gates[FETCH_SLOTS] = gates[EXPAND_SLOTS] = gates[OUTPUT_SLOTS] = n_buffers
    shared[CHANNEL_FREE_PS] = shared[FIRST_USE_PS] = -1
    shared[NEXT_SEQUENCE] = N_PROCESSES
    for p in range(N_PROCESSES):
        processes[p, SEQUENCE] = p
    known_layer, n_known, newest = -1, 0, 0
    while True:
        best = _next_process(processes)
        if best < 0:
            return
        shared[NOW_PS] = processes[best, WAKE_AT_PS]
        while step(best, layers, tiles, cold, processes, gates, queues, shared, rates, point):
            layer = processes[WRITE, LAYER]
            if processes[WRITE, STEP] == 0:
                ends_ps[layer - 1] = shared[NOW_PS]
                continue
            if not skips or tiles[layer, T_UNEVEN] or layers[layer, N_STEPS] < FEWEST_TO_SKIP:
                continue
            if layer != known_layer:
                known_layer, n_known = layer, 0
            alike = -1
            for age in range(min(n_known, 2)):
                back = (newest + age) % 2
                if alike < 0 and _stands_alike(state, old, back):
                    alike = back
            if alike >= 0:
                _skip(layers, state, old, alike)
                n_known = 0
                continue
            newest = 1 - newest
            for p in range(N_PROCESSES):
                for register in range(N_REGISTERS):
                    old_processes[newest, p, register] = processes[p, register]
                for resource in range(2):
                    old_queues[newest, resource, p] = queues[resource, p]
            for gate in range(N_GATES):
                old_gates[newest, gate] = gates[gate]
            for register in range(N_SHARED):
                old_shared[newest, register] = shared[register]
            n_known += 1


@compiled
def _run_points(layers, n_buffers, rates, cold, skips, results, ends_ps, tiles, state, old):  # type: ignore[no-untyped-def]
    shared = state[-1]
    for point in range(rates.shape[0]):
        _fill_tiles(layers, rates, point, tiles)
        _run(layers, tiles, cold, n_buffers, rates, point, skips, ends_ps, state, old)
        results[point, SERVICE_PS] = shared[NOW_PS]
        results[point, DRAM_AWAKE_PS] = shared[LAST_USE_PS] - shared[FIRST_USE_PS] if shared[FIRST_USE_PS] >= 0 else 0
        results[point, DRAM_ACTIVE_PS] = shared[ACTIVE_PS]
        results[point, DRAM_BUSY_PS] = shared[BUSY_PS]


def run_points(layers: Ints, n_buffers: int, rates: Floats, cold: bool, skips: bool) -> tuple[Ints, Ints]:
    """One frame at each design point.

    Args:
        layers: (n_layers, N_COLUMNS) int64.
        n_buffers: working buffers of each kind.
        rates: (n_points, N_RATES) float64.
        cold: resident weights are loaded first.
        skips: whole repetitions are skipped.

    Returns:
        Times of every point, (n_points, N_RESULTS) int64, and when each layer was written back at the last point,
        (n_layers,) int64 [ps].
    """
    results, ends_ps = np.zeros((len(rates), N_RESULTS), np.int64), np.zeros(len(layers), np.int64)
    shapes = ((N_PROCESSES, N_REGISTERS), (N_GATES,), (2, N_PROCESSES), (N_SHARED,))
    state = tuple(np.zeros(shape, np.int64) for shape in shapes)
    old = tuple(np.zeros((2, *shape), np.int64) for shape in shapes)
    tiles = np.zeros((len(layers), N_TILE), np.int64)
    _run_points(layers, n_buffers, rates, cold, skips, results, ends_ps, tiles, state, old)
    return results, ends_ps
