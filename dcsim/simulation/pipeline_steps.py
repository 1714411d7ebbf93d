"""One process of the compiled pipeline: what it does until it waits, in the order of `replay`."""

import numpy as np

from dcsim.simulation.pipeline_tables import (
    ACTIVE_PS,
    ASKS_FOR_CHANNEL,
    ASKS_FOR_PORT,
    BEGINS,
    BURST_PS,
    BUSY_PS,
    CHANNEL,
    CHANNEL_FREE_PS,
    CHANNEL_WROTE,
    COMPUTE,
    COMPUTED,
    DECODE,
    DECODED,
    DECODES,
    ENDED,
    EXPAND_SLOTS,
    EXPANSIONS_HELD,
    FETCH,
    FETCH_BURSTS,
    FETCH_ROWS,
    FETCH_SLOTS,
    FETCHED,
    FETCHES_HELD,
    FIRST_USE_PS,
    GATE,
    HOLDS_PORT,
    LAST_PHASE,
    LAST_USE_PS,
    LAYER,
    LAYERS_DONE,
    LEAVES_PORT,
    LOAD_BURSTS,
    LOAD_ROWS,
    N_CHANNELS,
    N_PROCESSES,
    N_STEPS,
    NEEDED,
    NEXT_SEQUENCE,
    NOW_PS,
    NUMBER,
    OPEN_PS,
    OUTPUT_SLOTS,
    PHASE,
    PORT,
    PORT_QUEUED,
    PORT_TAKEN,
    QUEUES,
    READ_PS,
    ROW_PS,
    RUNS,
    SEQUENCE,
    SPILLS_OUTPUT,
    START_PS,
    STATUS,
    STEP,
    SUB,
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
    TURN_PS,
    UNTIL_PS,
    WAITS,
    WAITS_FOR,
    WAKE_AT_PS,
    WAKE_PS,
    WRITE,
    WRITE_BURSTS,
    WRITE_ROWS,
    compiled,
    inlined,
)


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
def transfer_ps(n_bursts, n_rows, rates, point):  # type: ignore[no-untyped-def]
    """Without a turnaround: see `dram.transfer_ps`."""
    n_channels = rates[point, N_CHANNELS]
    bursts_ps = np.ceil(n_bursts / n_channels) * rates[point, BURST_PS]
    rows_ps = np.ceil(n_rows / n_channels) * rates[point, ROW_PS]
    return max(bursts_ps, rows_ps, n_bursts * rates[point, READ_PS])


@inlined
def _share(total, step, n_steps):  # type: ignore[no-untyped-def]
    """See `units.shares`."""
    return total * (step + 1) // n_steps - total * step // n_steps


@compiled
def _bursts(bursts, p, layers, processes):  # type: ignore[no-untyped-def]
    """Bursts of the tile at which a process is, of those in a column of its layer."""
    layer = processes[p, LAYER]
    return _share(layers[layer, bursts], processes[p, STEP], layers[layer, N_STEPS])


@compiled
def _moves(p, layers, processes):  # type: ignore[no-untyped-def]
    """Whether the tile at which a process is takes a working buffer of what is fetched or on its way to DRAM."""
    return _bursts(FETCH_BURSTS, p, layers, processes) > 0 or _bursts(WRITE_BURSTS, p, layers, processes) > 0


@compiled
def _duration_ps(bursts, rows, mean_ps, p, layers, tiles, processes, rates, point):  # type: ignore[no-untyped-def]
    """Of the transfer of one tile: the mean, or its own where tiles are uneven."""
    layer = processes[p, LAYER]
    if not tiles[layer, T_UNEVEN]:
        return tiles[layer, mean_ps]
    n_rows = _bursts(rows, p, layers, processes)
    return np.int64(round(transfer_ps(_bursts(bursts, p, layers, processes), n_rows, rates, point)))


@compiled
def _finish_tile(p, layers, processes, gates, shared):  # type: ignore[no-untyped-def]
    """Give back buffers, tell the next stage, and go on to the next tile."""
    layer = processes[p, LAYER]
    decodes, spills, holds = layers[layer, DECODES], layers[layer, SPILLS_OUTPUT], _moves(p, layers, processes)
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
def step(p, layers, tiles, cold, processes, gates, queues, shared, rates, point):  # type: ignore[no-untyped-def]
    """Let a process go on until it waits; 1 when it finished the write-back of a tile, for a look around."""
    while processes[p, STATUS] != ENDED:
        layer, phase, first = processes[p, LAYER], processes[p, PHASE], processes[p, STEP] == 0
        gate, needed = -1, np.int64(0)
        uses, channel, wrote, engine_ps, port_ps = False, 0, 0, np.int64(0), np.int64(0)
        if p == FETCH:
            if phase == 0 and first:
                gate, needed = LAYERS_DONE, layers[layer, WAITS_FOR]
            elif phase == 1 and cold and _bursts(LOAD_BURSTS, p, layers, processes):
                engine_ps = _duration_ps(LOAD_BURSTS, LOAD_ROWS, T_LOAD, p, layers, tiles, processes, rates, point)
                port_ps, channel, uses = tiles[layer, T_LOAD_PORT], 1, True
            elif phase == 2 and _moves(p, layers, processes):
                shared[FETCHES_HELD] += 1
                gate, needed = FETCH_SLOTS, shared[FETCHES_HELD]
            elif phase == 3 and _bursts(FETCH_BURSTS, p, layers, processes):
                engine_ps = _duration_ps(FETCH_BURSTS, FETCH_ROWS, T_FETCH, p, layers, tiles, processes, rates, point)
                port_ps, channel, uses = tiles[layer, T_FETCH_PORT], 1, True
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
        elif phase == 2 and _bursts(WRITE_BURSTS, p, layers, processes):
            engine_ps = _duration_ps(WRITE_BURSTS, WRITE_ROWS, T_WRITE, p, layers, tiles, processes, rates, point)
            port_ps, uses = tiles[layer, T_WRITE_PORT], True
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
            _finish_tile(p, layers, processes, gates, shared)
            if p == WRITE:
                return 1
    return 0
