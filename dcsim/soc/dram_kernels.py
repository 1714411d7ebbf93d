"""The DRAM controller cycle by cycle, compiled by numba: requests, the lines they wait in, and the replay itself.

In a cycle of a channel, one command goes to the DRAM, then one waiting request to the line of its bank; then one
request enters the controller, which sees it from the next cycle on. Cycles in which nothing can happen are skipped.
`lines` and `places` are those of all banks, then for each channel of the reads and of the writes that wait.
"""

import numpy as np
from numba import njit

from dcsim.soc.dram_command_kernels import (
    AWAKE,
    CLOSED,
    N_PLACES,
    NEVER,
    POWER_DOWN,
    SELF_REFRESH,
    STANDBY,
    close_rows,
    inlined,
    issue,
    look_ahead,
    remove,
)

N_WAITING = 32  # reads, and as many posted writes, that wait in front of the banks' lines
N_QUEUED = 8  # commands in the line of a bank
DRAIN_ABOVE = 8  # writes that may wait while nothing else is to be done


@inlined
def _append(line, places, w):
    """Take the place behind a line, where the caller puts a request."""
    if line.first + line.n == N_PLACES:
        for i in range(line.n):
            places[w, i] = places[w, line.first + i]
        line.first = 0
    line.n += 1
    return line.first + line.n - 1


@inlined
def _find(line, places, w, burst, is_write):
    """Place in line of a request for a burst, or -1."""
    for place in range(line.first, line.first + line.n):
        if places[w, place].burst == burst and places[w, place].is_write == is_write:
            return place
    return -1


@inlined
def _move(part, c, channel, banks, lines, places):
    """Move the first waiting request for which its bank has room there: a write while writes drain, otherwise a read.

    A line's `n_blocked` first requests are known to find no room until a command has been served.
    """
    first_line = len(banks) + 2 * c
    writes = lines[first_line + 1]
    if channel.n_draining == 0 and (writes.n == N_WAITING or (writes.n > DRAIN_ABOVE and channel.n_commands == 0)):
        channel.n_draining = writes.n
    for is_write in (1, 0):
        if is_write and channel.n_draining == 0:
            continue
        w = first_line + is_write
        line = lines[w]
        for at in range(line.first + line.n_blocked, line.first + line.n):
            b = places[w, at].bank
            if lines[b].n == N_QUEUED:
                line.n_blocked += 1
                continue
            if is_write:
                burst = places[w, at].burst
                if (
                    _find(lines[b], places, b, burst, 0) >= 0
                    or _find(lines[first_line], places, first_line, burst, 0) >= 0
                ):
                    channel.n_draining = 0  # that read came first: reads take their turn
                    break
                channel.n_draining -= 1
            places[b, _append(lines[b], places, b)] = places[w, at]
            remove(line, places, w, at)
            channel.n_commands += 1
            if banks[b].open_row != CLOSED:
                look_ahead(banks[b], lines[b], places, b)
            return True
        if channel.n_draining:
            break
    return False


@inlined
def _enter(clock, c, request, channel, banks, lines, places, n_alike, totals, returning):
    """A request enters: it waits, joins one for the same burst, or a write that still waits answers the read."""
    burst, row, b, is_write = request
    entered = clock + 1
    w = len(banks) + 2 * c + is_write
    alike = burst & (n_alike.shape[1] - 1)
    if is_write:
        totals.last_done = max(totals.last_done, entered + 1)
    if n_alike[c, alike]:  # perhaps the same burst
        write = len(banks) + 2 * c + 1
        if _find(lines[b], places, b, burst, 1) >= 0 or _find(lines[write], places, write, burst, 1) >= 0:
            if is_write:
                totals.n_merged_writes += 1
            else:
                totals.n_forwarded_reads += 1
                totals.latency += 1
                totals.last_done = max(totals.last_done, entered + 1)
                returning[(entered + 1) & (len(returning) - 1)] += 1
            return
        if not is_write:
            for where in (b, w):
                at = _find(lines[where], places, where, burst, 0)
                if at >= 0:
                    places[where, at].n_requests += 1
                    places[where, at].entered += entered
                    totals.n_merged_reads += 1
                    return
    at = _append(lines[w], places, w)
    places[w, at].burst, places[w, at].row, places[w, at].bank = burst, row, b
    places[w, at].is_write, places[w, at].n_requests, places[w, at].entered = is_write, 1, entered
    n_alike[c, alike] += 1
    totals.n_unread += not is_write
    channel.wake = entered


@inlined
def _next_refresh(part, c, channel, r):
    """When rank `r` of a channel is due to be refreshed next; ranks take turns."""
    ahead = (r - c * part.n_ranks - channel.n_refreshes_seen) % part.n_ranks
    return (channel.n_refreshes_seen + 1 + ahead) * part.refresh_interval


@inlined
def _close_the_books(clock, rank):
    """Count what a rank has spent asleep or with open rows, until now."""
    if rank.state == POWER_DOWN:
        rank.power_down_cycles += clock - rank.asleep_since
    elif rank.state == SELF_REFRESH:
        rank.self_refresh_cycles += clock - rank.asleep_since
    elif rank.n_open:
        rank.active_cycles += clock - rank.open_since


@inlined
def _wake_up(clock, part, c, has_work, channel, ranks, banks):
    """Wake ranks: all for work, one in power-down for its refresh. One in self-refresh needs none."""
    first_rank = c * part.n_ranks
    while (channel.n_refreshes_seen + 1) * part.refresh_interval <= clock and (
        ranks[first_rank + channel.n_refreshes_seen % part.n_ranks].state == SELF_REFRESH
    ):
        channel.n_refreshes_seen += 1
    for r in range(first_rank, first_rank + part.n_ranks):
        rank = ranks[r]
        if rank.state == AWAKE:
            continue
        ready = clock + (part.power_down_exit if rank.state == POWER_DOWN else part.self_refresh_exit)
        if has_work or (rank.state == POWER_DOWN and _next_refresh(part, c, channel, r) <= ready):
            for b in range(r * part.n_banks, (r + 1) * part.n_banks):
                banks[b].activate_ready = max(banks[b].activate_ready, ready)
                banks[b].refresh_ready = max(banks[b].refresh_ready, ready)
            _close_the_books(clock, rank)
            rank.state = AWAKE


@inlined
def _rest(clock, part, c, idle, channel, ranks, banks, totals):
    """Without work for long enough: close rows, then let ranks sleep. Returns -1, or when to come back."""
    soonest = NEVER
    for r in range(c * part.n_ranks, (c + 1) * part.n_ranks):
        rank = ranks[r]
        asleep_before = _next_refresh(part, c, channel, r) - (part.power_down_exit if idle == POWER_DOWN else 0)
        if rank.state == AWAKE:
            ready = close_rows(clock, part, r, rank, banks, totals)
            if ready < 0:
                return -1
            if rank.n_open or (ready > clock and ready < asleep_before and idle != STANDBY):
                soonest = min(soonest, ready)
            elif ready <= clock and clock < asleep_before and idle != STANDBY:
                rank.state = idle
                rank.asleep_since = clock
        if rank.state == POWER_DOWN:
            soonest = min(soonest, asleep_before)
    return soonest


@inlined
def _step(clock, part, c, idle, channels, ranks, banks, lines, places, n_alike, totals, returning):
    """A cycle of one channel. Returns the next one in which anything can happen there."""
    channel, first_line = channels[c], len(banks) + 2 * c
    has_work = (
        channel.n_commands > 0
        or channel.n_draining > 0
        or lines[first_line].n > 0
        or lines[first_line + 1].n > DRAIN_ABOVE
    )
    rests_from = NEVER if has_work or idle == AWAKE else channel.busy_until + part.sleep_after + 1
    if idle != AWAKE:
        _wake_up(clock, part, c, has_work, channel, ranks, banks)
    soonest = issue(
        clock, part, c, rests_from <= clock, channel, ranks, banks, lines, places, n_alike, totals, returning
    )
    if soonest >= 0:
        rest = _rest(clock, part, c, idle, channel, ranks, banks, totals) if rests_from <= clock else rests_from
        soonest = min(soonest, rest)
    if _move(part, c, channel, banks, lines, places) or soonest < 0:
        return clock + 1
    return soonest


@njit(cache=True, _nrt=False)
def replay(
    requests,
    n_outstanding,
    window_cycles,
    idle,
    part,
    channels,
    ranks,
    banks,
    lines,
    places,
    n_alike,
    returning,
    totals,
):
    """Replay requests, one entering a cycle in their order. Fills what comes after `part`; returns the cycles.

    Args:
        requests: burst, row, bank, whether it writes, and earliest cycle of each request: an array each.
        n_outstanding: reads that may be in flight, 0 for any number.
        idle: place in POLICIES.
    """
    bursts, rows, bank_numbers, writes, earliest = requests
    n_banks = part.n_ranks * part.n_banks
    n_slots = len(returning)
    clock = i = n_in_flight = returned_until = 0
    end = window_cycles if len(bursts) == 0 else NEVER
    while clock < end:
        soonest = NEVER
        if n_outstanding:
            returned_until = max(returned_until, clock - n_slots)
            while returned_until < clock:
                returned_until += 1
                slot = returned_until & (n_slots - 1)
                n_in_flight -= returning[slot]
                returning[slot] = 0
        for c in range(len(channels)):
            if channels[c].wake <= clock:
                channels[c].wake = _step(
                    clock, part, c, idle, channels, ranks, banks, lines, places, n_alike, totals, returning
                )
        if i < len(bursts):
            if earliest[i] > clock:
                soonest = earliest[i]
            else:
                c = bank_numbers[i] // n_banks
                has_room = lines[len(banks) + 2 * c + writes[i]].n < N_WAITING
                if n_outstanding and not writes[i] and n_in_flight >= n_outstanding:
                    for at in range(clock + 1, clock + n_slots):
                        if returning[at & (n_slots - 1)]:
                            soonest = at
                            break
                elif has_room:
                    request = bursts[i], rows[i], bank_numbers[i], np.int64(writes[i])
                    _enter(clock, c, request, channels[c], banks, lines, places, n_alike, totals, returning)
                    n_in_flight += not writes[i]
                    i += 1
                    soonest = clock + 1
        if i == len(bursts) and totals.n_unread == 0:
            end = max(totals.last_done + 1, window_cycles)
        for c in range(len(channels)):
            soonest = min(soonest, channels[c].wake)
        clock = soonest
    for r in range(len(ranks)):
        _close_the_books(end, ranks[r])
        ranks[r].active_cycles -= max(0, ranks[r].rest_refreshed + part.rfc - end)  # what lies behind the end
    return end
