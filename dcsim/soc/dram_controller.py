"""DRAM traffic replayed address by address on the banked DRAM: cycles, commands and energy of exactly these requests.

The controller is first ready, first come first served with open pages, the mechanism of DRAMsim3 (Li et al., IEEE CAL
2020): 32 reads and 32 posted writes wait in front of queues of eight commands for each bank; the first queue in turn
with a command that is ready issues it; writes drain when their buffer is full, or when more than eight wait and no
command does; a row that others still ask for is closed after four accesses; every tREFI a rank is refreshed at once.
Reads of one burst that wait together are one, so are writes; a write that waits answers reads. `dram` has the closed
form for streams.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.soc import dram as closed_form
from dcsim.soc.dram_spec import BankedDram, Idle
from dcsim.units import PS_PER_S, ma_to_watts

N_ALIKE = 1024  # last bits of a burst by which requests are told apart quickly: some ten times as many as can wait

Integers = npt.NDArray[np.int64]
Record = Any  # of named integers, as the kernels have it


@dataclass(frozen=True, eq=False)
class DramRequests:
    """Requests in the order in which they enter the controller, at most one a cycle. Arrays of one length.

    Attributes:
        addresses: uint64, bytes. Each stands for the burst that contains it.
        writes: bool.
        earliest_cycles: int64, of the DRAM clock; a request enters then, or when those before it have.
    """

    addresses: npt.NDArray[np.uint64]
    writes: npt.NDArray[np.bool_]
    earliest_cycles: Integers

    def __len__(self) -> int:
        return len(self.addresses)


@dataclass(frozen=True)
class DramReplay:
    """What a replay came to, over all channels and ranks.

    `cycles` end with the last read returned or the last write accepted, or with the window. Active, idle, power-down
    and self-refresh cycles are summed over ranks. A row hit is an access to a row that was accessed since it was
    opened; a miss found its bank closed, a conflict another row open. Writes that still wait at the end are in no
    count of commands. `bandwidth_bytes_per_s` is that of the bursts that moved. `energy_pj` is the device core alone.
    """

    cycles: int
    tck_ps: int
    n_requests: int
    n_reads: int
    n_writes: int
    n_merged_reads: int
    n_merged_writes: int
    n_forwarded_reads: int
    n_waiting_writes: int
    n_outside: int
    n_row_hits: int
    n_row_misses: int
    n_row_conflicts: int
    n_activates: int
    n_precharges: int
    n_refreshes: int
    active_cycles: int
    idle_cycles: int
    power_down_cycles: int
    self_refresh_cycles: int
    mean_read_latency_cycles: float
    bandwidth_bytes_per_s: float
    energy_pj_by_kind: dict[str, float]
    io_energy_pj: float

    @property
    def energy_pj(self) -> float:
        """Energy of the device core."""
        return sum(self.energy_pj_by_kind.values())


def replay(
    dram: BankedDram,
    requests: DramRequests,
    n_outstanding: int | None = None,
    idle: Idle | None = None,
    window_cycles: int = 0,
) -> DramReplay:
    """Replay `requests` on a DRAM whose banks are closed.

    Addresses past its capacity wrap around, and are counted.

    Args:
        n_outstanding: reads that may be in flight; None for as many as the queues hold.
        idle: what a channel does after `sleep_after_cycles` without work: close its rows (`standby`) and put its ranks
            to sleep. A rank in power-down wakes for each of its refreshes, tXP ahead, and all wake for work. None
            leaves rows open. A few writes that wait for more are no work.
        window_cycles: the replay lasts at least as long.
    """
    from dcsim.soc import dram_command_kernels as kernels  # numba takes half a second to import
    from dcsim.soc import dram_kernels

    bursts, rows, banks, n_outside = _decode(dram, requests.addresses)
    state = _closed_banks(dram)
    totals = np.zeros(1, kernels.TOTALS)[0]
    cycles = dram_kernels.replay(
        (bursts, rows, banks, _plain(requests.writes, np.bool_), _plain(requests.earliest_cycles, np.int64)),
        n_outstanding or 0,
        window_cycles,
        kernels.POLICIES.index(idle),
        _part(dram),
        *state,
        np.zeros((dram.n_channels, N_ALIKE), np.int64),
        np.zeros(1 << max(2, (dram.timing.cl_cycles + dram.timing.burst_cycles).bit_length()), np.int64),
        totals,
    )
    return _summed(dram, requests, int(cycles), n_outside, totals, state[1])


def _plain(values: npt.NDArray[np.generic], kind: type[np.generic]) -> npt.NDArray[np.generic]:
    """An array of the one kind the kernel is compiled for: contiguous and writeable."""
    return np.require(values, kind, ["C", "W"])


def _closed_banks(dram: BankedDram) -> tuple[npt.NDArray[np.void], ...]:
    """Records of channels, ranks, banks, lines and their places, all at rest."""
    from dcsim.soc import dram_command_kernels as kernels

    n_ranks = dram.n_channels * dram.n_ranks
    n_banks = n_ranks * dram.n_banks
    n_lines = n_banks + 2 * dram.n_channels
    ranks, banks = np.zeros(n_ranks, kernels.RANK), np.zeros(n_banks, kernels.BANK)
    for name in ("last_activate", "second_last_activate", "third_last_activate"):
        ranks[name] = -dram.timing.tfaw_cycles
    ranks["rest_refreshed"] = -dram.timing.trfc_cycles
    banks["rank"] = np.arange(n_banks) // dram.n_banks
    banks["open_row"] = kernels.CLOSED
    lines, places = np.zeros(n_lines, kernels.LINE), np.zeros((n_lines, kernels.N_PLACES), kernels.REQUEST)
    return np.zeros(dram.n_channels, kernels.CHANNEL), ranks, banks, lines, places


def _decode(dram: BankedDram, addresses: npt.NDArray[np.uint64]) -> tuple[Integers, Integers, Integers, int]:
    """Burst, row and bank of every address, and how many addresses lie outside the DRAM.

    Banks are counted through ranks and channels.
    """
    sizes = {
        "row": dram.n_rows,
        "rank": dram.n_ranks,
        "bank": dram.n_banks,
        "column": dram.row_bytes // dram.burst_bytes,
        "channel": dram.n_channels,
    }
    n_bursts = closed_form.capacity_bytes(dram) // dram.burst_bytes
    named = addresses // np.uint64(dram.burst_bytes)
    n_outside = int(np.count_nonzero(named >= n_bursts))
    bursts = (named % np.uint64(n_bursts) if n_outside else named).astype(np.int64)
    rest, found = bursts, {"rank": np.zeros_like(bursts), "channel": np.zeros_like(bursts)}
    for field in reversed(dram.address_fields):
        rest, found[field] = rest // sizes[field], rest % sizes[field]
    banks = (found["channel"] * dram.n_ranks + found["rank"]) * dram.n_banks + found["bank"]
    return bursts, found["row"], banks, n_outside


def _part(dram: BankedDram) -> Record:
    """The delays between commands [cycles]; those of JEDEC and, between directions of the bus, of DRAMsim3."""
    from dcsim.soc import dram_command_kernels as kernels

    t = dram.timing
    figures = {
        "n_banks": dram.n_banks,
        "n_ranks": dram.n_ranks,
        "burst": t.burst_cycles,
        "read": t.cl_cycles + t.burst_cycles,
        "write": t.cwl_cycles + t.burst_cycles,
        "rcd": t.trcd_cycles,
        "rp": t.trp_cycles,
        "ras": t.tras_cycles,
        "rc": t.tras_cycles + t.trp_cycles,
        "rrd": t.trrd_cycles,
        "faw": t.tfaw_cycles,
        "read_to_precharge": t.trtp_cycles,
        "write_to_precharge": t.cwl_cycles + t.burst_cycles + t.twr_cycles,
        "read_to_write": t.cl_cycles + t.burst_cycles - t.cwl_cycles + t.trtrs_cycles,
        "write_to_read": t.cwl_cycles + t.burst_cycles + t.twtr_cycles,
        "read_to_read_other_rank": t.burst_cycles + t.trtrs_cycles,
        "write_to_read_other_rank": t.cwl_cycles + t.burst_cycles + t.trtrs_cycles - t.cl_cycles,
        "rfc": t.trfc_cycles,
        "refresh_interval": t.trefi_cycles // dram.n_ranks,
        "power_down_exit": t.txp_cycles,
        "self_refresh_exit": t.txs_cycles,
        "sleep_after": dram.sleep_after_cycles,
    }
    part = np.zeros(1, kernels.PART)
    for name, figure in figures.items():
        part[name] = figure
    return part[0]


def _summed(
    dram: BankedDram, requests: DramRequests, cycles: int, n_outside: int, totals: Record, ranks: npt.NDArray[np.void]
) -> DramReplay:
    """Counts and energies. Background is the current of each state, as in the data sheet, times its cycles."""
    counts = {name: int(totals[name]) for name in totals.dtype.names if name.startswith("n_")}
    del counts["n_unread"]
    spent = {name: int(ranks[f"{name}_cycles"].sum()) for name in ("active", "power_down", "self_refresh")}
    spent["idle"] = cycles * dram.n_channels * dram.n_ranks - sum(spent.values())
    n_reads_returned = counts["n_reads"] + counts["n_merged_reads"] + counts["n_forwarded_reads"]
    n_writes_accepted = len(requests) - n_reads_returned
    n_moved = counts["n_reads"] + counts["n_writes"]
    t, i = dram.timing, dram.currents
    each = closed_form.energies(dram)

    def background_pj(current_ma: float, n_cycles: int) -> float:
        return ma_to_watts(current_ma, i.vdd_volts) * (n_cycles * t.tck_ps)

    return DramReplay(
        cycles=cycles,
        tck_ps=t.tck_ps,
        n_requests=len(requests),
        **counts,
        n_waiting_writes=n_writes_accepted - counts["n_merged_writes"] - counts["n_writes"],
        n_outside=n_outside,
        active_cycles=spent["active"],
        idle_cycles=spent["idle"],
        power_down_cycles=spent["power_down"],
        self_refresh_cycles=spent["self_refresh"],
        mean_read_latency_cycles=int(totals["latency"]) / n_reads_returned if n_reads_returned else 0.0,
        bandwidth_bytes_per_s=n_moved * dram.burst_bytes * PS_PER_S / (cycles * t.tck_ps) if cycles else 0.0,
        energy_pj_by_kind={
            "activate": counts["n_activates"] * each.activate_pj,
            "read": counts["n_reads"] * each.read_pj,
            "write": counts["n_writes"] * each.write_pj,
            "refresh": counts["n_refreshes"] * each.refresh_pj,
            "active_standby": background_pj(i.idd3n_ma, spent["active"]),
            "precharge_standby": background_pj(i.idd2n_ma, spent["idle"]),
            "power_down": background_pj(i.idd2p_ma, spent["power_down"]),
            "self_refresh": background_pj(i.idd6_ma, spent["self_refresh"]),
        },
        io_energy_pj=n_moved * each.io_pj,
    )
