"""The pipeline of `replay`, compiled: the same processes, queues and order of events, with tiles of equal size.

Within a layer all tiles cost the same, so that the pipeline soon repeats itself. When everything stands as it stood one
or two tiles before, whole repetitions are skipped: what is left to do is closed form in the number of tiles.
"""

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Reference counts of arrays would take half of the time: all memory belongs to the caller.
compiled = numba.njit(cache=True, error_model="numpy", _nrt=False)
inlined = numba.njit(cache=True, error_model="numpy", _nrt=False, inline="always")

# columns of `layers`, shape (n_layers, N_COLUMNS), int64: counts of a whole layer
(
    N_STEPS,
    DECODES,
    SPILLS_OUTPUT,
    WAITS_FOR,  # layers that must be written back before fetching starts: it reads a spilled input
    FETCH_BYTES,
    FETCH_BURSTS,
    FETCH_ROWS,
    FETCH_ACCESSES,
    WRITE_BYTES,
    WRITE_BURSTS,
    WRITE_ROWS,
    WRITE_ACCESSES,
    LOAD_BURSTS,
    LOAD_ROWS,
    LOAD_ACCESSES,
    DECODE_ACCESSES,
    DECODE_PASSES,
    COMPUTE_CYCLES,
    COMPUTE_ACCESSES,
    OUTPUT_ACCESSES,
    N_STREAMS,
) = range(21)
MAX_STREAMS = 4
STREAM_SYMBOLS = N_STREAMS + 1  # so many columns
STREAM_BITS = STREAM_SYMBOLS + MAX_STREAMS  # and so many
N_COLUMNS = STREAM_BITS + MAX_STREAMS

# columns of `rates`, shape (n_points, N_RATES), float64
(
    CLOCK_HZ,
    PORT_CYCLES,
    BURST_PS,  # of one channel, refresh included
    ROW_PS,
    READ_PS,  # of a read with those in flight at most, refresh included
    N_CHANNELS,
    TURN_PS,
    WAKE_PS,  # latency of the first access of a frame
    OPEN_PS,  # latency after a pause
    SYMBOLS_PER_CYCLE,  # 0: the decoder takes no time
    BITS_PER_CYCLE,
    LANES,
    N_RATES,
) = range(13)

# columns of the result, int64
SERVICE_PS, DRAM_AWAKE_PS, DRAM_ACTIVE_PS, DRAM_BUSY_PS, N_RESULTS = range(5)

FETCH, DECODE, COMPUTE, WRITE, N_PROCESSES = range(5)
RUNS, WAITS, QUEUES, ENDED = range(4)
PORT, CHANNEL = range(2)
# gates, in the order of `replay`
FETCHED, DECODED, COMPUTED, LAYERS_DONE, FETCH_SLOTS, EXPAND_SLOTS, OUTPUT_SLOTS, N_GATES = range(8)
PS_PER_S = 1e12


@compiled
def _transfer_ps(n_bursts, n_rows, rates, point):  # type: ignore[no-untyped-def]
    """Without a turnaround: see `dram.transfer_ps`."""
    n_channels = rates[point, N_CHANNELS]
    bursts_ps = np.ceil(n_bursts / n_channels) * rates[point, BURST_PS]
    rows_ps = np.ceil(n_rows / n_channels) * rates[point, ROW_PS]
    return max(bursts_ps, rows_ps, n_bursts * rates[point, READ_PS])


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


# what one tile of a layer takes, int64: durations [ps] and flags
(
    T_FETCH,
    T_FETCH_PORT,
    T_DECODE,
    T_DECODE_PORT,
    T_COMPUTE,
    T_COMPUTE_PORT,
    T_OUTPUT_PORT,
    T_WRITE,
    T_WRITE_PORT,
    T_LOAD,
    T_LOAD_PORT,
    T_HOLDS_SLOT,
    N_TILE,
) = range(13)


@compiled
def _fill_tiles(layers, rates, point, tiles):  # type: ignore[no-untyped-def]
    """Durations of one tile of every layer."""
    cycle_ps = PS_PER_S / rates[point, CLOCK_HZ]
    access_ps = rates[point, PORT_CYCLES] * cycle_ps
    for i in range(layers.shape[0]):
        n = layers[i, N_STEPS]
        tiles[i, T_FETCH] = round(_transfer_ps(layers[i, FETCH_BURSTS], layers[i, FETCH_ROWS], rates, point) / n)
        tiles[i, T_FETCH_PORT] = round(layers[i, FETCH_ACCESSES] * access_ps / n)
        tiles[i, T_DECODE] = round(_decode_cycles(layers, i, rates, point) * cycle_ps)
        tiles[i, T_DECODE_PORT] = round(layers[i, DECODE_ACCESSES] * access_ps / n)
        tiles[i, T_COMPUTE] = round(layers[i, COMPUTE_CYCLES] * cycle_ps / n)
        tiles[i, T_COMPUTE_PORT] = round(layers[i, COMPUTE_ACCESSES] * access_ps / n)
        tiles[i, T_OUTPUT_PORT] = round(layers[i, OUTPUT_ACCESSES] * access_ps / n)
        tiles[i, T_WRITE] = round(_transfer_ps(layers[i, WRITE_BURSTS], layers[i, WRITE_ROWS], rates, point) / n)
        tiles[i, T_WRITE_PORT] = round(layers[i, WRITE_ACCESSES] * access_ps / n)
        tiles[i, T_LOAD] = round(_transfer_ps(layers[i, LOAD_BURSTS], layers[i, LOAD_ROWS], rates, point) / n)
        tiles[i, T_LOAD_PORT] = round(layers[i, LOAD_ACCESSES] * access_ps / n)
        tiles[i, T_HOLDS_SLOT] = layers[i, FETCH_BYTES] > 0 or layers[i, WRITE_BYTES] > 0


# registers of a process, int64
(
    STATUS,
    WAKE_AT_PS,
    SEQUENCE,  # of events at one instant, the one that was caused first comes first
    PHASE,
    SUB,
    LAYER,
    STEP,
    NUMBER,  # of the tile in the frame
    START_PS,
    UNTIL_PS,
    GATE,
    NEEDED,
    N_REGISTERS,
) = range(13)
ASKS_FOR_CHANNEL, BEGINS, ASKS_FOR_PORT, HOLDS_PORT, LEAVES_PORT, ENDS = range(6)
LAST_PHASE = 4  # in which a stage is done with its tile
FEWEST_TO_SKIP = 6

# registers of what is shared, int64
(
    NOW_PS,
    NEXT_SEQUENCE,
    PORT_TAKEN,
    CHANNEL_TAKEN,
    PORT_QUEUED,
    CHANNEL_QUEUED,
    CHANNEL_FREE_PS,
    CHANNEL_WROTE,
    FIRST_USE_PS,
    LAST_USE_PS,
    ACTIVE_PS,
    BUSY_PS,
    FETCHES_HELD,
    EXPANSIONS_HELD,
    N_SHARED,
) = range(15)


@inlined
def _wake(p, processes, shared):  # type: ignore[no-untyped-def]
    processes[p, STATUS] = RUNS
    processes[p, WAKE_AT_PS] = shared[NOW_PS]
    processes[p, SEQUENCE] = shared[NEXT_SEQUENCE]
    shared[NEXT_SEQUENCE] += 1


@inlined
def _sleep_until(p, processes, shared, time_ps):  # type: ignore[no-untyped-def]
    processes[p, WAKE_AT_PS] = time_ps
    processes[p, SEQUENCE] = shared[NEXT_SEQUENCE]
    shared[NEXT_SEQUENCE] += 1


@inlined
def _advance(gate, processes, gates, shared):  # type: ignore[no-untyped-def]
    gates[gate] += 1
    for p in range(N_PROCESSES):
        if processes[p, STATUS] == WAITS and processes[p, GATE] == gate and gates[gate] >= processes[p, NEEDED]:
            _wake(p, processes, shared)


@inlined
def _takes(p, resource, processes, queues, shared):  # type: ignore[no-untyped-def]
    """Take the port or the channel, or line up for it."""
    if shared[PORT_TAKEN + resource]:
        queues[resource, shared[PORT_QUEUED + resource]] = p
        shared[PORT_QUEUED + resource] += 1
        processes[p, STATUS] = QUEUES
        return False
    shared[PORT_TAKEN + resource] = 1
    return True


@inlined
def _leave(resource, processes, queues, shared):  # type: ignore[no-untyped-def]
    """Hand the port or the channel to the process that asked first, or set it free."""
    if shared[PORT_QUEUED + resource] == 0:
        shared[PORT_TAKEN + resource] = 0
        return
    _wake(queues[resource, 0], processes, shared)
    shared[PORT_QUEUED + resource] -= 1
    for place in range(shared[PORT_QUEUED + resource]):
        queues[resource, place] = queues[resource, place + 1]


@compiled
def _use(p, channel, wrote, engine_ps, port_ps, processes, queues, shared, rates, point):  # type: ignore[no-untyped-def]
    """Use the port beside the channel (channel 1) or an engine (0); whether it is done rather than waiting."""
    while True:
        sub = processes[p, SUB]
        processes[p, SUB] += 1
        if sub == ASKS_FOR_CHANNEL:
            if channel and not _takes(p, CHANNEL, processes, queues, shared):
                return False
        elif sub == BEGINS:
            processes[p, START_PS] = shared[NOW_PS]
            processes[p, UNTIL_PS] = shared[NOW_PS] + engine_ps
            if channel:
                if shared[NOW_PS] != shared[CHANNEL_FREE_PS]:
                    latency_ps = rates[point, WAKE_PS] if shared[FIRST_USE_PS] < 0 else rates[point, OPEN_PS]
                    processes[p, UNTIL_PS] += np.int64(latency_ps)
                elif shared[CHANNEL_WROTE] and not wrote:
                    processes[p, UNTIL_PS] += np.int64(rates[point, TURN_PS])
        elif sub == ASKS_FOR_PORT:
            if port_ps and not _takes(p, PORT, processes, queues, shared):
                return False
        elif sub == HOLDS_PORT:
            if port_ps:
                _sleep_until(p, processes, shared, shared[NOW_PS] + port_ps)
                return False
        elif sub == LEAVES_PORT:
            if port_ps:
                _leave(PORT, processes, queues, shared)
            if processes[p, UNTIL_PS] > shared[NOW_PS]:
                _sleep_until(p, processes, shared, processes[p, UNTIL_PS])
                return False
        else:
            processes[p, SUB] = ASKS_FOR_CHANNEL
            if channel:
                if shared[FIRST_USE_PS] < 0:
                    shared[FIRST_USE_PS] = processes[p, START_PS]
                shared[LAST_USE_PS] = shared[CHANNEL_FREE_PS] = shared[NOW_PS]
                shared[ACTIVE_PS] += shared[NOW_PS] - processes[p, START_PS]
                shared[BUSY_PS] += engine_ps
                shared[CHANNEL_WROTE] = wrote
                _leave(CHANNEL, processes, queues, shared)
            return True


@compiled
def _finish_tile(p, layers, tiles, processes, gates, shared):  # type: ignore[no-untyped-def]
    """Give back buffers, tell the next stage, and go on to the next tile."""
    layer = processes[p, LAYER]
    decodes, spills, holds = layers[layer, DECODES], layers[layer, SPILLS_OUTPUT], tiles[layer, T_HOLDS_SLOT]
    is_last = processes[p, STEP] + 1 == layers[layer, N_STEPS]
    if p == COMPUTE and decodes:
        _advance(EXPAND_SLOTS, processes, gates, shared)
    if holds and ((p == WRITE and spills) or (not spills and p == (DECODE if decodes else COMPUTE))):
        _advance(FETCH_SLOTS, processes, gates, shared)
    if p == WRITE:
        _advance(OUTPUT_SLOTS, processes, gates, shared)
        if is_last:
            _advance(LAYERS_DONE, processes, gates, shared)
    else:
        _advance(FETCHED + p, processes, gates, shared)
    processes[p, PHASE] = 0
    processes[p, NUMBER] += 1
    processes[p, STEP] += 1
    if is_last:
        processes[p, STEP] = 0
        processes[p, LAYER] += 1
        if processes[p, LAYER] == layers.shape[0]:
            processes[p, STATUS] = ENDED


@compiled
def _step(p, layers, tiles, cold, processes, gates, queues, shared, rates, point):  # type: ignore[no-untyped-def]
    """Let a process go on until it waits; 1 when it finished the write-back of a tile, for a look around."""
    while processes[p, STATUS] != ENDED:
        layer, phase, first = processes[p, LAYER], processes[p, PHASE], processes[p, STEP] == 0
        gate, needed = -1, np.int64(0)
        uses, channel, wrote, engine_ps, port_ps = False, 0, 0, np.int64(0), np.int64(0)
        if p == FETCH:
            if phase == 0 and first:
                gate, needed = LAYERS_DONE, layers[layer, WAITS_FOR]
            elif phase == 1 and cold:
                engine_ps, port_ps, channel = tiles[layer, T_LOAD], tiles[layer, T_LOAD_PORT], 1
                uses = engine_ps + port_ps > 0
            elif phase == 2 and tiles[layer, T_HOLDS_SLOT]:
                shared[FETCHES_HELD] += 1
                gate, needed = FETCH_SLOTS, shared[FETCHES_HELD]
            elif phase == 3 and layers[layer, FETCH_BYTES]:
                engine_ps, port_ps, channel, uses = tiles[layer, T_FETCH], tiles[layer, T_FETCH_PORT], 1, True
        elif p == DECODE:
            if phase == 0:
                gate, needed = FETCHED, processes[p, NUMBER] + 1
            elif phase == 1 and layers[layer, DECODES]:
                shared[EXPANSIONS_HELD] += 1
                gate, needed = EXPAND_SLOTS, shared[EXPANSIONS_HELD]
            elif phase == 2 and layers[layer, DECODES]:
                engine_ps, port_ps, uses = tiles[layer, T_DECODE], tiles[layer, T_DECODE_PORT], True
        elif p == COMPUTE:
            if phase == 0:
                gate, needed = DECODED, processes[p, NUMBER] + 1
            elif phase == 1 and first:
                gate, needed = LAYERS_DONE, layer
            elif phase == 2:
                gate, needed = OUTPUT_SLOTS, processes[p, NUMBER] + 1
            elif phase == 3:
                engine_ps, port_ps, uses = tiles[layer, T_COMPUTE], tiles[layer, T_COMPUTE_PORT], True
        elif phase == 0:
            gate, needed = COMPUTED, processes[p, NUMBER] + 1
        elif phase == 1:
            port_ps, uses = tiles[layer, T_OUTPUT_PORT], True
        elif phase == 2 and layers[layer, WRITE_BYTES]:
            engine_ps, port_ps, uses = tiles[layer, T_WRITE], tiles[layer, T_WRITE_PORT], True
            channel = wrote = 1
        if uses and not _use(p, channel, wrote, engine_ps, port_ps, processes, queues, shared, rates, point):
            return 0
        if phase < LAST_PHASE:
            processes[p, PHASE] += 1
            if gate >= 0 and gates[gate] < needed:
                processes[p, STATUS] = WAITS
                processes[p, GATE] = gate
                processes[p, NEEDED] = needed
                return 0
        else:
            _finish_tile(p, layers, tiles, processes, gates, shared)
            if p == WRITE:
                return 1
    return 0


@compiled
def _stands_alike(processes, gates, queues, shared, back, old_processes, old_gates, old_queues, old_shared):  # type: ignore[no-untyped-def]
    """Whether the pipeline stands as it stood: processes at the same points, the same times away from there.

    A process that has run ahead of this layer, and waits for nothing that happens in it, does not count.
    """
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
def _skip(layers, processes, gates, shared, back, old_processes, old_gates, old_shared):  # type: ignore[no-untyped-def]
    """Repeat what happened since then as often as the layer has whole repetitions left for every process."""
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
def _run(  # type: ignore[no-untyped-def]
    layers,
    tiles,
    cold,
    n_buffers,
    rates,
    point,
    skips,
    ends_ps,
    processes,
    gates,
    queues,
    shared,
    old_processes,
    old_gates,
    old_queues,
    old_shared,
):
    """One frame from an empty pipeline. `old_*` is how it stood one and two tiles ago, the later one at `newest`."""
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
        while _step(best, layers, tiles, cold, processes, gates, queues, shared, rates, point):
            layer = processes[WRITE, LAYER]
            if processes[WRITE, STEP] == 0:
                ends_ps[layer - 1] = shared[NOW_PS]
                continue
            if not skips or layers[layer, N_STEPS] < FEWEST_TO_SKIP:
                continue
            if layer != known_layer:
                known_layer, n_known = layer, 0
            alike = -1
            for age in range(min(n_known, 2)):
                back = (newest + age) % 2
                if alike < 0 and _stands_alike(
                    processes, gates, queues, shared, back, old_processes, old_gates, old_queues, old_shared
                ):
                    alike = back
            if alike >= 0:
                _skip(layers, processes, gates, shared, alike, old_processes, old_gates, old_shared)
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
def _run_points(  # type: ignore[no-untyped-def]
    layers,
    n_buffers,
    rates,
    cold,
    skips,
    results,
    ends_ps,
    tiles,
    processes,
    gates,
    queues,
    shared,
    old_processes,
    old_gates,
    old_queues,
    old_shared,
):
    for point in range(rates.shape[0]):
        _fill_tiles(layers, rates, point, tiles)
        _run(
            layers,
            tiles,
            cold,
            n_buffers,
            rates,
            point,
            skips,
            ends_ps,
            processes,
            gates,
            queues,
            shared,
            old_processes,
            old_gates,
            old_queues,
            old_shared,
        )
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
    state = ((N_PROCESSES, N_REGISTERS), (N_GATES,), (2, N_PROCESSES), (N_SHARED,))
    memory = [np.zeros(shape, np.int64) for shape in (*state, *((2, *shape) for shape in state))]
    tiles = np.zeros((len(layers), N_TILE), np.int64)
    _run_points(layers, n_buffers, rates, cold, skips, results, ends_ps, tiles, *memory)
    return results, ends_ps
