"""DRAM time and energy in closed form.

The `banked` model is the usual sum over commands and states (Micron TN-46-03; Chandrasekar et al., DRAMPower): for a
sequential stream over rows interleaved across banks, activations hide behind bursts, refresh takes its share of time.
Traffic of another kind is replayed address by address in `dram_controller`.
"""

from dataclasses import dataclass

from dcsim.soc.dram_spec import BankedDram, ConstantDram, Idle, NoDram
from dcsim.units import PS_PER_S, bytes_to_bits, ceil_div, ma_to_watts, mib_to_bytes

Dram = NoDram | ConstantDram | BankedDram


@dataclass(frozen=True)
class DramEnergies:
    """Energy of each command in the device core, and of an access on its way through I/O and PHYs [pJ]."""

    activate_pj: float
    read_pj: float
    write_pj: float
    refresh_pj: float
    io_pj: float


@dataclass(frozen=True)
class DramPowers:
    """Power of each state of all channels [W], which is also pJ per ps."""

    idle_state: str
    active_watts: float
    standby_watts: float
    idle_watts: float
    refresh_watts: float
    idle_refresh_watts: float


def capacity_bytes(dram: Dram) -> int:
    """What the DRAM holds."""
    return 0 if isinstance(dram, NoDram) else mib_to_bytes(dram.capacity_mib)


def n_accesses(dram: Dram, n_bytes: int) -> int:
    """Column accesses that move `n_bytes` of one contiguous region."""
    if isinstance(dram, NoDram):
        return 0
    if isinstance(dram, ConstantDram):
        return ceil_div(bytes_to_bits(n_bytes), dram.access_width_bits)
    return ceil_div(n_bytes, dram.burst_bytes)


def n_activates(dram: Dram, n_bytes: int) -> int:
    """Rows opened to move `n_bytes` of one contiguous region that starts on a row.

    Channels that take turns by bursts each open a row, however short the region is.
    """
    if not isinstance(dram, BankedDram):
        return 0
    n_rows = ceil_div(n_bytes, dram.row_bytes)
    fields = dram.address_fields
    if dram.n_channels > 1 and fields.index("channel") > fields.index("column"):
        return max(n_rows, min(dram.n_channels, ceil_div(n_bytes, dram.burst_bytes)))
    return n_rows


def access_bytes(dram: Dram) -> int:
    """Bytes that one access moves, needed or not."""
    if isinstance(dram, NoDram):
        return 0
    return dram.access_width_bits // bytes_to_bits(1) if isinstance(dram, ConstantDram) else dram.burst_bytes


def peak_bytes_per_s(dram: Dram) -> float | None:
    """What the pins of all channels move when bursts follow each other; None where transfers take no time."""
    if isinstance(dram, NoDram):
        return None
    if isinstance(dram, ConstantDram):
        return dram.bandwidth_bytes_per_s
    return dram.n_channels * dram.burst_bytes * PS_PER_S / (dram.timing.burst_cycles * dram.timing.tck_ps)


def transfer_ps(dram: Dram, n_bursts: int, n_rows: int, n_turnarounds: int = 0) -> int:
    """Time the channels are taken by a stream of `n_bursts` over `n_rows` newly opened rows [ps].

    `[max(N_burst * t_burst, N_row * max(tRRD, tFAW / 4), N_burst * (CL + t_burst + 2) / k) + N_turn * (CL + 2 + tWTR)]
    / (1 - share of refresh)` for each of the channels, over which bursts and rows are spread evenly, with k reads in
    flight; a refresh costs tRFC + tRP + tRCD + t_burst + 2 cycles every tREFI. Within 4.1 % of DRAMsim3 on streams
    (tests/validation/test_dram_golden.py).

    Args:
        n_turnarounds: changes from write to read.
    """
    if isinstance(dram, NoDram):
        return 0
    if isinstance(dram, ConstantDram):
        if dram.bandwidth_bytes_per_s is None:
            return 0
        return round(n_bursts * access_bytes(dram) * PS_PER_S / dram.bandwidth_bytes_per_s)
    t = dram.timing
    row_cycles = max(t.trrd_cycles, t.tfaw_cycles / 4)
    stream_cycles = max(
        ceil_div(n_bursts, dram.n_channels) * t.burst_cycles, ceil_div(n_rows, dram.n_channels) * row_cycles
    )
    if dram.n_outstanding is not None:
        stream_cycles = max(stream_cycles, n_bursts * (t.cl_cycles + t.burst_cycles + 2) / dram.n_outstanding)
    turn_cycles = n_turnarounds * (t.cl_cycles + 2 + t.twtr_cycles)
    return round((stream_cycles + turn_cycles) / (1 - t.refresh_cycles / t.trefi_cycles) * t.tck_ps)


def first_access_ps(dram: Dram, idle: Idle | None) -> int:
    """Latency of the first burst on a channel that is not streaming: wake up, open a row, read [ps].

    Args:
        idle: the state it wakes from; None when it is awake.
    """
    if not isinstance(dram, BankedDram):
        return 0
    t = dram.timing
    exit_cycles = {None: 0, "standby": 0, "power_down": t.txp_cycles, "self_refresh": t.txs_cycles}[idle]
    return (exit_cycles + t.trcd_cycles + t.cl_cycles + t.burst_cycles) * t.tck_ps


def sleep_after_ps(dram: Dram) -> int:
    """Time without a request after which the DRAM goes into its idle state [ps]."""
    return dram.sleep_after_cycles * dram.timing.tck_ps if isinstance(dram, BankedDram) else 0


def energies(dram: Dram) -> DramEnergies:
    """Energy per command [pJ]: IDD current above the background, times its duration.

    `E_act = VDD (IDD0 tRC - IDD3N tRAS - IDD2N (tRC - tRAS))`, `E_rd = VDD (IDD4R - IDD3N) t_burst`,
    `E_ref = VDD (IDD5 - IDD3N) tRFC` (Micron TN-46-03). tRC = tRAS + tRP.
    """
    if isinstance(dram, NoDram):
        return DramEnergies(0.0, 0.0, 0.0, 0.0, 0.0)
    if isinstance(dram, ConstantDram):
        return DramEnergies(0.0, dram.pj_per_access, dram.pj_per_access, 0.0, 0.0)
    t, i = dram.timing, dram.currents

    def pj(current_ma: float, n_cycles: int) -> float:
        return ma_to_watts(current_ma, i.vdd_volts) * (n_cycles * t.tck_ps)

    trc_cycles = t.tras_cycles + t.trp_cycles
    return DramEnergies(
        activate_pj=pj(i.idd0_ma, trc_cycles) - pj(i.idd3n_ma, t.tras_cycles) - pj(i.idd2n_ma, t.trp_cycles),
        read_pj=pj(i.idd4r_ma - i.idd3n_ma, t.burst_cycles),
        write_pj=pj(i.idd4w_ma - i.idd3n_ma, t.burst_cycles),
        refresh_pj=pj(i.idd5_ma - i.idd3n_ma, t.trfc_cycles),
        io_pj=bytes_to_bits(dram.burst_bytes) * dram.io_pj_per_bit,
    )


def powers(dram: Dram, idle: Idle) -> DramPowers:
    """Background power of each state [W]; the refresh commands of all but self-refresh (IDD6) are paid apart.

    A refresh takes tRFC every tREFI, during which the banks are active (IDD3N); out of power-down it takes tXP more to
    wake. With that, frames with pauses agree with DRAMPower within 1 % (tests/validation/test_dram_golden.py). While
    one rank of a channel is active, its others stand by.

    Args:
        idle: the state between frames.
    """
    if not isinstance(dram, BankedDram):
        return DramPowers("idle", 0.0, 0.0, 0.0, 0.0, 0.0)
    t, i = dram.timing, dram.currents
    n_ranks = dram.n_channels * dram.n_ranks
    refresh_share, wake_share = t.trfc_cycles / t.trefi_cycles, t.txp_cycles / t.trefi_cycles

    def refreshed_ma(state_ma: float, active_share: float) -> float:
        return state_ma + (i.idd3n_ma - state_ma) * active_share

    def watts(current_ma: float) -> float:
        return n_ranks * ma_to_watts(current_ma, i.vdd_volts)

    standby_ma = refreshed_ma(i.idd2n_ma, refresh_share)
    power_down_ma = refreshed_ma(i.idd2p_ma, refresh_share + wake_share)
    idle_ma = {"standby": standby_ma, "power_down": power_down_ma, "self_refresh": i.idd6_ma}[idle]
    refresh_watts = n_ranks * energies(dram).refresh_pj / (t.trefi_cycles * t.tck_ps)
    return DramPowers(
        idle_state=idle,
        active_watts=watts((i.idd3n_ma + (dram.n_ranks - 1) * standby_ma) / dram.n_ranks),
        standby_watts=watts(standby_ma),
        idle_watts=watts(idle_ma),
        refresh_watts=refresh_watts,
        idle_refresh_watts=0.0 if idle == "self_refresh" else refresh_watts,
    )
