"""Cycles, commands and energy of DRAM traffic beside DRAMsim3 and DRAMPower. Device core only, on both sides.

DRAMsim3 (Li et al., IEEE CAL 2020) was run on 27 patterns of accesses, LPDDR3-1600 x32 with the timings and currents of
`mobile45`. Both ways in which dcsim works out DRAM traffic are held against it: the controller, burst by burst, and the
closed form that a replay of a network uses, on the streams that it claims.
"""

from collections.abc import Iterator

from dcsim.soc import dram
from dcsim.soc.dram_controller import replay
from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.spec import load_soc
from dcsim.units import mib_to_bytes
from dcsim.validation.comparison import Comparison
from dcsim.validation.dram_frames import frames_table
from dcsim.validation.dram_patterns import golden_pattern, golden_rows, window_cycles

BURSTS = "DRAMsim3, LPDDR3-1600 x32: every burst through the controller"
STREAMS = "DRAMsim3, LPDDR3-1600 x32: streams in closed form"
TOLERANCE, ACTIVATIONS_TOLERANCE = 0.05, 0.10
#: two real simulators differ by 13 % where reads and writes, or two streams, alternate every 32 bytes
BURST_GRAIN_TOLERANCE = 0.15
FEW_IN_FLIGHT = range(1, 8)
FRAMES = "f_frames"

#: pattern, MiB, reads in flight at most
Key = tuple[str, float, int]

#: Where the closed form holds -> changes from write to read: one per pair of grains, as the pattern is defined.
#: Contiguous streams with at least eight reads in flight; two such streams side by side, unless they alternate every 32
#: bytes within one bank; a read and a written stream that take turns every 4 KiB or more.
CLAIMED: dict[Key, int] = {
    ("a_stream", 16.0, 0): 0,
    ("w_stream", 8.0, 0): 0,
    ("a_stream", 2.0, 8): 0,
    ("a_stream", 2.0, 16): 0,
    ("a_stream", 2.0, 32): 0,
    ("b_tile4k", 8.0, 0): 0,
    ("b_tile4k_bank4", 8.0, 0): 0,
    ("b_tile64k", 8.0, 0): 0,
    ("b_burst_bank4", 8.0, 0): 0,
    ("c_tile4k_1r1w", 8.0, 0): 1024,  # 4 MiB written, 4 KiB at a time
    ("c_tile4k_3r1w", 8.0, 0): 512,  # 2 MiB written, 4 KiB at a time
    ("c_tile64k_1r1w", 8.0, 0): 64,  # 4 MiB written, 64 KiB at a time
}


def dram_table() -> tuple[Comparison, ...]:
    """The controller and the closed form beside DRAMsim3, frames beside DRAMPower and DRAMsim3."""
    return (*bursts_table(), *streams_table(), *frames_table(golden()[FRAMES, 2.0, 0]))


def golden() -> dict[Key, dict[str, str]]:
    """The rows of the reference by pattern, MiB and reads in flight."""
    return {(row["pattern"], float(row["mb"]), int(row["outst"])): row for row in golden_rows()}


def reference_part() -> BankedDram:
    """The part that DRAMsim3 was run with."""
    part = load_soc("mobile45").dram
    assert isinstance(part, BankedDram)
    return part


def bursts_table() -> tuple[Comparison, ...]:
    """Time, energy and activations of all 27 patterns, each burst through the controller."""
    part = reference_part()
    return tuple(found for key, row in golden().items() for found in _bursts(part, key, row))


def streams_table() -> tuple[Comparison, ...]:
    """Time and energy of commands of the streams that the closed form claims."""
    part, rows = reference_part(), golden()
    return tuple(
        found for key, n_turnarounds in CLAIMED.items() for found in _stream(part, key, n_turnarounds, rows[key])
    )


def name_of(key: Key) -> str:
    """`d_rand64`, or `d_rand64, 4 in flight`. No pattern is there in two sizes with as many in flight."""
    pattern, _, n_outstanding = key
    return f"{pattern}, {n_outstanding} in flight" if n_outstanding else pattern


def _bursts(part: BankedDram, key: Key, row: dict[str, str]) -> Iterator[Comparison]:
    pattern, mib, n_outstanding = key
    found = replay(part, golden_pattern(pattern, mib), n_outstanding or None, None, window_cycles(pattern))
    name = name_of(key)
    tolerance = BURST_GRAIN_TOLERANCE if pattern.startswith(("b_burst", "c_burst")) else TOLERANCE
    why = "the window of the measurement" if pattern == FRAMES else ""
    yield Comparison(BURSTS, name, "cycles", "cycles", int(row["cycles"]), found.cycles, tolerance, why)
    yield Comparison(BURSTS, name, "energy", "pJ", float(row["E_tot_pJ"]), found.energy_pj, tolerance)
    opens_rows = pattern.startswith("e_") or pattern == "d_rand64" or n_outstanding in FEW_IN_FLIGHT
    activations_tolerance, why = (ACTIVATIONS_TOLERANCE, "") if opens_rows else (None, "time and energy decide")
    counts = int(row["n_act"]), found.n_activates
    yield Comparison(BURSTS, name, "activations", "count", *counts, activations_tolerance, why)


def _stream(part: BankedDram, key: Key, n_turnarounds: int, row: dict[str, str]) -> Iterator[Comparison]:
    """Background energy is that of the frames, so here it is left out."""
    name, n_bytes, each = name_of(key), mib_to_bytes(int(key[1])), dram.energies(part)
    n_bursts, n_rows = dram.n_accesses(part, n_bytes), dram.n_activates(part, n_bytes)
    cycles = dram.transfer_ps(part, n_bursts, n_rows, n_turnarounds) / part.timing.tck_ps
    yield Comparison(STREAMS, name, "cycles", "cycles", int(row["cycles"]), cycles, TOLERANCE)
    share_read = int(row["n_rd"]) / (int(row["n_rd"]) + int(row["n_wr"]))
    found_pj = n_rows * each.activate_pj
    found_pj += n_bursts * (share_read * each.read_pj + (1 - share_read) * each.write_pj)
    reference_pj = sum(float(row[column]) for column in ("E_act_pJ", "E_rd_pJ", "E_wr_pJ"))
    yield Comparison(STREAMS, name, "command energy", "pJ", reference_pj, found_pj, TOLERANCE)
