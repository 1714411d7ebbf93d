"""The access patterns of the DRAMsim3 reference, written again from their description, and its rows.

Requests are bursts of 32 bytes on 8 banks with rows of 4 KiB, addressed row | bank | column. Sequential and alternating
patterns follow from their names alone; the random ones are other draws than those of the reference.
"""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import ConfigError
from dcsim.soc.dram_controller import DramRequests
from dcsim.units import kib_to_bytes, mib_to_bytes

GOLDEN = Path(__file__).with_name("data") / "dramsim3_lpddr3_1600_x32.csv"
BURST_BYTES = 32
ROW_BYTES = kib_to_bytes(4)
N_BANKS = 8
SECOND_BASE_BYTES = mib_to_bytes(256)
GRAIN_BYTES = {"burst": BURST_BYTES, "tile4k": ROW_BYTES, "tile64k": kib_to_bytes(64)}
BLOCK_BYTES = {"d_rand64": 2 * BURST_BYTES, "d_rand1k": kib_to_bytes(1)}
FRAME_CYCLES = 40_000_000  # 50 ms of 1.25 ns
N_FRAMES = 2
SEED = 1

Integers = npt.NDArray[np.int64]


def golden_rows() -> list[dict[str, str]]:
    """The rows of the reference, by its column names."""
    with GOLDEN.open(newline="") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


def window_cycles(name: str) -> int:
    """The window that a pattern was measured over; 0 for as long as it takes."""
    return N_FRAMES * FRAME_CYCLES if name == "f_frames" else 0


def golden_pattern(name: str, mib: float) -> DramRequests:
    """The requests of a pattern of the reference that moves `mib` MiB in all. Raises ConfigError.

    `a_stream` and `w_stream` read and write from address 0. `b_GRAIN` reads two streams, half each, that take turns
    every GRAIN; the second starts at 256 MiB, with `_bank4` four banks further on. `c_GRAIN_1r1w` writes the second,
    `c_GRAIN_3r1w` gives it one grain for three of the first. `d_` reads random aligned blocks of 256 MiB, `e_` a burst
    of a new row each time. `f_frames` reads half, and the other half 50 ms later.
    """
    n_bursts = round(mib * mib_to_bytes(1)) // BURST_BYTES
    kind, _, words = name.partition("_")
    numbers = np.arange(n_bursts, dtype=np.int64)
    reads, start_cycles = np.zeros(n_bursts, np.bool_), np.zeros(n_bursts, np.int64)
    if name in ("a_stream", "w_stream"):
        return _requests(numbers * BURST_BYTES, reads | (kind == "w"), start_cycles)
    if name == "f_frames":
        return _requests(numbers * BURST_BYTES, reads, start_cycles + numbers * N_FRAMES // n_bursts * FRAME_CYCLES)
    if name == "e_samebank_rows":
        return _requests(numbers * (ROW_BYTES * N_BANKS), reads, start_cycles)
    if name == "e_bankwalk":
        return _requests(numbers * ROW_BYTES, reads, start_cycles)
    if name in BLOCK_BYTES:
        return _requests(_random_blocks(n_bursts, BLOCK_BYTES[name]), reads, start_cycles)
    grain, *details = words.split("_")
    if kind in ("b", "c") and grain in GRAIN_BYTES:
        second = SECOND_BASE_BYTES + (4 * ROW_BYTES if "bank4" in details else 0)
        n_first = 3 if "3r1w" in details else 1
        addresses, is_second = _taking_turns(n_bursts, GRAIN_BYTES[grain] // BURST_BYTES, n_first, second)
        return _requests(addresses, is_second & (kind == "c"), start_cycles)
    raise ConfigError(
        f"no DRAM pattern {name}; there are {', '.join(sorted({row['pattern'] for row in golden_rows()}))}"
    )


def _requests(addresses: Integers, writes: npt.NDArray[np.bool_], earliest_cycles: Integers) -> DramRequests:
    return DramRequests(addresses.astype(np.uint64), writes, earliest_cycles)


def _random_blocks(n_bursts: int, block_bytes: int) -> Integers:
    """Addresses of bursts that make up uniformly random aligned blocks below 256 MiB."""
    n_each = block_bytes // BURST_BYTES
    blocks = np.random.default_rng(SEED).integers(SECOND_BASE_BYTES // block_bytes, size=n_bursts // n_each)
    return (blocks[:, None] * block_bytes + np.arange(n_each) * BURST_BYTES).reshape(-1)


def _taking_turns(
    n_bursts: int, n_grain: int, n_first: int, second_bytes: int
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Addresses of a stream from 0 and one from `second_bytes`: `n_first` grains of one, then a grain of the other."""
    numbers = np.arange(n_bursts)
    turn, in_turn = np.divmod(numbers, (n_first + 1) * n_grain)
    is_second = in_turn >= n_first * n_grain
    first_bytes = (turn * n_first * n_grain + in_turn) * BURST_BYTES
    other_bytes = second_bytes + (turn * n_grain + in_turn - n_first * n_grain) * BURST_BYTES
    return np.where(is_second, other_bytes, first_bytes), is_second
