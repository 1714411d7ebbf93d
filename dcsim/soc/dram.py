"""DRAM time and energy in closed form.

The `lpddr` model is the usual sum over commands and states (Micron TN-46-03; Chandrasekar et al., DRAMPower): for a
sequential stream over rows interleaved across banks, activations hide behind bursts, refresh takes its share of time.
"""

from dataclasses import dataclass

from dcsim.soc.spec import ConstantDram, LpddrDram
from dcsim.units import PS_PER_S, bytes_to_bits, ceil_div, ma_to_watts, mib_to_bytes

Dram = ConstantDram | LpddrDram


@dataclass(frozen=True)
class DramEnergies:
    """Energy of each command [pJ]."""

    activate_pj: float
    read_pj: float
    write_pj: float
    refresh_pj: float


@dataclass(frozen=True)
class DramPowers:
    """Power of each state [W], which is also pJ per ps."""

    idle_state: str
    active_watts: float
    standby_watts: float
    idle_watts: float
    refresh_watts: float
    idle_refresh_watts: float


def capacity_bytes(dram: Dram) -> int:
    """What the DRAM holds."""
    return mib_to_bytes(dram.capacity_mib)


def n_accesses(dram: Dram, n_bytes: int) -> int:
    """Column accesses that move `n_bytes` of one contiguous region."""
    if isinstance(dram, ConstantDram):
        return ceil_div(bytes_to_bits(n_bytes), dram.access_width_bits)
    return ceil_div(n_bytes, dram.burst_bytes)


def n_activates(dram: Dram, n_bytes: int) -> int:
    """Rows opened to move `n_bytes` of one contiguous region that starts on a row."""
    return 0 if isinstance(dram, ConstantDram) else ceil_div(n_bytes, dram.row_bytes)


def access_bytes(dram: Dram) -> int:
    """Bytes that one access moves, needed or not."""
    return dram.access_width_bits // bytes_to_bits(1) if isinstance(dram, ConstantDram) else dram.burst_bytes


def transfer_ps(dram: Dram, n_bursts: int, n_rows: int, n_turnarounds: int = 0) -> int:
    """Time the channel is taken by a stream of `n_bursts` over `n_rows` newly opened rows [ps].

    `[max(N_burst * t_burst, N_row * max(tRRD, tFAW / 4)) + N_turn * (CL + 2 + tWTR)] / (1 - share of refresh)`, where
    a refresh costs tRFC + tRP + tRCD + t_burst + 2 cycles every tREFI. Within 4.1 % of DRAMsim3 on streams
    (tests/validation/test_dram_golden.py).

    Args:
        n_turnarounds: changes from write to read.
    """
    if isinstance(dram, ConstantDram):
        if dram.bandwidth_bytes_per_s is None:
            return 0
        return round(n_bursts * access_bytes(dram) * PS_PER_S / dram.bandwidth_bytes_per_s)
    t = dram.timing
    row_cycles = max(t.trrd_cycles, t.tfaw_cycles / 4)
    stream_cycles = max(n_bursts * t.burst_cycles, n_rows * row_cycles)
    turn_cycles = n_turnarounds * (t.cl_cycles + 2 + t.twtr_cycles)
    return round((stream_cycles + turn_cycles) / (1 - t.refresh_cycles / t.trefi_cycles) * t.tck_ps)


def first_access_ps(dram: Dram, asleep: bool) -> int:
    """Latency of the first burst on a channel that is not streaming: wake up, open a row, read [ps]."""
    if isinstance(dram, ConstantDram):
        return 0
    t = dram.timing
    exit_cycles = {"standby": 0, "power_down": t.txp_cycles, "self_refresh": t.txs_cycles}[dram.idle] if asleep else 0
    return (exit_cycles + t.trcd_cycles + t.cl_cycles + t.burst_cycles) * t.tck_ps


def energies(dram: Dram) -> DramEnergies:
    """Energy per command [pJ]: IDD current above the background, times its duration.

    `E_act = VDD (IDD0 tRC - IDD3N tRAS - IDD2N (tRC - tRAS))`, `E_rd = VDD (IDD4R - IDD3N) t_burst`,
    `E_ref = VDD (IDD5 - IDD3N) tRFC` (Micron TN-46-03). tRC = tRAS + tRP.
    """
    if isinstance(dram, ConstantDram):
        return DramEnergies(0.0, dram.pj_per_access, dram.pj_per_access, 0.0)
    t, i = dram.timing, dram.currents

    def pj(current_ma: float, n_cycles: int) -> float:
        return ma_to_watts(current_ma, i.vdd_volts) * (n_cycles * t.tck_ps)

    trc_cycles = t.tras_cycles + t.trp_cycles
    return DramEnergies(
        activate_pj=pj(i.idd0_ma, trc_cycles) - pj(i.idd3n_ma, t.tras_cycles) - pj(i.idd2n_ma, t.trp_cycles),
        read_pj=pj(i.idd4r_ma - i.idd3n_ma, t.burst_cycles),
        write_pj=pj(i.idd4w_ma - i.idd3n_ma, t.burst_cycles),
        refresh_pj=pj(i.idd5_ma - i.idd3n_ma, t.trfc_cycles),
    )


def powers(dram: Dram) -> DramPowers:
    """Background power of each state [W]; the refresh commands of all but self-refresh (IDD6) are paid apart.

    A refresh takes tRFC every tREFI, during which the banks are active (IDD3N); out of power-down it takes tXP more to
    wake. With that, frames with pauses agree with DRAMPower within 1 % (tests/validation/test_dram_golden.py).
    """
    if isinstance(dram, ConstantDram):
        return DramPowers("idle", 0.0, 0.0, 0.0, 0.0, 0.0)
    t, i = dram.timing, dram.currents
    refresh_share, wake_share = t.trfc_cycles / t.trefi_cycles, t.txp_cycles / t.trefi_cycles

    def refreshed_ma(state_ma: float, active_share: float) -> float:
        return state_ma + (i.idd3n_ma - state_ma) * active_share

    standby_ma = refreshed_ma(i.idd2n_ma, refresh_share)
    power_down_ma = refreshed_ma(i.idd2p_ma, refresh_share + wake_share)
    idle_ma = {"standby": standby_ma, "power_down": power_down_ma, "self_refresh": i.idd6_ma}[dram.idle]
    refresh_watts = energies(dram).refresh_pj / (t.trefi_cycles * t.tck_ps)
    return DramPowers(
        idle_state=dram.idle,
        active_watts=ma_to_watts(i.idd3n_ma, i.vdd_volts),
        standby_watts=ma_to_watts(standby_ma, i.vdd_volts),
        idle_watts=ma_to_watts(idle_ma, i.vdd_volts),
        refresh_watts=refresh_watts,
        idle_refresh_watts=0.0 if dram.idle == "self_refresh" else refresh_watts,
    )
