"""Commands of the DRAM controller and the rules between them, compiled by numba.

The mechanism is that of DRAMsim3 (Li et al., IEEE CAL 2020) with open pages: first ready, first come first served, over
a line of commands for each bank. `tests/dram_reference.py` says the same without skipping a cycle. State is one record
a channel, rank, bank and line; ranks and banks are counted through all channels. Every time is a cycle of the DRAM
clock; `..._ready` is the first one in which a command may be issued.
"""

import numpy as np
from numba import njit

ENOUGH_HITS = 4  # accesses to an open row after which another row may close it
CLOSED = -1
AWAKE = 0  # the state of a rank, or the policy of a channel: the others of POLICIES by their place
POLICIES = (None, "standby", "power_down", "self_refresh")
STANDBY, POWER_DOWN, SELF_REFRESH = 1, 2, 3
NEVER = 1 << 62
N_PLACES = 64  # of a line: the longest has 32 requests, the rest saves moving them


# Reference counts would take a third of the time and calls another: arrays belong to the caller, and all becomes one
# function, `dram_kernels.replay`. numba keeps it while that file is unchanged: touch it after changes here.
inlined = njit(cache=True, inline="always", _nrt=False)


def _record(*names):
    return np.dtype([(name, np.int64) for name in names])


PART = _record(
    *("n_banks", "n_ranks", "burst", "read", "write", "rcd", "rp", "ras", "rc", "rrd", "faw"),
    *("read_to_precharge", "write_to_precharge", "read_to_write", "write_to_read"),
    *("read_to_read_other_rank", "write_to_read_other_rank", "rfc", "refresh_interval"),
    *("power_down_exit", "self_refresh_exit", "sleep_after"),
)
REQUEST = _record("burst", "row", "bank", "is_write", "n_requests", "entered")  # `entered` is summed over its requests
LINE = _record("first", "n", "n_blocked")  # places first ... first + n - 1 are taken
BANK = _record(
    *("rank", "open_row", "n_accesses", "follows_conflict", "next_read", "next_write", "may_close"),
    *("activate_ready", "column_ready", "precharge_ready", "refresh_ready"),
)
RANK = _record(
    *("state", "asleep_since", "power_down_cycles", "self_refresh_cycles", "n_open", "open_since", "active_cycles"),
    *("rest_refreshed", "read_ready", "write_ready", "activate_ready"),
    *("last_activate", "second_last_activate", "third_last_activate"),
)
CHANNEL = _record("turn", "n_commands", "n_draining", "n_refreshes_seen", "busy_until", "wake")
TOTALS = _record(
    *("n_reads", "n_writes", "n_row_hits", "n_row_misses", "n_row_conflicts", "n_activates", "n_precharges"),
    *("n_refreshes", "n_merged_reads", "n_merged_writes", "n_forwarded_reads", "latency", "n_unread", "last_done"),
)


@inlined
def remove(line, places, w, at):
    """Take away the request in one place; those before it move up."""
    for place in range(at, line.first, -1):
        places[w, place] = places[w, place - 1]
    line.first += 1
    line.n -= 1


@inlined
def look_ahead(bank, line, places, b):
    """Which commands in line find their row open, and whether the first one may close it for its own."""
    bank.next_read = bank.next_write = -1
    for place in range(line.first + line.n - 1, line.first - 1, -1):
        if places[b, place].row == bank.open_row:
            if places[b, place].is_write:
                bank.next_write = place
            else:
                bank.next_read = place
    has_hits = bank.next_read >= 0 or bank.next_write >= 0
    conflict = line.n > 0 and places[b, line.first].row != bank.open_row
    bank.may_close = conflict and (not has_hits or bank.n_accesses >= ENOUGH_HITS)


@inlined
def _activate(clock, part, rank, bank, row, totals):
    bank.open_row = row
    bank.n_accesses = 0
    bank.activate_ready = clock + part.rc
    bank.column_ready = clock + part.rcd
    bank.precharge_ready = max(bank.precharge_ready, clock + part.ras)
    rank.activate_ready = max(clock + part.rrd, rank.third_last_activate + part.faw)
    rank.third_last_activate = rank.second_last_activate
    rank.second_last_activate = rank.last_activate
    rank.last_activate = clock
    if rank.n_open == 0:
        rank.open_since = clock
    rank.n_open += 1
    totals.n_activates += 1


@inlined
def precharge(clock, part, rank, bank, for_conflict, totals):
    """Close a row; `for_conflict` when a request for another row wants it."""
    bank.open_row = CLOSED
    bank.follows_conflict = for_conflict
    bank.activate_ready = max(bank.activate_ready, clock + part.rp)
    bank.refresh_ready = max(bank.refresh_ready, clock + part.rp)
    rank.n_open -= 1
    if rank.n_open == 0:
        rank.active_cycles += clock - rank.open_since
    totals.n_precharges += 1


@inlined
def _access(clock, part, first_rank, ranks, bank, command, totals, channel, returning):
    """Read or write a burst: what the other commands of the channel must wait for then, and what has been done."""
    if command.is_write:
        for r in range(first_rank, first_rank + part.n_ranks):
            turn = part.write_to_read if r == bank.rank else part.write_to_read_other_rank
            ranks[r].read_ready = max(ranks[r].read_ready, clock + turn)
            ranks[r].write_ready = max(ranks[r].write_ready, clock + part.burst)  # one driver: no pause between ranks
        bank.precharge_ready = max(bank.precharge_ready, clock + part.write_to_precharge)
        channel.busy_until = max(channel.busy_until, clock + part.write)
        totals.n_writes += 1
    else:
        for r in range(first_rank, first_rank + part.n_ranks):
            turn = part.burst if r == bank.rank else part.read_to_read_other_rank
            ranks[r].read_ready = max(ranks[r].read_ready, clock + turn)
            ranks[r].write_ready = max(ranks[r].write_ready, clock + part.read_to_write)
        bank.precharge_ready = max(bank.precharge_ready, clock + part.read_to_precharge)
        done = clock + part.read
        channel.busy_until = max(channel.busy_until, done)
        returning[done & (len(returning) - 1)] += command.n_requests
        totals.latency += command.n_requests * done - command.entered
        totals.last_done = max(totals.last_done, done)
        totals.n_unread -= 1
        totals.n_reads += 1
    if bank.n_accesses:
        totals.n_row_hits += 1
    elif bank.follows_conflict:
        totals.n_row_conflicts += 1
    else:
        totals.n_row_misses += 1
    bank.n_accesses += 1


@inlined
def close_rows(clock, part, r, rank, banks, totals):
    """A step towards a rank without open rows.

    Returns:
        -1 when it is done now: a row is closed; otherwise from when on a next step can be. Of a rank without open rows
        that is when it may be refreshed or sleep.
    """
    soonest, closed = NEVER, 0
    for b in range(r * part.n_banks, (r + 1) * part.n_banks):
        bank = banks[b]
        if bank.open_row == CLOSED:
            closed = max(closed, bank.refresh_ready)
        elif bank.precharge_ready <= clock:
            precharge(clock, part, rank, bank, 0, totals)
            return -1
        else:
            soonest = min(soonest, bank.precharge_ready)
    return soonest if rank.n_open else closed


@inlined
def _refresh(clock, part, r, at_rest, channel, rank, banks, totals):
    """A step towards the refresh of a rank. Returns -1, or from when on the next one can be.

    Banks are active meanwhile. DRAMsim3 leaves that to the refresh command; DRAMPower, by which idle policies are held,
    counts it.
    """
    soonest = close_rows(clock, part, r, rank, banks, totals)
    if rank.n_open or soonest < 0 or soonest > clock:
        return soonest
    for b in range(r * part.n_banks, (r + 1) * part.n_banks):
        banks[b].activate_ready = max(banks[b].activate_ready, clock + part.rfc)
        banks[b].refresh_ready = clock + part.rfc
    if at_rest:
        rank.active_cycles += part.rfc
        rank.rest_refreshed = clock
    channel.n_refreshes_seen += 1
    totals.n_refreshes += 1
    return -1


@inlined
def issue(clock, part, c, at_rest, channel, ranks, banks, lines, places, n_alike, totals, returning):
    """Issue a command of channel `c` if one is ready. Returns -1, or from when on one may be."""
    first_rank, first_bank = c * part.n_ranks, c * part.n_ranks * part.n_banks
    n_banks = part.n_ranks * part.n_banks
    soonest = (channel.n_refreshes_seen + 1) * part.refresh_interval
    refreshing = -1
    if soonest <= clock:
        refreshing = first_rank + channel.n_refreshes_seen % part.n_ranks
        soonest = _refresh(clock, part, refreshing, at_rest, channel, ranks[refreshing], banks, totals)
        if soonest < 0:
            return -1
    if channel.n_commands == 0:
        return soonest
    turn = channel.turn
    for _ in range(n_banks):
        turn = turn + 1 if turn + 1 < n_banks else 0
        b = first_bank + turn
        line, bank = lines[b], banks[b]
        if line.n == 0 or bank.rank == refreshing:
            continue
        rank = ranks[bank.rank]
        if bank.open_row == CLOSED:
            ready = max(bank.activate_ready, rank.activate_ready)
            if ready <= clock:
                channel.turn = turn
                _activate(clock, part, rank, bank, places[b, line.first].row, totals)
                look_ahead(bank, line, places, b)
                return -1
        else:
            ready = bank.precharge_ready if bank.may_close else NEVER
            if ready <= clock:
                channel.turn = turn
                precharge(clock, part, rank, bank, 1, totals)
                return -1
            read = max(bank.column_ready, rank.read_ready) if bank.next_read >= 0 else NEVER
            write = max(bank.column_ready, rank.write_ready) if bank.next_write >= 0 else NEVER
            ready = min(ready, read, write)
            if ready <= clock:
                write_first = read > clock or (write <= clock and bank.next_write < bank.next_read)
                at = bank.next_write if write_first else bank.next_read
                channel.turn = turn
                _access(clock, part, first_rank, ranks, bank, places[b, at], totals, channel, returning)
                n_alike[c, places[b, at].burst & (n_alike.shape[1] - 1)] -= 1
                remove(line, places, b, at)
                look_ahead(bank, line, places, b)
                channel.n_commands -= 1
                first_line = len(banks) + 2 * c
                lines[first_line].n_blocked = lines[first_line + 1].n_blocked = 0
                return -1
        soonest = min(soonest, ready)
    return soonest
