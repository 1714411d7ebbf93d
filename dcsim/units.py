"""Every unit conversion of dcsim. Energy is in pJ, simulated time in integer ps; the rest is converted at the edge.

A test reads the code and refuses conversions outside this module.
"""

PS_PER_S = 10**12
PS_PER_US = 10**6
PS_PER_NS = 1000
PJ_PER_J = 10**12
BITS_PER_BYTE = 8
BYTES_PER_KIB = 1024
BYTES_PER_MIB = 1024**2
MA_PER_A = 1000
MW_PER_W = 1000
FP32_BITS = 32


def cycles_to_ps(n_cycles: int, clock_hz: int) -> int:
    """Duration of `n_cycles` [cycles] at `clock_hz` [Hz] in whole ps.

    Rounded once for the whole span: n times a rounded cycle would drift.
    """
    return round_div(n_cycles * PS_PER_S, clock_hz)


def s_to_ps(time_s: float) -> int:
    """Seconds to the nearest whole ps."""
    return round(time_s * PS_PER_S)


def ps_to_s(time_ps: float) -> float:
    """ps to seconds."""
    return time_ps / PS_PER_S


def ns_to_ps(time_ns: float) -> int:
    """ns to the nearest whole ps."""
    return round(time_ns * PS_PER_NS)


def watts_from_pj(energy_pj: float, time_s: float) -> float:
    """Average power [W] of `energy_pj` [pJ] spent every `time_s` [s]."""
    return energy_pj / PJ_PER_J / time_s


def bits_to_bytes(n_bits: int) -> int:
    """Whole bytes that hold `n_bits`."""
    return ceil_div(n_bits, BITS_PER_BYTE)


def bytes_to_bits(n_bytes: int) -> int:
    """Bytes to bits."""
    return n_bytes * BITS_PER_BYTE


def kib_to_bytes(n_kib: int) -> int:
    """KiB to bytes."""
    return n_kib * BYTES_PER_KIB


def mib_to_bytes(n_mib: int) -> int:
    """MiB to bytes."""
    return n_mib * BYTES_PER_MIB


def mw_to_watts(power_mw: float) -> float:
    """mW to W. One watt is also one pJ per ps, which is how static power enters the ledger."""
    return power_mw / MW_PER_W


def ma_to_watts(current_ma: float, volts: float) -> float:
    """Power [W] of a supply current [mA] at a voltage [V]."""
    return current_ma / MA_PER_A * volts


def ceil_div(numerator: int, denominator: int) -> int:
    """Smallest integer not below numerator / denominator."""
    return -(-numerator // denominator)


def round_div(numerator: int, denominator: int) -> int:
    """Integer nearest to numerator / denominator, exact for integers of any size."""
    return (2 * numerator + denominator) // (2 * denominator)


def shares(total: int, n_parts: int) -> list[int]:
    """`total` cut into `n_parts` near-equal integers that sum to it exactly."""
    bounds = [total * part // n_parts for part in range(n_parts + 1)]
    return [bounds[part + 1] - bounds[part] for part in range(n_parts)]
