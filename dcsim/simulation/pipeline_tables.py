"""Names of the columns and registers that the compiled pipeline works on."""

import numba

# Reference counts of arrays would take half of the time: all memory belongs to the caller.
compiled = numba.njit(cache=True, error_model="numpy", _nrt=False)
inlined = numba.njit(cache=True, error_model="numpy", _nrt=False, inline="always")

# columns of `layers`, shape (n_layers, N_COLUMNS), int64: counts of a whole layer
(
    N_STEPS,
    DECODES,
    SPILLS_OUTPUT,
    WAITS_FOR,  # layers that must be written back before fetching starts: it reads a spilled input
    FETCH_BURSTS,
    FETCH_ROWS,
    FETCH_ACCESSES,
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
) = range(19)
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
    T_UNEVEN,  # some tiles have a burst and others have none, so that none stands for all
    N_TILE,
) = range(13)


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
